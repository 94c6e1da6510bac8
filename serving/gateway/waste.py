"""Calls that were paid and whose answers nobody got."""

from msgspec import Struct


class Waste(Struct, frozen=True, gc=False):
    """A call that was paid, or is taken to have been, and whose answer was thrown away.

    Attributes:
        tier, provider: who was asked.
        usd: what its tokens cost.
        estimated: whether the provider did not tell all of them.
    """

    tier: str
    provider: str
    usd: float
    estimated: bool
