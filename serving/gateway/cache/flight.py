"""One call for all who ask the same at the same time: the first asks the upstream, the others wait."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType

from router_model.serving.gateway.cache.kept import Kept, impersonal

LEADERS = 2  # whom a request waits for; where both failed, the upstream is to blame, and a queue helps nobody

Keep = Callable[[Kept], bool]


class Flight:
    """A leader's ticket: it is told what the upstream answers, and then how it ended.

    As a context it ends as failed where nobody said otherwise, so that those who wait are never left.

    Args:
        landed: is given the answer that others may have, or None.
        keep: whether an answer is fit for others; called once, when it is whole.
        most_bytes: of an answer that is kept.
    """

    __slots__ = ("_bytes", "_chunks", "_keep", "_landed", "_most_bytes")

    def __init__(self, landed: "asyncio.Future[Kept | None]", keep: Keep, most_bytes: int) -> None:
        self._landed = landed
        self._keep = keep
        self._most_bytes = most_bytes
        self._chunks: list[bytes] = []
        self._bytes = 0

    def feed(self, chunk: bytes) -> None:
        """A piece of the body, in order."""
        self._bytes += len(chunk)
        if self._bytes <= self._most_bytes:
            self._chunks.append(chunk)
        else:
            self.fail()

    def done(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], *, tier: str = "", provider: str = ""
    ) -> None:
        """The answer is whole. It is kept if its status is 200 and it is no error in disguise."""
        if self._landed.done():
            return
        kept = Kept(status, impersonal(headers), tuple(self._chunks), tier, provider)
        if status == 200 and kept.size <= self._most_bytes and self._keep(kept):
            self.land(kept)
        else:
            self.fail()

    def fail(self) -> None:
        """There will be no answer for others: it was cut, is too long, or the client left."""
        self._chunks.clear()
        self.land(None)

    def land(self, kept: Kept | None) -> None:
        """Give all who wait this answer, or nothing."""
        if not self._landed.done():
            self._landed.set_result(kept)

    def __enter__(self) -> "Flight":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.fail()


class Air:
    """The requests that are on their way, by their keys.

    Args:
        patience: seconds that a request waits for those before it, at most, all together.
    """

    def __init__(self, patience: float = 30.0) -> None:
        self._patience = patience
        self._flights: dict[bytes, asyncio.Future[Kept | None]] = {}

    async def lead(
        self, key: bytes, find: Callable[[], Awaitable[Kept | None]], keep: Keep, most_bytes: int
    ) -> Kept | Flight:
        """What another's call brought or ``find`` finds, or else the ticket of the call to be made."""
        until = asyncio.get_running_loop().time() + self._patience
        for _ in range(LEADERS):
            landed = self._flights.get(key)
            if landed is None or landed.done():
                break
            left = until - asyncio.get_running_loop().time()
            await asyncio.wait((landed,), timeout=max(0.0, left))
            if not landed.done():
                break  # and take its place: it may have been forgotten
            kept = landed.result()
            if kept is not None:
                return kept
        flight = self._take_off(key, keep, most_bytes)
        try:
            kept = await find()
        except BaseException:
            flight.fail()
            raise
        if kept is None:
            return flight
        flight.land(kept)
        return kept

    def alone(self, keep: Keep, most_bytes: int) -> Flight:
        """A ticket that nobody waits for."""
        return Flight(asyncio.get_running_loop().create_future(), keep, most_bytes)

    def _take_off(self, key: bytes, keep: Keep, most_bytes: int) -> Flight:
        landed: asyncio.Future[Kept | None] = asyncio.get_running_loop().create_future()
        self._flights[key] = landed
        landed.add_done_callback(lambda _: self._landed(key, landed))
        return Flight(landed, keep, most_bytes)

    def _landed(self, key: bytes, landed: "asyncio.Future[Kept | None]") -> None:
        if self._flights.get(key) is landed:
            del self._flights[key]
