"""One figure for a whole router: its mean quality over the costs that its tiers span, against the constants'.

N: rows, K: tiers, L: penalties, T: target costs, R: resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.data.split import folds
from router_model.training.curve import choose, penalty_grid
from router_model.training.evaluation.bootstrap import Bootstrap, Interval
from router_model.training.evaluation.hull import Hull
from router_model.training.evaluation.means import Means
from router_model.training.evaluation.metrics import average_quality

Floats = NDArray[np.float64]
FOLDS = 5
TARGETS = 32  # costs at which the gain is measured, evenly over the range


@dataclass(frozen=True)
class Aiq:
    """Average improvement in quality (RouterBench, Hu et al. 2024), a mean outcome in [0, 1].

    Attributes:
        cost_range_usd_per_1000: from the cheapest to the dearest constant, what the means are over.
        router: of the hull of the router's policy at every penalty, without the constants and the guard.
        constants: of the hull of the constants, RouterBench's Zero router.
        gain: mean of what the router's hull gives more than the constants' at equal cost, its corners
            chosen on other rows. ``router`` less ``constants`` is more: a hull is drawn through the luckiest
            points, and through enough points of a router that knows nothing it is above the constants'.
    """

    cost_range_usd_per_1000: Interval
    router: float
    router_interval: Interval
    constants: float
    constants_interval: Interval
    gain: float
    gain_interval: Interval


def aiq(probabilities: Floats, relative_cost: Floats, labels: Labels, bootstrap: Bootstrap) -> Aiq:
    """Measure on rows whose every tier is known.

    AIQ is NaN where all constants cost the same, the gain where all rows share one group.

    Args:
        probabilities: float64 [N, K].
        relative_cost: float64 [K], what the policy holds the tiers' costs to be.
        labels: of the rows.
        bootstrap: over the rows' groups.
    """
    choices = choose(probabilities, relative_cost, penalty_grid(probabilities, relative_cost))  # [N, L]
    quality = np.take_along_axis(labels.outcomes, choices, axis=1)  # [N, L]
    cost = np.take_along_axis(labels.cost_usd, choices, axis=1)  # [N, L]
    sample, drawn = Means.over(labels.outcomes, labels.cost_usd, quality, cost, bootstrap)
    price = sample.cost[0]  # [K]
    held_out = _held_out(quality, cost, price, bootstrap)
    sample_gain, drawn_gain = Means.over(labels.outcomes, labels.cost_usd, *held_out, bootstrap)
    mixes = sample_gain.mixes()
    (own, constants), draws = _averages(sample)[0], _averages(drawn)
    return Aiq(
        cost_range_usd_per_1000=(float(price.min()) * 1000, float(price.max()) * 1000),
        router=float(own),
        router_interval=bootstrap.interval(draws[:, 0]),
        constants=float(constants),
        constants_interval=bootstrap.interval(draws[:, 1]),
        gain=float(sample_gain.gain_over(mixes).mean()),
        gain_interval=bootstrap.interval(drawn_gain.gain_over(mixes).mean(axis=1)),
    )


def _averages(means: Means) -> Floats:
    """AIQ of the router and of the constants: [R, 2]."""
    low, high = means.cost.min(axis=1), means.cost.max(axis=1)
    router = average_quality(means.own_cost, means.own_quality, low, high)
    return np.stack([router, average_quality(means.cost, means.quality, low, high)], axis=1)


def _held_out(quality: Floats, cost: Floats, price: Floats, bootstrap: Bootstrap) -> tuple[Floats, Floats]:
    """Each row's quality and cost on the hull of the other folds' rows at each target: [N, L] -> [N, T]."""
    targets = price.min() + (np.arange(TARGETS) + 0.5) / TARGETS * (price.max() - price.min())
    held_quality, held_cost = np.full((2, len(quality), TARGETS), np.nan)
    if bootstrap.count < 2:
        return held_quality, held_cost
    fold_of = folds(bootstrap.group_of, min(FOLDS, bootstrap.count), bootstrap.seed)
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        hull = Hull(quality[~inside].mean(axis=0), cost[~inside].mean(axis=0))
        shares = np.array([hull.at_cost(target).shares(quality.shape[1]) for target in targets]).T  # [L, T]
        held_quality[inside], held_cost[inside] = quality[inside] @ shares, cost[inside] @ shares
    return held_quality, held_cost
