"""An artifact's operating points, measured again on other rows.

N: rows, K: tiers, P: points, R: resamples.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.policy.curve import OperatingPoint, Policy
from router_model.training.evaluation.bootstrap import Bootstrap

Floats = NDArray[np.float64]


def measure_points(
    policy: Policy,
    curve: Sequence[OperatingPoint],
    probabilities: Floats,
    labels: Labels,
    bootstrap: Bootstrap,
    own_cost: Floats | None = None,
) -> list[OperatingPoint]:
    """The points of ``curve`` with the shares, quality and cost that they give here, and intervals.

    Args:
        policy: that ``curve`` belongs to.
        probabilities: float64 [N, K].
        labels: of the rows; every tier is known.
        bootstrap: over the rows' groups.
        own_cost: float64 [N, K], relative costs of each prompt, where the policy weighs these.
    """
    tiers, points = labels.outcomes.shape[1], len(curve)
    values = np.empty((len(probabilities), 2 * points + 2))  # quality, cost, and the strongest tier's
    values[:, -2:] = np.stack([labels.outcomes[:, -1], labels.cost_usd[:, -1]], axis=1)
    shares = np.empty((points, tiers))
    for column, point in enumerate(curve):
        each = np.array([point.shares])  # [1, K], the same for all rows where the guard decides
        if point.rule == "router":
            chosen = policy.choose_batch(probabilities.astype(np.float32), point, (), own_cost)
            each = np.eye(tiers)[chosen]  # [N, K]
        shares[column] = each.mean(axis=0)
        values[:, column] = (labels.outcomes * each).sum(axis=1)
        values[:, points + column] = (labels.cost_usd * each).sum(axis=1)
    own, drawn = _ratios(values.mean(axis=0, keepdims=True)), _ratios(bootstrap.sums(values))
    return [
        dataclasses.replace(
            point,
            shares=tuple(shares[column].tolist()),
            quality=float(own[0, column]),
            cost=float(own[0, points + column]),
            quality_interval=bootstrap.interval(drawn[:, column]),
            cost_interval=bootstrap.interval(drawn[:, points + column]),
        )
        for column, point in enumerate(curve)
    ]


def _ratios(sums: Floats) -> Floats:
    """Quality and cost of each point over the strongest tier's: [R, 2 P + 2] -> [R, 2 P]."""
    quality, cost = np.split(sums[:, :-2], 2, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.hstack([quality / sums[:, -2:-1], cost / sums[:, -1:]])
