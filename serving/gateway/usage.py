"""Tokens that an upstream says it counted, read from its answers as they pass by."""

import json
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from router_model.serving.gateway.call import Call, Endpoint

MAX_TOKENS = 10**9
HEAD_BYTES = TAIL_BYTES = 16 << 10
MAX_MARKS = 64  # that are tried
PIECE = 256 << 10
MAX_INFLATED = 64 << 20
CHARACTERS_PER_TOKEN = 4

START, END = b'"message_start"', b'"message_delta"'  # of Anthropic's streams
INPUT, OUTPUT = ("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")
MARK = b'"usage"'
OBJECT = re.compile(rb"\s*:\s*\{")
# The texts of an answer, in the pieces of a stream or whole; each is a JSON string.
TEXTS = re.compile(
    rb'"(?:content|text|delta|arguments|partial_json|thinking|reasoning|reasoning_content|refusal)"\s*:\s*'
    rb'"([^"\\]*(?:\\.[^"\\]*)*)',
    re.DOTALL,
)
SCAN = json.JSONDecoder()


class Usage(Struct, frozen=True, gc=False):
    """Tokens of one call.

    Attributes:
        input: all input tokens, cached and written ones among them.
        cached: of these, read from the provider's prompt cache.
        written: of these, written to it.
        output: all output tokens, reasoning among them.
        reasoning: of these, not shown.
        estimated: whether the upstream said nothing, and this is by length.
    """

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    estimated: bool = False


class _Whole(Struct):
    usage: Any = None


_decode_whole = msgspec.json.Decoder(_Whole).decode


