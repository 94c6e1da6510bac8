"""The query oracle: what a router could reach that knew each tier's outcome before it chose.

N: rows, K: tiers, R: resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.training.evaluation.bootstrap import Bootstrap, Interval


@dataclass(frozen=True)
class Oracle:
    """Figures of the query oracle: ``accuracy`` is a mean outcome, ``cost`` over the strongest tier's."""

    accuracy: float
    accuracy_interval: Interval
    cost: float
    cost_interval: Interval
    cost_usd_per_1000: float


def oracle_choice(labels: Labels) -> NDArray[np.int64]:
    """For each row the cheapest tier of those with its greatest outcome (RouterBench): int64 [N]."""
    greatest = labels.outcomes == labels.outcomes.max(axis=1, keepdims=True)
    chosen: NDArray[np.int64] = np.where(greatest, labels.cost_usd, np.inf).argmin(axis=1)
    return chosen


def oracle(labels: Labels, bootstrap: Bootstrap) -> Oracle:
    """Measure the oracle on rows whose every tier is known; NaN where outcomes are estimated."""
    if labels.estimated:
        nan = float("nan")
        return Oracle(nan, (nan, nan), nan, (nan, nan), nan)
    chosen = oracle_choice(labels)[:, None]
    values = np.hstack(
        [
            np.take_along_axis(labels.outcomes, chosen, axis=1),
            np.take_along_axis(labels.cost_usd, chosen, axis=1),
            labels.cost_usd[:, -1:],
        ]
    )  # [N, 3]
    accuracy, paid, strongest = values.mean(axis=0).tolist()
    accuracy_r, paid_r, strongest_r = bootstrap.means(values).T  # [R] each
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = paid_r / strongest_r
    return Oracle(
        accuracy=accuracy,
        accuracy_interval=bootstrap.interval(accuracy_r),
        cost=paid / strongest if strongest else float("nan"),
        cost_interval=bootstrap.interval(ratios),
        cost_usd_per_1000=paid * 1000,
    )
