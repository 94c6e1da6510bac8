"""Whether logs can tell what other decisions would have given: did they ever choose so, for such requests?

Where a choice is possible, its inverse probability has mean 1 over the draws of the log (it is the mean of
1 {chosen = decided} / p). So the mean weight of the decisions for a tier is the share of them that the log
could have shown at all, and no model of the choices is needed to see that a share is missing.

N: logged requests, K: tiers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.training.evaluation.off_policy import estimate

Floats = NDArray[np.float64]
MOST_MISSING = 0.1  # share of all requests that may lack support: of so few, the outcome model may tell
NOT_RARE = 0.05  # share of all requests from which a tier must have been logged now and then
MIN_AGREEING = 10  # logged requests by which a tier counts as logged now and then
MIN_EFFECTIVE = 30.0  # effective rows below which a normal interval is a guess
CERTAIN = 1 - 1e-9


@dataclass(frozen=True)
class TierSupport:
    """What the log knows of the decisions for one tier.

    Attributes:
        tier: its name.
        decided: share of all requests decided for it.
        agreeing: how many of these the log sent to it too.
        supported: share of these that the log could have sent to it, estimated; it may come out above 1.
        at_most: upper bound of ``supported``, at least 0.
    """

    tier: str
    decided: float
    agreeing: int
    supported: float
    at_most: float

    @property
    def missing(self) -> float:
        """Share of all requests that are decided for this tier and surely lack support."""
        return self.decided * max(0.0, 1 - self.at_most)


def measure_support(
    decided: NDArray[np.int64],
    chosen: NDArray[np.int64],
    propensity: Floats,
    groups: NDArray[np.int64],
    ladder: Ladder,
    confidence: float,
) -> tuple[TierSupport, ...]:
    """The support of decisions int64 [N] by logged choices int64 [N] of these probabilities [N]."""
    weight = np.where(decided == chosen, 1 / propensity, 0.0)
    found = []
    for k, name in enumerate(ladder.names):
        rows = decided == k
        if not rows.any():
            found.append(TierSupport(name, 0.0, 0, 1.0, 1.0))
            continue
        mean = estimate(weight[rows], groups[rows], confidence)
        agreeing = int((chosen[rows] == k).sum())
        found.append(TierSupport(name, float(rows.mean()), agreeing, mean.value, mean.high))
    return tuple(found)


def refuse_unsupported(support: Sequence[TierSupport], propensity: Floats, effective: float) -> None:
    """Stop where the logs cannot tell; ``effective`` are the effective rows of the quality.

    Raises:
        DataError: decisions for more than a tenth of all requests could not have been logged, a tier that
            is decided for a twentieth or more was hardly ever, or the effective rows are too few.
    """
    lacking = [tier for tier in support if tier.missing > 0 or _rare(tier)]
    if sum(tier.missing for tier in support) > MOST_MISSING or any(map(_rare, support)):
        certain = bool((propensity >= CERTAIN).all())
        why = "its choices were deterministic: each was certain, and " if certain else ""
        raise DataError(
            f"the log does not support these decisions: {why}"
            f"{'; '.join(map(_lack, lacking))}. "
            "Ask for a dial whose decisions are nearer to the log's, or choose a share of tiers at random "
            "(even a few percent), log their propensity, and replay that"
        )
    if effective < MIN_EFFECTIVE:
        raise DataError(
            f"the log supports these decisions by {effective:.1f} effective requests with an outcome, "
            f"too few for an interval; give more requests, exploration or feedback, for {MIN_EFFECTIVE:g}"
        )


def _rare(tier: TierSupport) -> bool:
    return tier.decided >= NOT_RARE and tier.agreeing < MIN_AGREEING


def _lack(tier: TierSupport) -> str:
    share = f"{tier.decided:.1%} of the requests would go to {tier.tier!r}"
    if tier.agreeing < MIN_AGREEING:
        times = {0: "never", 1: "once"}.get(tier.agreeing, f"{tier.agreeing} times")
        return f"{share}, where the log sent such requests {times}"
    return f"{share}, where it could have sent at most {tier.at_most:.0%} of them"