def usage_of(endpoint: "Endpoint", body: bytes, encoding: str = "") -> Usage | None:
    """What a whole answer says of its tokens; None where it says nothing or is no answer of the endpoint.

    Args:
        endpoint: whose shape the answer has.
        body: its bytes as they came.
        encoding: its ``content-encoding``; what is neither "gzip" nor "deflate" is not read.
    """
    inflate = _inflater(encoding)
    if inflate is not None:
        body = b"".join(inflate(body))
    try:
        told = _decode_whole(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _usage(endpoint, told) if isinstance(told, dict) and _whole(endpoint, told) else None


class StreamUsage:
    """Tokens of one answer whose bytes pass by, a stream of events or a whole body.

    Bytes are kept, not read: the first 16 KiB and about the last 16. All else happens in ``usage``.

    Args:
        endpoint: whose shape the answer has.
        encoding: its ``content-encoding``; of those beside "gzip" and "deflate" nothing can be read.
    """

    def __init__(self, endpoint: "Endpoint", encoding: str = "") -> None:
        self.endpoint = endpoint
        self.bytes = 0
        self._head: list[bytes] = []
        self._tail: deque[bytes] = deque()
        self._head_bytes = self._tail_bytes = 0
        self._inflate = _inflater(encoding)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the answer."""
        if self._inflate is None:
            self._keep(chunk)
            return
        for piece in self._inflate(chunk):
            self._keep(piece)

    def usage(self, call: "Call") -> Usage:
        """What the answer said; what it left out is estimated by the length of its texts and of ``call``."""
        head, tail = b"".join(self._head), b"".join(self._tail)
        told = next(_told(self.endpoint, tail), None) or next(_told(self.endpoint, head), {})
        if self.endpoint == "messages":  # its input stands in the first event, its output in the last
            for part in [*_told(self.endpoint, head)][::-1]:
                told = {**part, **told}
            if START in head and END not in tail:
                told.pop("output_tokens", None)  # what it began with, as it was cut
        usage = _usage(self.endpoint, told) or Usage(0, 0)
        if _whole(self.endpoint, told):
            return usage
        return replace(
            usage,
            input=usage.input if _first(told, *INPUT) is not None else call.input_tokens,
            output=usage.output if _first(told, *OUTPUT) is not None else self._tokens_by_length(head),
            estimated=True,
        )

    def _tokens_by_length(self, head: bytes) -> int:
        characters = sum(len(text[1]) for text in TEXTS.finditer(head))
        if self.bytes > len(head):
            characters = characters * self.bytes // len(head)
        return -(-characters // CHARACTERS_PER_TOKEN)

    def _keep(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        if self._head_bytes < HEAD_BYTES:
            self._head.append(chunk[: HEAD_BYTES - self._head_bytes])
            self._head_bytes += len(self._head[-1])
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        while self._tail_bytes - len(self._tail[0]) >= TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())


def _told(endpoint: "Endpoint", text: bytes) -> Iterator[dict[str, Any]]:
    """Objects under a "usage" that count tokens, the last first; a schema may have a key of that name too."""
    end = len(text)
    for _ in range(MAX_MARKS):
        end = text.rfind(MARK, 0, end)
        if end < 0:
            return
        found = OBJECT.match(text, end + len(MARK))
        if found is None or text[end - 1 : end] == b"\\":
            continue
        try:
            told, _ = SCAN.raw_decode(
                text[found.end() - 1 : found.end() + TAIL_BYTES].decode("utf-8", "replace")
            )
        except (ValueError, RecursionError):
            continue
        if _usage(endpoint, told) is not None:
            yield told


def _whole(endpoint: "Endpoint", told: Mapping[str, Any]) -> bool:
    """Whether input and output are told."""
    output = endpoint == "embeddings" or _first(told, *OUTPUT) is not None
    return output and _first(told, *INPUT) is not None


def _usage(endpoint: "Endpoint", told: Mapping[str, Any]) -> Usage | None:
    if endpoint == "messages":
        return _anthropic(told)
    given = _first(told, *INPUT)
    taken = _first(told, *OUTPUT)
    if given is None and taken is None:
        return None
    given, taken = given or 0, taken or 0
    whole = _first(told, "total_tokens") or 0
    taken = max(taken, whole - given)  # some count the tokens of reasoning in the total only
    of_input = _details(told, "prompt_tokens_details", "input_tokens_details")
    of_output = _details(told, "completion_tokens_details", "output_tokens_details")
    cached = _first(of_input, "cached_tokens") or _first(told, "prompt_cache_hit_tokens") or 0
    written = _first(of_input, "cache_write_tokens") or 0
    cached = min(cached, given)
    return Usage(
        given,
        taken,
        cached,
        min(written, given - cached),
        min(_first(of_output, "reasoning_tokens") or 0, taken),
    )


def _anthropic(told: Mapping[str, Any]) -> Usage | None:
    """Anthropic's ``input_tokens`` are those that were neither read from the cache nor written to it."""
    plain, output = _first(told, "input_tokens"), _first(told, "output_tokens")
    if plain is None and output is None:
        return None
    cached = _first(told, "cache_read_input_tokens") or 0
    written = _first(told, "cache_creation_input_tokens") or 0
    return Usage((plain or 0) + cached + written, output or 0, cached, written)


def _first(told: Mapping[str, Any], *keys: str) -> int | None:
    """The first of these that is a count of tokens."""
    for key in keys:
        value = told.get(key)
        if value.__class__ is int and 0 <= value <= MAX_TOKENS:
            return value
    return None


def _details(told: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    return next((value for key in keys if isinstance(value := told.get(key), dict)), {})


class _Inflater:
    """Pieces of a compressed body to pieces of the body, at most so many bytes of them."""

    def __init__(self, window: int) -> None:
        self._stream = zlib.decompressobj(window)
        self._left = MAX_INFLATED

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        try:
            while chunk and self._left > 0:
                piece = self._stream.decompress(chunk, PIECE)
                self._left -= len(piece)
                chunk = self._stream.unconsumed_tail
                yield piece
        except zlib.error:
            self._left = 0


def _nothing(chunk: bytes) -> tuple[()]:
    return ()


def _inflater(encoding: str) -> Any:
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    return _Inflater(zlib.MAX_WBITS | 32) if encoding in ("gzip", "x-gzip", "deflate") else _nothing
