"""Where a model stands in a ladder, by its price, and which tiers of two ladders are the same.

K: known tiers, L: tiers of the new ladder.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_model.errors import LadderError
from router_model.ladder import Ladder, Tier


def with_model(ladder: Ladder, tier: Tier, replace: str | None = None) -> Ladder:
    """The ladder with a tier more, where its price puts it, or in the place of the one named ``replace``.

    Raises:
        LadderError: no tier is named so, the tier's name or model is in the ladder, or there are too many.
    """
    if replace is not None:
        place = ladder.index(replace)
        return Ladder((*ladder.tiers[:place], tier, *ladder.tiers[place + 1 :]))
    cheaper = sum(other.cost_usd(1, 1) <= tier.cost_usd(1, 1) for other in ladder.tiers)
    return Ladder((*ladder.tiers[:cheaper], tier, *ladder.tiers[cheaper:]))


def known_tiers(before: Ladder, ladder: Ladder) -> list[int | None]:
    """Of each tier of ``ladder`` the one before that it shares a model with, or None: [L].

    Raises:
        LadderError: a tier joins models of several, or two share one's.
    """
    known: list[int | None] = []
    for tier in ladder.tiers:
        shared = {before.index_of_model(model) for model in tier.models} - {None}
        if len(shared) > 1:
            raise LadderError(f"tier {tier.name!r} joins models of several tiers; give it those of one")
        known.append(shared.pop() if shared else None)
    kept = [tier for tier in known if tier is not None]
    if len(set(kept)) < len(kept):
        raise LadderError(
            "two tiers of the ladder hold models of one of the router's; leave them in one tier"
        )
    return known


def level(levels: NDArray[np.float64], known: Sequence[int | None], place: int) -> float | None:
    """Mean logit to expect of a tier by its price: the mean of its neighbours', or that of its only one.

    Args:
        levels: mean logits of the known tiers [K].
        known: of each tier of the ladder its position among them, or None [L].
        place: of the tier in the ladder.
    """
    below = [levels[tier] for tier in known[:place] if tier is not None]
    above = [levels[tier] for tier in known[place + 1 :] if tier is not None]
    beside = [*below[-1:], *above[:1]]
    return float(np.mean(beside)) if beside else None
