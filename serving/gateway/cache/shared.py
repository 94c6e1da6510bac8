"""Answers in Redis, for all replicas. A Redis that is slow, down or restarts costs hits and no request."""

import asyncio
import logging
import time

from router_model.errors import GatewayConfigError, MissingExtraError
from router_model.serving.gateway.cache.frame import framed, unframed
from router_model.serving.gateway.cache.kept import Kept
from router_model.serving.gateway.cache.store import Clock
from router_model.serving.gateway.config.cache import ExactCache
from router_model.serving.gateway.rest import Rest

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
except ModuleNotFoundError as error:
    raise MissingExtraError("Redis needs its client: pip install 'router-model[redis]'") from error

log = logging.getLogger(__name__)

PREFIX = b"router-model:answer:1:"
GET_SECONDS = 0.01
PUT_SECONDS = 1.0  # nobody waits for it
WAITING_BYTES = 16 << 20  # of answers on their way to Redis; beyond it they are not kept
CONNECTIONS = 64


def connect(url: str) -> Redis:
    """A client that opens its connections as they are needed, and asks again once where one broke.

    Raises:
        GatewayConfigError: this is no URL of Redis; the message leaves it out, as it may hold a password.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=PUT_SECONDS,
            socket_timeout=PUT_SECONDS,
            socket_connect_timeout=PUT_SECONDS,
            retry=Retry(NoBackoff(), 1),
            decode_responses=False,
        )
    except ValueError:
        raise GatewayConfigError("redis_url_env: not a URL of Redis; give redis://host:6379/0") from None
    return Redis.from_pool(pool)


class Shared:
    """A store in Redis.

    Args:
        config: time to live, and bytes of one answer.
        redis: whose bound on its memory is its own.
        clock: seconds, from anywhere.
        seconds: that a request waits for Redis.
    """

    def __init__(
        self,
        config: ExactCache,
        redis: Redis,
        clock: Clock = time.monotonic,
        seconds: float = GET_SECONDS,
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._seconds = seconds
        self._milliseconds = max(1, round(1000 * config.ttl_seconds))
        self._most_bytes = 2 * config.entry_bytes  # a frame has lengths beside the answer
        self._rest = Rest(clock)
        self._waiting_bytes = 0
        self._writes: set[asyncio.Task[None]] = set()

    async def get(self, key: bytes) -> Kept | None:
        """The answer of that name, if Redis has it, says so in time, and it is one."""
        if not self._rest.over():
            return None
        try:
            async with asyncio.timeout(self._seconds):
                raw = await self._redis.getrange(PREFIX + key, 0, self._most_bytes)
        except (RedisError, OSError) as error:  # TimeoutError among them
            self._failed(error)
            return None
        self._rest.answered()
        return unframed(key, raw) if isinstance(raw, bytes) and len(raw) <= self._most_bytes else None

    def put(self, key: bytes, kept: Kept) -> None:
        """Send an answer to Redis soon, unless it is down or too much is on its way."""
        raw = framed(key, kept)
        waiting = self._waiting_bytes + len(raw)
        if len(raw) > self._most_bytes or waiting > WAITING_BYTES or not self._rest.over():
            return
        self._waiting_bytes = waiting
        task = asyncio.get_running_loop().create_task(self._write(key, raw))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Wait for what is on its way; the client is its owner's to close."""
        await asyncio.gather(*self._writes)

    async def _write(self, key: bytes, raw: bytes) -> None:
        try:
            async with asyncio.timeout(PUT_SECONDS):
                await self._redis.set(PREFIX + key, raw, px=self._milliseconds)
            self._rest.answered()
        except (RedisError, OSError) as error:
            self._failed(error)
        finally:
            self._waiting_bytes -= len(raw)

    def _failed(self, error: Exception) -> None:
        if self._rest.failed():
            log.warning("Redis does not answer, and is left alone for a while: %s", type(error).__name__)
