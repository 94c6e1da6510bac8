"""Connections to the providers: opened ahead, kept, and spoken over in HTTP without a byte changed."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

import aiohttp
from yarl import URL

from router_model.errors import UpstreamError, one_line
from router_model.serving.gateway.call import Call, Endpoint
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.config.retry import Retry

log = logging.getLogger(__name__)

PATHS: dict[Endpoint, str] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "responses": "/responses",
    "embeddings": "/embeddings",
    "messages": "/messages",
}
ANTHROPIC_VERSION = "2023-06-01"
KEEP_SECONDS = 30.0  # an idle connection; servers in front of models keep theirs for 60 and more
WARM_SECONDS = 15.0  # between two rounds that keep the connections ahead from being idle for so long
MOST_FIELD_BYTES = 64 << 10
ONE_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer trailers "
    b"transfer-encoding upgrade".split()
)
ITS_HOST_ONLY = frozenset(b"set-cookie strict-transport-security alt-svc".split())


class Reply(Protocol):
    """An upstream's answer, while it comes.

    Attributes:
        status: of HTTP.
        headers: lower-case names and values as sent, without those of one hop.
    """

    status: int
    headers: list[tuple[bytes, bytes]]

    async def read(self) -> bytes:
        """The next piece as it came; empty at the end.

        Raises:
            UpstreamError: it was cut.
        """

    def fail(self, error: UpstreamError) -> None:
        """Break off: who waits in ``read`` gets the error."""

    def close(self) -> None:
        """Let go of it, wherever it is; harmless a second time."""


class Speaker(Protocol):
    """Asks one provider, in its own way."""

    async def ask(self, call: Call) -> Reply:
        """Send the call; the head of the answer.

        Raises:
            UpstreamError: there was no answer.
        """

    async def warm(self, connections: int) -> None:
        """Open so many connections, or use them; never raises for the provider's sake."""


class Pool:
    """All connections of one dispatch. Use ``open`` in the loop that they live in."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._session: aiohttp.ClientSession | None = None
        self.replies: set[Reply] = set()  # that have not been let go of

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session.

        Raises:
            UpstreamError: it is closed.
        """
        if self._session is None:
            raise UpstreamError("the gateway's connections are closed")
        return self._session

    async def open(self) -> None:
        """Make the session; no connection is made yet."""
        connect = self._retry.connect_seconds
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=MOST_FIELD_BYTES,
            max_field_size=MOST_FIELD_BYTES,
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
        )

    async def close(self) -> None:
        """Close all connections; who still reads an answer gets an error, which the session alone would
        not tell."""
        for reply in list(self.replies):
            reply.fail(UpstreamError("the gateway's connections are closed"))
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class Http:
    """Asks a provider that speaks OpenAI's or Anthropic's format, over HTTP."""

    def __init__(self, provider: Provider, secret: str | None, pool: Pool) -> None:
        base = provider.base_url.rstrip("/")
        self._name = provider.name
        self._model = provider.model
        self._pool = pool
        self._base = URL(base)
        self._urls = {endpoint: URL(base + path) for endpoint, path in PATHS.items()}
        self._headers = _headers(provider, secret)
        self._body = provider.body

    async def ask(self, call: Call) -> Reply:
        """Send the call; see `Speaker`."""
        url = self._urls[call.endpoint]
        headers = {**call.headers, **self._headers}
        if call.endpoint == "messages":
            headers.setdefault("anthropic-version", ANTHROPIC_VERSION)
        fields = self._body.get(call.endpoint)
        raw = call.filled(self._model, fields) if fields else call.renamed(self._model)
        try:
            try:
                return await self._post(url, headers, raw)
            except aiohttp.ServerDisconnectedError:
                # It closed an idle connection as we took it, most likely: once more, on another one.
                return await self._post(url, headers, raw)
        except (aiohttp.ClientError, OSError) as e:
            log.debug("provider %s: %s", self._name, one_line(e))
            raise UpstreamError(f"{self._name}: {_words(e)}") from None

    async def _post(self, url: URL, headers: Mapping[str, str], raw: bytes) -> Reply:
        response = await self._pool.session.post(url, data=raw, headers=headers, allow_redirects=False)
        reply = _HttpReply(self._name, response, self._pool)
        self._pool.replies.add(reply)
        return reply

    async def warm(self, connections: int) -> None:
        """Open connections by requests that cost nothing and bear no key; see `Speaker`."""
        await asyncio.gather(*(self._touch() for _ in range(connections)))

    async def _touch(self) -> None:
        try:
            async with self._pool.session.head(self._base, allow_redirects=False) as response:
                await response.read()
        except (aiohttp.ClientError, OSError) as e:
            log.debug("provider %s: no connection ahead: %s", self._name, one_line(e))


class _HttpReply:
    def __init__(self, name: str, response: aiohttp.ClientResponse, pool: Pool) -> None:
        self._name = name
        self._pool = pool
        self._response = response
        self._content = response.content
        self.status = response.status
        self.headers = _passing(response)
        # Neither a length nor chunks: the end of the connection is the end of the body, whole or not.
        names = {k for k, _ in self.headers}
        self._endless = (
            b"content-length" not in names and "transfer-encoding" not in response.headers and self.stream
        )
        self._tail = b""

    @property
    def stream(self) -> bool:
        return any(k == b"content-type" and v.startswith(b"text/event-stream") for k, v in self.headers)

    async def read(self) -> bytes:
        try:
            piece = await self._content.readany()
        except (aiohttp.ClientError, OSError) as e:
            log.debug("provider %s: %s", self._name, one_line(e))
            raise UpstreamError(f"{self._name}: its answer was cut") from None
        if self._endless:
            self._see(piece)
        return piece

    def _see(self, piece: bytes) -> None:
        if piece:
            self._tail = (self._tail + piece)[-8192:]
        elif not any(end in self._tail for end in (b"[DONE]", b"message_stop", b'"response.completed"')):
            raise UpstreamError(f"{self._name}: its answer was cut")

    def fail(self, error: UpstreamError) -> None:
        self._content.set_exception(error)
        self._response.close()

    def close(self) -> None:
        self._pool.replies.discard(self)
        if self._content.is_eof():
            self._response.release()
        else:
            self._response.close()


def _headers(provider: Provider, secret: str | None) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    headers |= {k.lower(): v for k, v in provider.headers.items()}
    if secret is not None and provider.shape == "anthropic":
        headers["x-api-key"] = secret
    elif secret is not None:
        headers["authorization"] = f"Bearer {secret}"
    return headers


def _passing(response: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    """Headers that go on: none of one hop, none that speak of the provider's host alone."""
    named = response.headers.get("connection", "").lower().encode("latin-1", "replace")
    dropped = ONE_HOP | ITS_HOST_ONLY | {name.strip() for name in named.split(b",")}
    return [(k, v) for name, v in response.raw_headers if (k := name.lower()) not in dropped]


def _words(error: Exception) -> str:
    """What happened, without the addresses that a library's message holds."""
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, aiohttp.ClientResponseError):
        return "its answer is no HTTP"
    return "it hung up before it answered"
