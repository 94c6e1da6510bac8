"""An answer that is kept, to be given again in the pieces that it came in."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from router_model.serving.gateway.call import Endpoint

Headers = tuple[tuple[bytes, bytes], ...]
Source = Literal["exact", "semantic"]

PIECE_BYTES = 48  # of memory that a piece takes beside its bytes
PLAIN_BYTES = 16 << 20  # that a compressed body may unfold to

# What belongs to one request or client, and not to the answer.
PERSONAL = frozenset({b"set-cookie", b"date", b"age", b"retry-after", b"x-request-id", b"request-id"})
PERSONAL_IN = b"ratelimit"

# The last event of a stream is one; one that ends without is cut, whatever HTTP says. They stand at the
# beginning of a line, where no text of an answer can: in its JSON a line end is an escape.
LAST_EVENT: dict[Endpoint, re.Pattern[bytes]] = {
    "chat": re.compile(rb"^data: ?\[DONE\]", re.MULTILINE),
    "completions": re.compile(rb"^data: ?\[DONE\]", re.MULTILINE),
    "responses": re.compile(
        rb'^(?:event: ?response\.completed|data: ?\{"type": ?"response\.completed")', re.MULTILINE
    ),
    "messages": re.compile(rb'^(?:event: ?message_stop|data: ?\{"type": ?"message_stop")', re.MULTILINE),
}
# Of a stream that goes on to its end all the same.
ERROR = re.compile(rb'^(?:event: ?error|data: ?\{"error")', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Kept:
    """One whole answer.

    Attributes:
        status: of HTTP.
        headers: as the upstream sent them, without those that belong to one request.
        chunks: the body, in the pieces that came.
        tier, provider: names of who answered.
        source: which cache it is from.
    """

    status: int
    headers: Headers
    chunks: tuple[bytes, ...]
    tier: str = ""
    provider: str = ""
    source: Source = "exact"

    @property
    def size(self) -> int:
        """About what it takes of memory."""
        texts = sum(len(name) + len(value) + 2 * PIECE_BYTES for name, value in self.headers)
        return texts + sum(map(len, self.chunks)) + PIECE_BYTES * len(self.chunks)

    @property
    def stream(self) -> bool:
        """Whether the body is a stream of server-sent events."""
        return any(k == b"content-type" and v.startswith(b"text/event-stream") for k, v in self.headers)

    def plain(self) -> bytes | None:
        """The body without compression; None where its kind is not known here, empty where it is broken."""
        return plain(self.headers, b"".join(self.chunks))


def impersonal(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The headers that another client may see."""
    return tuple((k, v) for k, v in headers if k not in PERSONAL and PERSONAL_IN not in k)


def plain(headers: Headers, body: bytes) -> bytes | None:
    """A body without its ``content-encoding``: None of an unknown one, empty if broken or over 16 MiB."""
    codings = [value.lower() for name, value in headers if name == b"content-encoding"]
    if codings in ([], [b"identity"]):
        return body
    if codings not in ([b"gzip"], [b"deflate"]):
        return None
    unfold = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        text = unfold.decompress(body, PLAIN_BYTES)
    except zlib.error:
        return b""
    return text if unfold.eof else b""


def whole(endpoint: Endpoint, kept: Kept) -> bool:
    """Whether an answer says that it is finished, and of no error; what cannot be read is taken to be."""
    text = kept.plain()
    if text is None:
        return not kept.stream
    if kept.stream:
        last = LAST_EVENT.get(endpoint)
        return (last is None or last.search(text) is not None) and not ERROR.search(text)
    try:
        body = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    if not isinstance(body, dict) or body.get("error"):
        return False
    return endpoint != "responses" or body.get("status", "completed") == "completed"
