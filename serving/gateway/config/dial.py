"""The dial of requests that name none."""

from typing import Annotated

from msgspec import Meta

from router_model.serving.gateway.config.part import Count, Name, Part, Share


class Dial(Part, frozen=True):
    """The dial of requests that name none: ``quality``, ``budget`` or ``usd``, or none for the artifact's own.

    Attributes:
        quality, budget: shares of the strongest tier's quality to keep, or of its cost to spend.
        usd: dollars to spend ``per`` time or requests, paced by a price on cost (docs/pacing.md).
        per: "day", "month", or so many requests, as in "1000 requests".
        zone: whose days and months they are, a name of the IANA time zone database.
        requests_per_day: that the first day is expected to bring; afterwards it is learnt.
    """

    quality: Share | None = None
    budget: Share | None = None
    usd: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    per: Annotated[str, Meta(max_length=64)] | None = None
    zone: Name = "UTC"
    requests_per_day: Count | None = None
