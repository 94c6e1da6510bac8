"""Upper bounds from outcomes alone: what a router that knew the answers beforehand would reach.

U: units that are sent to one tier as a whole, a task or a query; N: rows, K: tiers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.training.evaluation.hull import Hull

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Frontier:
    """The best quality at each cost, by lines between corners of rising cost: both float64 [C]."""

    cost: Floats
    quality: Floats

    def at_cost(self, cost: float) -> float:
        """Best mean outcome at a mean cost of at most ``cost``; that of the cheapest choice below it."""
        return float(np.interp(cost, self.cost, self.quality))


def frontier(outcomes: Floats, cost: Floats, unit_of: NDArray[np.int64]) -> Frontier:
    """Each unit on its best tier at every trade-off of cost and quality, judged on the same rows.

    The steps up from each unit's cheapest tier, along the hull of its tiers, are taken in order of gain
    per cost: the greedy solution of the fractional knapsack (Dantzig 1957), which is exact.

    Args:
        outcomes: float64 [N, K].
        cost: float64 [N, K].
        unit_of: int64 [N], from 0 to U - 1.
    """
    quality_sums, cost_sums = _sums(outcomes, unit_of), _sums(cost, unit_of)  # [U, K], [U, K]
    start, steps = np.zeros(2), []
    for quality, price in zip(quality_sums, cost_sums, strict=True):
        corners = np.stack([price, quality], axis=1)[Hull(quality, price).tiers]  # [C, 2]
        start += corners[0]
        steps.append(np.diff(corners, axis=0))
    dearer = np.concatenate(steps)  # [S, 2], each of more cost and more quality
    dearer = dearer[np.argsort(-dearer[:, 1] / dearer[:, 0], kind="stable")]
    corners = np.cumsum(np.vstack([start, dearer]), axis=0) / len(outcomes)  # [S + 1, 2]
    return Frontier(corners[:, 0], corners[:, 1])


def units(names: Sequence[str | None]) -> NDArray[np.int64]:
    """A number from 0 per row, int64 [N], the same for the same name; rows without one are one unit."""
    _, unit_of = np.unique([name or "" for name in names], return_inverse=True)
    return unit_of.astype(np.int64)


def unit_means(outcomes: Floats, unit_of: NDArray[np.int64]) -> Floats:
    """Each row's unit's mean outcomes, float64 [N, K]: the scores of the oracle that knows no more."""
    sizes = np.bincount(unit_of)[:, np.newaxis]  # [U, 1]
    means: Floats = (_sums(outcomes, unit_of) / sizes)[unit_of]
    return means


def _sums(values: Floats, unit_of: NDArray[np.int64]) -> Floats:
    sums = np.zeros((int(unit_of.max()) + 1, values.shape[1]))
    np.add.at(sums, unit_of, values)
    return sums
