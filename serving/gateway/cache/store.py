"""Where answers are kept, by 32 bytes that name them."""

import time
from collections.abc import Callable
from typing import Protocol

from cachetools import TTLCache

from router_model.serving.gateway.cache.kept import Kept
from router_model.serving.gateway.config.cache import ExactCache

Clock = Callable[[], float]


class Store(Protocol):
    """A place for answers. It may forget any of them at any time, and never raises."""

    async def get(self, key: bytes) -> Kept | None:
        """The answer of that name, if it is there."""
        ...

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer, now or soon."""
        ...

    async def close(self) -> None:
        """Finish what ``put`` began."""
        ...


class Memory:
    """Answers in this process, the least recently used of which go first.

    Args:
        config: time to live, and bytes of all.
        clock: seconds, from anywhere.
    """

    def __init__(self, config: ExactCache, clock: Clock = time.monotonic) -> None:
        self._kept: TTLCache[bytes, Kept] = TTLCache(
            config.bytes, config.ttl_seconds, timer=clock, getsizeof=lambda kept: kept.size
        )

    async def get(self, key: bytes) -> Kept | None:
        """The answer of that name, if it is there."""
        try:
            return self._kept[key]
        except KeyError:  # also where its time is over just now, which TTLCache.get does not bear
            return None

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer, unless it alone is larger than the bound of all."""
        if kept.size <= self._kept.maxsize:
            self._kept[key] = kept

    async def close(self) -> None:
        """Nothing is left to do."""
