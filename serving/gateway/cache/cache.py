"""What the gateway asks before it calls anyone: was this answered before?"""

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from router_model.errors import GatewayConfigError
from router_model.serving.gateway.cache.flight import Air, Flight
from router_model.serving.gateway.cache.kept import Kept, whole
from router_model.serving.gateway.cache.key import key_of
from router_model.serving.gateway.cache.store import Clock, Memory, Store
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config import Caches, ExactCache

if TYPE_CHECKING:
    from redis.asyncio import Redis

DEFAULT_TEMPERATURE = 1.0  # of the providers, where a request names none


class Cache:
    """Answers to requests that were answered before.

    Args:
        config: which caches there are.
        redis: for answers that replicas share.
        clock: seconds, from anywhere.
        patience: seconds that a request waits for an equal one in the air, at most.

    Raises:
        GatewayConfigError: answers are to be shared, and there is no Redis.
    """

    def __init__(
        self,
        config: Caches,
        redis: "Redis | None" = None,
        clock: Clock = time.monotonic,
        patience: float = 30.0,
    ) -> None:
        self._exact = config.exact
        self._store = _store(config.exact or ExactCache(), redis, clock)
        self._air = Air(patience)

    async def look(self, call: Call, tenant: str, control: str = "") -> Kept | Flight | None:
        """What was answered, or the ticket of who asks, or None where nothing may be kept.

        An equal request in the air is waited for.

        Args:
            call: the request.
            tenant: whose it is; no answer passes from one to another.
            control: the client's ``cache-control``: "no-store" keeps out of the cache, "no-cache" asks
                upstream and keeps what comes.
        """
        directives = {word.strip() for word in control.lower().split(",")} if control else ()
        if self._exact is None or "no-store" in directives or not repeatable(call, self._exact.temperature):
            return None
        key = key_of(call, tenant)
        keep = partial(self._keep, key, call)
        if "no-cache" in directives:
            return self._air.alone(keep, self._exact.entry_bytes)
        return await self._air.lead(key, partial(self._store.get, key), keep, self._exact.entry_bytes)

    async def close(self) -> None:
        """Finish what is being written."""
        await self._store.close()

    def _keep(self, key: bytes, call: Call, kept: Kept) -> bool:
        fit = whole(call.endpoint, kept)
        if fit:
            self._store.put(key, kept)
        return fit


def _store(config: ExactCache, redis: "Redis | None", clock: Clock) -> Store:
    if not config.shared:
        return Memory(config, clock)
    if redis is None:
        raise GatewayConfigError("cache.exact.shared: replicas share answers in Redis; set redis_url_env")
    from router_model.serving.gateway.cache.shared import Shared

    return Shared(config, redis, clock)


def repeatable(call: Call, temperature: float) -> bool:
    """Whether an answer may stand for the next: no state at the provider, and not too random."""
    body = call.body
    if body.get("background") or body.get("conversation"):
        return False
    return call.endpoint == "embeddings" or temperature_of(body) <= temperature


def temperature_of(body: Mapping[str, Any]) -> float:
    """Of a request: the providers' default where it names none, infinity where it is no number."""
    found = body.get("temperature")
    if found is None:
        return DEFAULT_TEMPERATURE
    return float(found) if isinstance(found, int | float) else float("inf")
