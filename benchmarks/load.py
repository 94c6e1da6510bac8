"""A load at a fixed rate: each request goes when it is due, however the last ones fare (an open loop)."""

import asyncio
import json
import random
import select
import selectors
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httptools

ENDS = (b"data: [DONE]\n\n", b"\ndata: [DONE]\n")
TAIL_BYTES = 512
ANSWER_SECONDS = 120.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request; all times in seconds.

    Attributes:
        due: when it was to be sent, since the load began.
        late: how much later it was sent, by this generator's own fault.
        seconds: from when it was due to the last byte of its answer.
        first: to the first byte.
        status: of HTTP; 0 where nothing came.
        whole: whether the answer ended as it should.
        clean: whether it did, or told in its stream that it broke.
        stream: whether it is one.
        provider: who answered, as the gateway says.
        said: the end of what is no answer, or is not whole.
    """

    due: float
    late: float
    seconds: float
    first: float
    status: int
    whole: bool
    clean: bool
    stream: bool
    provider: str
    said: str

    @property
    def good(self) -> bool:
        """Whether the client has what it asked for."""
        return self.status == 200 and self.whole


class Exact(selectors.EpollSelector):
    """One whose timeouts are exact to some microseconds; epoll's own are to one millisecond."""

    def select(self, timeout: float | None = None) -> Any:
        """Wait by a call that takes microseconds for epoll to have something, and then ask it."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in a loop with exact timers."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Exact())) as runner:
        return runner.run(work())


def bodies(model: str, stream_share: float = 0.0, seed: int = 0, **more: Any) -> list[bytes]:
    """Bodies for chat completions with the starter corpus' prompts, in an order that is always the same."""
    from router_model.data.corpus import starter_records

    chance = random.Random(seed)  # noqa: S311  # not a secret
    prompts = [record.prompt.text for record in starter_records()]
    chance.shuffle(prompts)
    made = []
    for prompt in prompts:
        stream = {"stream": True} if chance.random() < stream_share else {}
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], **more, **stream}
        made.append(json.dumps(body).encode())
    return made


@dataclass
class Load:
    """Requests to one server, over as many connections as there are requests in the air.

    Attributes:
        url: up to and without ``/chat/completions``.
        bodies: sent in turn.
        headers: beside those of HTTP.
    """

    url: str
    bodies: Sequence[bytes]
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self._place = (parts.hostname or "", parts.port or 80)
        head = f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        self._head = head + "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        self._idle: list[_Line] = []

    async def at_rate(self, rate: float, seconds: float) -> list[Reply]:
        """Send ``rate`` requests a second for so long; their replies in the order of sending."""
        loop = asyncio.get_running_loop()
        began = loop.time() + 0.05
        tasks = []
        for number in range(round(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(due - loop.time())
            tasks.append(asyncio.ensure_future(self._send(number, due, began)))
        return await self._all(tasks)

    async def at_once(self, lanes: int, count: int) -> list[Reply]:
        """Send ``count`` requests, ``lanes`` at a time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        numbers = iter(range(count))

        async def lane() -> list[Reply]:
            return [await self._send(number, loop.time(), began) for number in numbers]

        return [reply for replies in await self._all([lane() for _ in range(lanes)]) for reply in replies]

    async def _all(self, work: Sequence[Any]) -> list[Any]:
        try:
            return await asyncio.gather(*work)
        finally:
            while self._idle:
                self._idle.pop().close()

    async def _send(self, number: int, due: float, began: float) -> Reply:
        loop = asyncio.get_running_loop()
        body = self.bodies[number % len(self.bodies)]
        late = loop.time() - due
        line = _Line()
        try:
            while self._idle and (line := self._idle.pop()).closed:
                pass
            if not line.open or line.closed:
                _, line = await loop.create_connection(_Line, *self._place)
            head = f"{self._head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            async with asyncio.timeout(ANSWER_SECONDS):
                await line.ask(head.encode() + body)
        except (OSError, TimeoutError):
            line.close()
        now = loop.time()
        stream = b'"stream": true' in body
        whole = line.whole and (not stream or line.status != 200 or line.tail.endswith(ENDS))
        clean = whole or (line.whole and b'"error"' in line.tail)
        said = "" if line.status == 200 and whole else bytes(line.tail[-300:]).decode("utf-8", "replace")
        reply = Reply(
            due - began,
            late,
            now - due,
            (line.first or now) - due,
            line.status,
            whole,
            clean,
            stream,
            line.headers.get(b"x-router-provider", b"").decode(),
            said,
        )
        if line.kept:
            self._idle.append(line)
        else:
            line.close()
        return reply


class _Line(asyncio.Protocol):
    """A connection, and the answer that comes over it."""

    def __init__(self) -> None:
        self.open = self.closed = self.kept = False
        self.transport: asyncio.Transport
        self.done: asyncio.Future[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status, self.first, self.whole, self.kept = 0, 0.0, False, False
        self.headers: dict[bytes, bytes] = {}
        self.tail = bytearray()

    async def ask(self, raw: bytes) -> None:
        """Send a request and wait for the end of its answer, or of the connection."""
        self._reset()
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(raw)
        await self.done

    def close(self) -> None:
        """Close it."""
        if self.open and not self.closed:
            self.closed = True
            self.transport.abort()

    def connection_made(self, transport: Any) -> None:
        """Ready."""
        self.transport, self.open = transport, True

    def connection_lost(self, exc: Exception | None) -> None:
        """Over."""
        self.closed, self.kept = True, False
        self._end()

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the parser."""
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Of the parser."""
        self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Of the parser."""
        self.first = self.first or asyncio.get_running_loop().time()
        self.tail += body
        del self.tail[:-TAIL_BYTES]

    def on_message_complete(self) -> None:
        """Of the parser."""
        self.whole, self.kept = True, self.parser.should_keep_alive()
        self._end()

    def _end(self) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(None)


def at(replies: Sequence[float], share: float) -> float:
    """A percentile, by the nearest rank."""
    ordered = sorted(replies)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
