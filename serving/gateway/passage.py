"""The body of an answer on its way to the client: watched, and told to the provider's health at its end."""

import asyncio
from collections import deque
from collections.abc import Callable

from router_model.errors import UpstreamError
from router_model.serving.gateway.pool import Reply
from router_model.serving.gateway.provider import Trip

MOST_HELD_BYTES = 4 << 20  # of an answer that is no stream: so much is read before any of it goes on


class Passage:
    """An asynchronous iterator over the pieces as they came.

    Attributes:
        reply: whose body.
        trip: told how it ended.
        idle_seconds: that the upstream may be silent while a piece is waited for.
        deadline: by the clock, when all of it has to have gone.
        held: pieces that have come and not gone on.
    """

    def __init__(
        self,
        reply: Reply,
        trip: Trip,
        idle_seconds: float,
        deadline: float,
    ) -> None:
        self.reply = reply
        self.trip = trip
        self.idle_seconds = idle_seconds
        self.deadline = deadline
        self._clock = trip.upstream.clock
        self.held: deque[bytes] = deque()
        self._over = False
        self._since = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def __aiter__(self) -> "Passage":
        return self

    async def __anext__(self) -> bytes:
        if self.held:
            return self.held.popleft()
        piece = b"" if self._over else await self._read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def first(self) -> bytes:
        """Read and hold the first piece; empty where the body is."""
        piece = await self._read()
        if piece:
            self.held.append(piece)
        return piece

    async def hold(self) -> None:
        """Read on until the end, or until as much is held as may be: what is cut before then has cost nobody
        anything."""
        held = sum(map(len, self.held))
        while held < MOST_HELD_BYTES and not self._over and (piece := await self._read()):
            self.held.append(piece)
            held += len(piece)

    def close(self) -> None:
        """Let go of the upstream, whether all was read or not."""
        self._finish(self.trip.leave)

    async def _read(self) -> bytes:
        if self._timer is None:
            self._watch()
        self._since = self._clock()
        try:
            piece = await self.reply.read()
        except UpstreamError:
            self._finish(self.trip.failure)
            raise
        self._since = float("inf")
        if not piece:
            self._finish(self.trip.success if self.reply.status < 400 else self.trip.alive)
        return piece

    def _watch(self) -> None:
        """Look whether it is too late, and again when next it may be: one timer for all the pieces."""
        name = self.trip.upstream.provider.name
        idle = self._since + self.idle_seconds - self._clock()
        left = self.deadline - self._clock()
        if left <= 0:
            self.trip.leave()
            self.reply.fail(UpstreamError(f"{name}: the request's time was over before its answer was"))
        elif idle <= 0:
            self.reply.fail(UpstreamError(f"{name}: its answer stopped for {self.idle_seconds:g} s"))
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(idle, self.idle_seconds, left) + 0.001, self._watch)

    def _finish(self, tell: Callable[[], None]) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        tell()
        self.reply.close()
