"""What a tenant or a key may spend."""

from typing import Annotated, Literal

from msgspec import Meta

from router_model.serving.gateway.config.part import Name, Part, Share

Period = Literal["day", "month"]


class Budget(Part, frozen=True):
    """At most ``usd`` a ``period`` (UTC) for a tenant or a key.

    Attributes:
        tenant, key: whose, one of both.
        lower_from: from this share spent on, the dial is lowered, down to the cheapest tier at 1.
    """

    usd: Annotated[float, Meta(gt=0, le=1e9)]
    period: Period = "day"
    tenant: Name | None = None
    key: Name | None = None
    lower_from: Share = 0.8
