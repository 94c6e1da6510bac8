"""What is answered without a call."""

from typing import Annotated

from msgspec import Meta

from router_model.serving.gateway.config.part import Count, Part, Seconds, Share


class ExactCache(Part, frozen=True):
    """Answers to requests that are equal but for the order of keys.

    Attributes:
        ttl_seconds: how long an answer is served.
        bytes: of all answers in memory, per worker; Redis has its own bound.
        entry_bytes: a longer answer is not kept.
        temperature: requests above it are not answered from the cache.
        shared: in Redis, for all replicas.
    """

    ttl_seconds: Seconds = 3600.0
    bytes: Count = 256 << 20
    entry_bytes: Count = 1 << 20
    temperature: Annotated[float, Meta(ge=0, le=2)] = 2.0
    shared: bool = False


class SemanticCache(Part, frozen=True):
    """Answers to requests that mean the same, under a bound on the share of wrong answers (vCache).

    Attributes:
        error_rate: the bound.
        verify_share: of would-be hits that are asked upstream all the same, to learn from.
        entries: kept per worker.
        ttl_seconds: how long an answer is served.
        temperature: requests above it are not answered from the cache.
    """

    error_rate: Annotated[float, Meta(gt=0, lt=0.5)] = 0.02
    verify_share: Share = 0.05
    entries: Count = 100_000
    ttl_seconds: Seconds = 3600.0
    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.3


class Caches(Part, frozen=True):
    """What is answered without a call: nothing, unless the file says so."""

    exact: ExactCache | None = None
    semantic: SemanticCache | None = None
