"""What the gateway asks before it calls anyone: was this answered before?"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from router_model.errors import GatewayConfigError
from router_model.serving.gateway.cache.flight import Air, Flight
from router_model.serving.gateway.cache.kept import Kept, whole
from router_model.serving.gateway.cache.key import key_of
from router_model.serving.gateway.cache.question import Question, question_of
from router_model.serving.gateway.cache.saying import saying_of
from router_model.serving.gateway.cache.store import Clock, Memory, Store
from router_model.serving.gateway.call import Call, Endpoint
from router_model.serving.gateway.config.cache import Caches, ExactCache, SemanticCache

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from router_model.serving.gateway.cache.semantic import Judge, Semantic, Try

log = logging.getLogger(__name__)

SEMANTIC_BYTES = 64 << 10  # of an answer that is kept where there is no exact cache
LESSONS = 256  # at a time; a judge may be slow
DEFAULT_TEMPERATURE = 1.0  # of the providers, where a request names none


class Cache:
    """Answers to requests that were answered before.

    Args:
        config: which caches there are.
        redis: for answers that replicas share.
        clock: seconds, from anywhere.
        patience: seconds that a request waits for an equal one in the air, at most.
        judge: says whether an answer would have been right in the place of another, from which the semantic
            cache learns; none means that they must be the same words.
        redis_seconds: that a request waits for Redis.

    Attributes:
        semantic: the cache of like requests, with its tally; none where there is none.

    Raises:
        GatewayConfigError: answers are to be shared, and there is no Redis.
        MissingExtraError: packages of the extra ``redis`` or ``semantic`` are needed and missing.
    """

    def __init__(
        self,
        config: Caches,
        redis: "Redis | None" = None,
        clock: Clock = time.monotonic,
        patience: float = 30.0,
        judge: "Judge | None" = None,
        redis_seconds: float = 0.01,
    ) -> None:
        self._config = config
        self._store = _store(config.exact, redis, clock, redis_seconds) if config.exact else None
        self.semantic = _semantic(config.semantic, judge, clock) if config.semantic else None
        self._most_bytes = config.exact.entry_bytes if config.exact else SEMANTIC_BYTES
        self._air = Air(patience)
        self._lessons: set[asyncio.Task[None]] = set()

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
        if "no-store" in directives:
            return None
        errand = self._errand(call, tenant)
        if errand is None:
            return None
        keep = partial(self._keep, errand)
        if "no-cache" in directives:
            return self._air.alone(keep, self._most_bytes)
        return await self._air.lead(errand.key, partial(self._find, errand), keep, self._most_bytes)

    async def close(self) -> None:
        """Finish what is being written and learned."""
        await asyncio.gather(*self._lessons)
        if self._store:
            await self._store.close()

    def _errand(self, call: Call, tenant: str) -> "Errand | None":
        config = self._config
        exact = self._store is not None and config.exact and repeatable(call, config.exact.temperature)
        question = None
        if config.semantic and repeatable(call, config.semantic.temperature):
            question = question_of(call, tenant)
        if not exact and question is None:
            return None
        return Errand(call.endpoint, key_of(call, tenant), bool(exact), question)

    async def _find(self, errand: "Errand") -> Kept | None:
        kept = await self._store.get(errand.key) if self._store and errand.exact else None
        if kept is not None or self.semantic is None or errand.question is None:
            return kept
        errand.attempt = self.semantic.find(errand.question)
        return errand.attempt.kept

    def _keep(self, errand: "Errand", kept: Kept) -> bool:
        if not whole(errand.endpoint, kept):
            return False
        if self._store and errand.exact:
            self._store.put(errand.key, kept)
        saying = saying_of(errand.endpoint, kept) if errand.attempt else None
        if saying and errand.attempt and len(self._lessons) < LESSONS:
            task = asyncio.get_running_loop().create_task(self._learn(errand.attempt, kept, saying))
            self._lessons.add(task)
            task.add_done_callback(self._lessons.discard)
        return True

    async def _learn(self, attempt: "Try", kept: Kept, saying: str) -> None:
        if self.semantic is None:
            return
        try:
            await self.semantic.learn(attempt, kept, saying)
        except Exception as error:  # whatever the judge, which is somebody else's, raises
            log.warning("an outcome of the semantic cache was not judged: %s", type(error).__name__)


@dataclass(slots=True)
class Errand:
    """What one request wants of the caches.

    Attributes:
        key: of requests that are equal to it.
        exact: whether the answer of an equal one is right.
        question: of which others may be alike; none means that the semantic cache has no part in it.
        attempt: what the semantic cache found.
    """

    endpoint: Endpoint
    key: bytes
    exact: bool
    question: Question | None
    attempt: "Try | None" = None


def _store(config: ExactCache, redis: "Redis | None", clock: Clock, seconds: float) -> Store:
    if not config.shared:
        return Memory(config, clock)
    if redis is None:
        raise GatewayConfigError("cache.exact.shared: replicas share answers in Redis; set redis_url_env")
    from router_model.serving.gateway.cache.shared import Shared

    return Shared(config, redis, clock, seconds)


def _semantic(config: SemanticCache, judge: "Judge | None", clock: Clock) -> "Semantic":
    from router_model.serving.gateway.cache.semantic import Semantic, same_words

    return Semantic(config, judge=judge or same_words, clock=clock)


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
