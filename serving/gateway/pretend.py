"""Pretend models: a small server with the endpoints, streams, usage and faults of real ones, and no model.

For ``serve --demo``, for tests, and as the upstream of benchmarks; ``python -m
router_model.serving.gateway.pretend --port 9000`` runs one alone.
"""

import argparse
import asyncio
import contextlib
import sys
import threading
import zlib
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import httptools
import msgspec

from router_model.serving.gateway.pretend_shapes import encode, error, events, say, whole

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
START_SECONDS = 10.0
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}


class Behaviour(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a pretend model behaves; may be changed while it runs.

    Attributes:
        chunks: pieces of an answer's text, 1 or more.
        first_byte_seconds: before an answer begins; half to one and a half of it, by the request's bytes.
        chunk_seconds: between two events of a stream; for an answer that is no stream, all of them at once.
        status: what the faulty requests get.
        retry_after: of a faulty answer, as its header says it.
        stall: whether faulty requests get no answer at all.
        stall_after, cut_after: of faulty requests: events of a stream until nothing more comes, or until the
            connection breaks; an answer that is no stream breaks in its middle where ``cut_after`` is given.
        hang_up: whether the connection of a faulty request is closed without an answer.
        share: of requests that are faulty, evenly spread.
        close: whether a connection is closed after each answer.
    """

    chunks: int = 20
    first_byte_seconds: float = 0.0
    chunk_seconds: float = 0.0
    status: int = 200
    retry_after: str | None = None
    stall: bool = False
    stall_after: int | None = None
    cut_after: int | None = None
    hang_up: bool = False
    share: float = 1.0
    close: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Pretend:
    """A pretend model that listens.

    Attributes:
        behaviour: change its fields at any time.
        host, port: port 0 takes a free one, which ``port`` tells after ``open``.
        keep: of the last requests, in ``seen``.
        requests: that asked an endpoint.
        left: of these, those whose client left before their answer was whole.
        connections: that were ever made.
    """

    behaviour: Behaviour = field(default_factory=Behaviour)
    host: str = "127.0.0.1"
    port: int = 0
    keep: int = 0
    requests: int = 0
    left: int = 0
    connections: int = 0
    seen: deque[Seen] = field(default_factory=deque)
    _server: asyncio.Server | None = None
    _open: set["_Connection"] = field(default_factory=set)

    @property
    def base_url(self) -> str:
        """For a provider's ``base_url``."""
        return f"http://{self.host}:{self.port}/v1"

    async def open(self) -> None:
        """Begin to listen, on the same port as before after a ``close``."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self.host, self.port, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop at once: every connection breaks."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._open):
            connection.abort()
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> "Pretend":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def set(self, raw: bytes) -> None:
        """Behave as a JSON object says; what it does not name goes back to its default."""
        self.behaviour = msgspec.json.decode(raw, type=Behaviour)

    def faulty(self) -> bool:
        """Whether the newest request is one of those that go wrong."""
        share = self.behaviour.share
        return int(self.requests * share) != int((self.requests - 1) * share)


class _Connection(asyncio.Protocol):
    """One client's connection; requests are answered one after the other."""

    def __init__(self, model: Pretend) -> None:
        self.model = model
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport
        self.waiting: deque[tuple[bytes, dict[str, str], bytes, bool]] = deque()
        self.task: asyncio.Task[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self.path = b""
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # noqa: S101 - for mypy
        self.transport = transport  # type: ignore[assignment]
        self.model.connections += 1
        self.model._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.model._open.discard(self)
        if self.task is not None and not self.task.done():
            self.model.left += 1
            self.task.cancel()

    def abort(self) -> None:
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._write(400, b"")
            self.transport.close()

    def on_url(self, url: bytes) -> None:
        self.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self.bytes += len(part)
        if self.bytes > MOST_BYTES:
            self.transport.abort()
        else:
            self.parts.append(part)

    def on_message_complete(self) -> None:
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

    def _answer(self, path: bytes, headers: dict[str, str], raw: bytes) -> Work:
        model, behaviour = self.model, self.model.behaviour
        endpoint = ENDPOINTS.get(path.removeprefix(b"/v1"))
        if path == SETTINGS:
            return self._settings(raw)
        if endpoint is None:
            return self._write(404, error("chat", 404))
        model.requests += 1
        if model.keep:
            model.seen.append(Seen(path.decode("latin-1"), headers, raw))
            if len(model.seen) > model.keep:
                model.seen.popleft()
        faulty = model.faulty()
        try:
            body = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.MsgspecError:
            return self._write(400, error(endpoint, 400))
        if faulty and (behaviour.stall or behaviour.hang_up):
            return self._silence(behaviour)
        if behaviour.first_byte_seconds:
            return self._slowly(endpoint, raw, body, faulty, behaviour)
        return self._begin(endpoint, raw, body, faulty, behaviour)

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

    async def _slowly(
        self, endpoint: str, raw: bytes, body: dict[str, Any], faulty: bool, behaviour: Behaviour
    ) -> None:
        await asyncio.sleep(behaviour.first_byte_seconds * (0.5 + zlib.crc32(raw) % 1024 / 1024))
        work = self._begin(endpoint, raw, body, faulty, behaviour)
        if work is not None:
            await work

    def _begin(
        self, endpoint: str, raw: bytes, body: dict[str, Any], faulty: bool, behaviour: Behaviour
    ) -> Work:
        if faulty and behaviour.status != 200:
            return self._write(behaviour.status, error(endpoint, behaviour.status), behaviour.retry_after)
        streams = body.get("stream") is True and endpoint != "embeddings"
        try:
            said = say(raw, body, behaviour.chunks)
            parts = events(endpoint, said, body) if streams else []
            answer = b"" if streams else whole(endpoint, said, body)
        except Exception:  # tools or schemas that are none, in one of many ways
            return self._write(400, error(endpoint, 400))
        if streams:
            return self._stream(parts, faulty, behaviour)
        if faulty and behaviour.cut_after is not None:
            return self._cut(answer)
        if behaviour.chunk_seconds:
            return self._after(behaviour.chunk_seconds * len(said.pieces), answer)
        return self._write(200, answer)

    async def _after(self, seconds: float, answer: bytes) -> None:
        await asyncio.sleep(seconds)
        self._write(200, answer)

    def _cut(self, answer: bytes) -> Work:
        self.transport.write(_head(200, b"application/json", len(answer)) + answer[: len(answer) // 2])
        self.transport.close()
        return None

    def _stream(self, parts: list[bytes], faulty: bool, behaviour: Behaviour) -> Work:
        ends = faulty and (behaviour.cut_after is not None or behaviour.stall_after is not None)
        if ends or behaviour.chunk_seconds:
            return self._steps(parts, faulty, behaviour)
        body = b"".join([b"%x\r\n%b\r\n" % (len(p), p) for p in parts])
        self.transport.write(b"%b%b0\r\n\r\n" % (_head(200, b"text/event-stream", None), body))
        return None

    async def _steps(self, parts: list[bytes], faulty: bool, behaviour: Behaviour) -> None:
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


def start(*models: Pretend) -> None:
    """Have them listen, in a thread of their own that ends with the process."""
    ready = threading.Event()

    async def listen() -> None:
        for model in models:
            await model.open()
        ready.set()
        await asyncio.get_running_loop().create_future()

    threading.Thread(target=asyncio.run, args=(listen(),), name="pretend", daemon=True).start()
    if not ready.wait(START_SECONDS):
        raise TimeoutError(
            f"pretend models did not listen within {START_SECONDS:g} s; see the thread's error"
        )


async def _serve(model: Pretend) -> None:
    async with model:
        print(model.base_url, flush=True)  # noqa: T201 - the result of the command
        await asyncio.get_running_loop().create_future()


def main() -> None:
    """Run one until it is stopped; its URL is printed once it listens."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", default="{}", help="JSON; PUT the same to /pretend to change it")
    asked = parser.parse_args()
    model = Pretend(host=asked.host, port=asked.port)
    try:
        model.set(asked.behaviour.encode())
    except msgspec.MsgspecError as e:
        sys.exit(f"--behaviour: {e}")
    try:
        import uvloop
    except ImportError:  # not on Windows
        run = asyncio.run
    else:
        run = uvloop.run
    with contextlib.suppress(KeyboardInterrupt):
        run(_serve(model))


if __name__ == "__main__":
    main()
