"""How often and when a provider is asked again."""

from typing import Annotated

from msgspec import Meta

from router_model.serving.gateway.config.part import Part, Seconds


class Retry(Part, frozen=True):
    """How often and when to ask again.

    Attributes:
        attempts: calls to upstreams for one request, all providers and tiers together.
        base_seconds, most_seconds: full jitter between 0 and base * 2^n, at most the second.
        most_retry_after_seconds: a provider's ``retry-after`` beyond it counts as out of service so long.
        connect_seconds: until a connection stands.
        first_byte_seconds: until the answer begins.
        idle_seconds: between two chunks of an answer.
        upwards: whether a stronger tier may answer where every provider of the tier failed.
        hedge_after_seconds: ask a second provider of the tier too after so long without a first byte; none
            means never.
    """

    attempts: Annotated[int, Meta(ge=1, le=16)] = 4
    base_seconds: Seconds = 0.1
    most_seconds: Seconds = 2.0
    most_retry_after_seconds: Seconds = 5.0
    connect_seconds: Seconds = 5.0
    first_byte_seconds: Seconds = 120.0
    idle_seconds: Seconds = 60.0
    upwards: bool = True
    hedge_after_seconds: Seconds | None = None
