"""Small values that are kept for a while: in this worker's memory, and in Redis for all workers and replicas.

A Redis that is slow or down costs what others know of a conversation, and no request.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from router_model.errors import one_line
from router_model.serving.gateway.rest import Rest

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

PREFIX = b"router-model:session:1:"
MOST_BYTES = 1024  # of a value
GET_SECONDS = 0.1  # that a request waits for Redis
PUT_SECONDS = 1.0  # nobody waits for it
MOST_WRITES = 1000  # on their way to Redis


class Store:
    """At most ``entries`` values in memory, the least recently used of which go first, each for ``seconds``.

    Args:
        redis: whose bound on its memory is its own; None where this worker keeps to itself.
        clock: seconds, from anywhere.
    """

    def __init__(
        self,
        entries: int,
        seconds: float,
        redis: "Redis | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries, self._seconds, self._redis, self._clock = entries, seconds, redis, clock
        self._values: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._rest = Rest(clock)
        self._writes: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._values)

    async def get(self, key: bytes) -> bytes | None:
        """The value of that name: of Redis, where others may have put a newer one, or else this worker's."""
        if self._redis is not None and self._rest.over():
            try:
                async with asyncio.timeout(GET_SECONDS):
                    raw = await self._redis.getrange(PREFIX + key, 0, MOST_BYTES)
            except Exception as error:  # whatever a broken Redis does, requests go on
                self._failed(error)
            else:
                self._rest.answered()
                if isinstance(raw, bytes) and 0 < len(raw) <= MOST_BYTES:
                    return raw
        until, value = self._values.get(key, (0.0, b""))
        return value if until > self._clock() else None

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value here, and soon in Redis."""
        self._values[key] = (self._clock() + self._seconds, value)
        self._values.move_to_end(key)
        if len(self._values) > self._entries:
            self._values.popitem(last=False)
        if self._redis is not None and len(self._writes) < MOST_WRITES and self._rest.over():
            task = asyncio.get_running_loop().create_task(self._write(self._redis, key, value))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Wait for what is on its way; the client is its owner's to close."""
        await asyncio.gather(*self._writes)

    async def _write(self, redis: "Redis", key: bytes, value: bytes) -> None:
        try:
            async with asyncio.timeout(PUT_SECONDS):
                await redis.set(PREFIX + key, value, px=max(1, round(1000 * self._seconds)))
            self._rest.answered()
        except Exception as error:  # as above
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if self._rest.failed():
            why = one_line(error) or type(error).__name__
            logger.warning("sessions: no Redis (%s); each worker keeps to what it knows", why)
