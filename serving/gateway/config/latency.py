"""How soon answers should come."""

from typing import Annotated

from msgspec import Meta

from router_model.serving.gateway.config.part import Count, Part, Seconds, Share, Usd


class Latency(Part, frozen=True):
    """The latency wish: providers of a tier whose moving percentile is over it come last; and time's price.

    Attributes:
        first_byte_seconds: the wish for the first byte of streams; none means no wish.
        total_seconds: the wish for the end of all answers.
        percentile: of which the wish speaks, and the price.
        window: calls that the percentile is taken over.
        hysteresis: a provider that is out comes back at the wish less this share, so that it does not flap.
        usd_per_second: what a second of waiting costs beside the call: tiers are chosen by it too.
    """

    first_byte_seconds: Seconds | None = None
    total_seconds: Seconds | None = None
    percentile: Annotated[float, Meta(gt=0, lt=100)] = 95.0
    window: Count = 200
    hysteresis: Share = 0.2
    usd_per_second: Usd = 0.0
