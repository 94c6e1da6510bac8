"""How much is done at once: room reserved for each tier, a bounded queue, and a refusal that says when."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from time import monotonic

from router_model.errors import GatewayConfigError, RequestError
from router_model.serving.gateway.config.capacity import Capacity as CapacityConfig


class Capacity:
    """The requests that are at upstreams and those that wait, by tier.

    A tier may always use what is reserved for it; what is reserved for nobody is for all. Those who wait are
    let in a tier at a time, so that a flood of one starves no other, in the room or in the queue: where the
    queue is full, the newest of the tier that waits most gives way to a tier that waits less.

    Attributes:
        config: of the file.
        tiers: all names that ``room`` will be asked for.
        clock: seconds that only grow.

    Raises:
        GatewayConfigError: more is reserved than there is.
    """

    def __init__(
        self, config: CapacityConfig, tiers: Iterable[str], clock: Callable[[], float] = monotonic
    ) -> None:
        self.config = config
        self.clock = clock
        self.running = dict.fromkeys(tiers, 0)
        self._queues: dict[str, deque[asyncio.Future[None]]] = {t: deque() for t in self.running}
        self._waiting = 0
        self._seconds = 1.0  # moving mean of how long a request holds its place
        reserved = sum(config.reserved.get(t, 0) for t in self.running)
        self._shared = config.concurrency - reserved
        if self._shared < 0 or not all(self._size(t) for t in self.running):
            raise GatewayConfigError(
                f"capacity: {reserved} of {config.concurrency} places are reserved, which leaves some tier "
                "none; reserve less or raise concurrency"
            )

    @property
    def waiting(self) -> dict[str, int]:
        """Requests that wait, by tier."""
        return {t: len(q) for t, q in self._queues.items()}

    @asynccontextmanager
    async def room(self, tier: str) -> AsyncIterator[None]:
        """A place for one request of a tier, held until the block is left.

        Raises:
            RequestError: 429, the queue is full or the wait was too long.
        """
        if self._fits(tier) and not self._queues[tier]:
            self.running[tier] += 1
        else:
            await self._wait(tier)
        begun = self.clock()
        try:
            yield
        finally:
            self._seconds += 0.05 * (self.clock() - begun - self._seconds)
            self._leave(tier)

    def _size(self, tier: str) -> int:
        return self.config.reserved.get(tier, 0) + self._shared

    def _fits(self, tier: str) -> bool:
        reserved = self.config.reserved
        if self.running[tier] < reserved.get(tier, 0):
            return True
        return sum(max(0, n - reserved.get(t, 0)) for t, n in self.running.items()) < self._shared

    async def _wait(self, tier: str) -> None:
        if self._waiting >= self.config.queue:
            self._give_way(tier)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues[tier].append(place)
        self._waiting += 1
        try:
            async with asyncio.timeout(self.config.queue_seconds):
                await place
        except BaseException as e:
            self._forget(tier, place)
            if isinstance(e, TimeoutError):
                raise self._refusal(tier) from None
            raise

    def _forget(self, tier: str, place: "asyncio.Future[None]") -> None:
        """One who waited has gone; the place that was already given goes to the next."""
        if place.done() and not place.cancelled() and place.exception() is None:
            self._leave(tier)
        elif place in self._queues[tier]:
            self._queues[tier].remove(place)
            self._waiting -= 1

    def _give_way(self, tier: str) -> None:
        longest = max(self._queues, key=lambda t: len(self._queues[t]))
        if len(self._queues[longest]) <= len(self._queues[tier]) + 1:
            raise self._refusal(tier)
        self._waiting -= 1
        place = self._queues[longest].pop()
        if not place.done():  # its client may have left in this very turn
            place.set_exception(self._refusal(longest))

    def _leave(self, tier: str) -> None:
        self.running[tier] -= 1
        for name in list(self._queues):
            queue = self._queues[name]
            while queue and self._fits(name):
                place = queue.popleft()
                self._waiting -= 1
                if place.done():
                    continue
                self.running[name] += 1
                place.set_result(None)
                self._queues[name] = self._queues.pop(name)  # the last in turn next time
                break

    def _refusal(self, tier: str) -> RequestError:
        seconds = (len(self._queues[tier]) + 1) * self._seconds / self._size(tier)
        return RequestError(
            429,
            "rate_limit_error",
            f"The gateway is busy: tier {tier} has {self.running[tier]} requests at work and "
            f"{len(self._queues[tier])} that wait. Try again later.",
            retry_after=min(max(1.0, seconds), 60.0),
        )
