"""One client's connection to a pretend model: HTTP/1.1 read by httptools, answered in the model's own way."""

import asyncio
import zlib
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, cast

import httptools
import msgspec
from msgspec.json import encode

from router_model.serving.gateway.pretend.behaviour import Behaviour, Seen
from router_model.serving.gateway.pretend.shapes import answer, answer_again, error

if TYPE_CHECKING:
    from router_model.serving.gateway.pretend.model import Pretend

Headers = list[tuple[bytes, bytes]]
Work = Coroutine[Any, Any, None] | None  # what is left to do of an answer that takes time

ENDPOINTS = {
    b"/chat/completions": "chat",
    b"/completions": "completions",
    b"/responses": "responses",
    b"/embeddings": "embeddings",
    b"/messages": "messages",
}
SETTINGS = b"/pretend"
MOST_BYTES = 64 << 20
MOST_KEPT_BYTES = 16 << 10
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}


class Connection(asyncio.Protocol):
    """One client's connection; requests are answered one after the other."""

    def __init__(self, model: "Pretend") -> None:
        self.model = model
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport
        self.waiting: deque[tuple[bytes, Headers, bytes, bool]] = deque()
        self.task: asyncio.Task[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self.path = b""
        self.headers: Headers = []
        self.parts: list[bytes] = []
        self.bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.model.connections += 1
        self.model._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone, and with it whoever was being answered."""
        self.model._open.discard(self)
        if self.task is not None and not self.task.done():
            self.model.left += 1
            self.task.cancel()

    def abort(self) -> None:
        """Break it."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._write(400, b"")
            self.transport.close()

    def on_url(self, url: bytes) -> None:
        """A part of the path."""
        self.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self.headers.append((name, value))

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        self.bytes += len(part)
        if self.bytes > MOST_BYTES:
            self.transport.abort()
        else:
            self.parts.append(part)

    def on_message_complete(self) -> None:
        """A request has come whole."""
        keep_alive = self.parser.should_keep_alive() and not self.model.behaviour.close
        self.waiting.append((self.path, self.headers, b"".join(self.parts), keep_alive))
        head = self.parser.get_method() == b"HEAD"
        self._reset()
        if head:
            self.waiting.pop()
            self._write(404, b"")
        elif self.task is None:
            self._next()

    def _next(self) -> None:
        """Answer what waits: at once where nothing asks for time, else by a task."""
        while self.waiting and not self.transport.is_closing():
            path, headers, body, keep_alive = self.waiting.popleft()
            work = self._answer(path, headers, body)
            if work is not None:
                self.task = asyncio.get_running_loop().create_task(self._later(work, keep_alive))
                return
            if not keep_alive:
                self.transport.close()

    async def _later(self, work: Coroutine[Any, Any, None], keep_alive: bool) -> None:
        await work
        self.task = None
        if not keep_alive:
            self.transport.close()
        self._next()

    def _answer(self, path: bytes, headers: Headers, raw: bytes) -> Work:
        model, behaviour = self.model, self.model.behaviour
        endpoint = ENDPOINTS.get(path.removeprefix(b"/v1"))
        if path == SETTINGS:
            return self._settings(raw)
        if endpoint is None:
            return self._write(404, error("chat", 404))
        model.requests += 1
        if model.keep:
            named = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in headers}
            model.seen.append(Seen(path.decode("latin-1"), named, raw))
            if len(model.seen) > model.keep:
                model.seen.popleft()
        faulty = model.faulty()
        if faulty and (behaviour.stall or behaviour.hang_up):
            return self._silence(behaviour)
        if behaviour.first_byte_seconds:
            return self._slowly(endpoint, raw, faulty, behaviour)
        return self._begin(endpoint, raw, faulty, behaviour)

    def _settings(self, raw: bytes) -> Work:
        if raw:
            try:
                self.model.set(raw)
            except msgspec.MsgspecError as e:
                return self._write(400, encode({"error": str(e)}))
        told = {"requests": self.model.requests, "connections": self.model.connections}
        return self._write(200, encode(told | {"behaviour": self.model.behaviour}))

    async def _silence(self, behaviour: Behaviour) -> None:
        if behaviour.hang_up:
            self.transport.abort()
        else:
            await asyncio.get_running_loop().create_future()  # until the client leaves

    async def _slowly(self, endpoint: str, raw: bytes, faulty: bool, behaviour: Behaviour) -> None:
        await asyncio.sleep(behaviour.first_byte_seconds * (0.5 + zlib.crc32(raw) % 1024 / 1024))
        work = self._begin(endpoint, raw, faulty, behaviour)
        if work is not None:
            await work

    def _begin(self, endpoint: str, raw: bytes, faulty: bool, behaviour: Behaviour) -> Work:
        if faulty and behaviour.status != 200:
            return self._write(behaviour.status, error(endpoint, behaviour.status), behaviour.retry_after)
        try:
            said = (answer_again if len(raw) < MOST_KEPT_BYTES else answer)(endpoint, raw, behaviour.chunks)
        except Exception:  # no JSON, or tools and schemas that are none, in one of many ways
            return self._write(400, error(endpoint, 400))
        if isinstance(said, tuple):
            return self._stream(said, faulty, behaviour)
        if faulty and behaviour.cut_after is not None:
            return self._cut(said)
        if behaviour.chunk_seconds:
            return self._after(behaviour.chunk_seconds * behaviour.chunks, said)
        return self._write(200, said)

    async def _after(self, seconds: float, body: bytes) -> None:
        await asyncio.sleep(seconds)
        self._write(200, body)

    def _cut(self, body: bytes) -> Work:
        self.transport.write(_head(200, b"application/json", len(body)) + body[: len(body) // 2])
        self.transport.close()
        return None

    def _stream(self, parts: tuple[bytes, ...], faulty: bool, behaviour: Behaviour) -> Work:
        ends = faulty and (behaviour.cut_after is not None or behaviour.stall_after is not None)
        if ends or behaviour.chunk_seconds:
            return self._steps(parts, faulty, behaviour)
        body = b"".join([b"%x\r\n%b\r\n" % (len(p), p) for p in parts])
        self.transport.write(b"%b%b0\r\n\r\n" % (_head(200, b"text/event-stream", None), body))
        return None

    async def _steps(self, parts: tuple[bytes, ...], faulty: bool, behaviour: Behaviour) -> None:
        self.transport.write(_head(200, b"text/event-stream", None))
        for i, part in enumerate(parts):
            if faulty and i == behaviour.cut_after:
                self.transport.close()
                return
            if faulty and i == behaviour.stall_after:
                await asyncio.get_running_loop().create_future()
            self.transport.write(b"%x\r\n%b\r\n" % (len(part), part))
            await asyncio.sleep(behaviour.chunk_seconds)
        self.transport.write(b"0\r\n\r\n")

    def _write(self, status: int, body: bytes, retry_after: str | None = None) -> Work:
        extra = b"retry-after: %b\r\n" % retry_after.encode() if retry_after else b""
        self.transport.write(_head(status, b"application/json", len(body), extra) + body)
        return None


def _head(status: int, kind: bytes, length: int | None, extra: bytes = b"") -> bytes:
    reason = REASONS.get(status, "Pretend").encode()
    size = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\nx-pretend: yes\r\n%b%b\r\n\r\n" % (
        status,
        reason,
        kind,
        extra,
        size,
    )
