"""One figure for a whole router: its mean quality over the costs that its tiers span, against the constants'.

N: rows, K: tiers, L: penalties, R: resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.training.curve import choose, penalty_grid
from router_model.training.evaluation.bootstrap import Bootstrap, Interval
from router_model.training.evaluation.metrics import average_quality

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Aiq:
    """Average improvement in quality (RouterBench, Hu et al. 2024), a mean outcome in [0, 1].

    Attributes:
        cost_range_usd_per_1000: from the cheapest to the dearest constant, what the mean is over.
        router: of the hull of the router's policy at every penalty, without the constants and the guard.
        constants: of the hull of the constants, RouterBench's Zero router.
        gain: ``router`` less ``constants``, with a paired interval.
    """

    cost_range_usd_per_1000: Interval
    router: float
    router_interval: Interval
    constants: float
    constants_interval: Interval
    gain: float
    gain_interval: Interval


def aiq(probabilities: Floats, relative_cost: Floats, labels: Labels, bootstrap: Bootstrap) -> Aiq:
    """Measure AIQ on rows whose every tier is known; NaN where all constants cost the same.

    Args:
        probabilities: float64 [N, K].
        relative_cost: float64 [K], what the policy holds the tiers' costs to be.
        labels: of the rows.
        bootstrap: over the rows' groups.
    """
    choices = choose(probabilities, relative_cost, penalty_grid(probabilities, relative_cost))  # [N, L]
    values = np.hstack(
        [
            labels.cost_usd,
            labels.outcomes,
            np.take_along_axis(labels.cost_usd, choices, axis=1),
            np.take_along_axis(labels.outcomes, choices, axis=1),
        ]
    )  # [N, 2 K + 2 L]
    tiers, penalties = len(relative_cost), choices.shape[1]
    own = _averages(values.mean(axis=0)[None], tiers, penalties)  # [1, 2]
    drawn = _averages(bootstrap.sums(values) / len(values), tiers, penalties)  # [R, 2]
    price = labels.cost_usd.mean(axis=0)  # [K]
    return Aiq(
        cost_range_usd_per_1000=(float(price.min()) * 1000, float(price.max()) * 1000),
        router=float(own[0, 0]),
        router_interval=bootstrap.interval(drawn[:, 0]),
        constants=float(own[0, 1]),
        constants_interval=bootstrap.interval(drawn[:, 1]),
        gain=float(own[0, 0] - own[0, 1]),
        gain_interval=bootstrap.interval(drawn[:, 0] - drawn[:, 1]),
    )


def _averages(means: Floats, tiers: int, penalties: int) -> Floats:
    """AIQ of the router and of the constants: [R, 2 K + 2 L] -> [R, 2]."""
    price, quality, own_cost, own_quality = np.split(means, np.cumsum([tiers, tiers, penalties]), axis=1)
    low, high = price.min(axis=1), price.max(axis=1)
    router = average_quality(own_cost, own_quality, low, high)
    return np.stack([router, average_quality(price, quality, low, high)], axis=1)
