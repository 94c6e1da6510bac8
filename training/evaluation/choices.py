"""What one choice of a tier for each row gives, against always the strongest tier and the mix at equal cost.

N: rows, K: tiers, R: resamples. Formulas in docs/metrics.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.training.evaluation.bootstrap import Bootstrap, Interval
from router_model.training.evaluation.hull import Hull

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Choices:
    """Figures of one choice for each row; an interval holds the bootstrap's.

    Attributes:
        accuracy: mean outcome.
        quality: accuracy over the strongest tier's; NaN where that is 0, as are the other ratios.
        cost: mean cost over the strongest tier's.
        saved_usd_per_million: mean cost of the strongest tier less the mean cost, of a million requests.
        gain_over_mix: accuracy less that of the best constant or mix of two tiers at equal cost.
    """

    accuracy: float
    quality: float
    quality_interval: Interval
    cost: float
    cost_interval: Interval
    saved_usd_per_million: float
    saved_interval: Interval
    gain_over_mix: float
    gain_interval: Interval


def measure_choices(labels: Labels, chosen: NDArray[np.int64], bootstrap: Bootstrap) -> Choices:
    """Measure.

    Args:
        labels: N rows whose every tier is known.
        chosen: int64 [N].
        bootstrap: over the rows' groups.
    """
    own = np.stack([_taken(labels.outcomes, chosen), _taken(labels.cost_usd, chosen)], axis=1)  # [N, 2]
    values = np.hstack([labels.outcomes, labels.cost_usd, own])  # [N, 2 K + 2]
    tiers = labels.outcomes.shape[1]
    outcomes, cost = labels.outcomes.mean(axis=0), labels.cost_usd.mean(axis=0)  # [K], [K]
    mix = Hull(outcomes, cost).at_cost(float(own[:, 1].mean()))

    def figures(means: Floats) -> Floats:
        """Quality, cost, saving and gain for each row of means: [R, 2 K + 2] -> [R, 4]."""
        outcomes, cost, accuracy, paid = np.split(means, [tiers, 2 * tiers, 2 * tiers + 1], axis=1)
        cheap, dear = cost[:, [mix.cheap]], cost[:, [mix.dear]]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(dear != cheap, np.maximum(0.0, (paid - cheap) / (dear - cheap)), 0.0)
            ratios = accuracy / outcomes[:, -1:], paid / cost[:, -1:]
        mixed = (1 - share) * outcomes[:, [mix.cheap]] + share * outcomes[:, [mix.dear]]
        return np.hstack([*ratios, (cost[:, -1:] - paid) * 1e6, accuracy - mixed])

    measured = figures(values.mean(axis=0, keepdims=True))[0].tolist()
    drawn = figures(bootstrap.means(values))
    intervals = [bootstrap.interval(column) for column in drawn.T]
    return Choices(
        accuracy=float(own[:, 0].mean()),
        quality=measured[0],
        quality_interval=intervals[0],
        cost=measured[1],
        cost_interval=intervals[1],
        saved_usd_per_million=measured[2],
        saved_interval=intervals[2],
        gain_over_mix=measured[3],
        gain_interval=intervals[3],
    )


def _taken(values: Floats, chosen: NDArray[np.int64]) -> Floats:
    taken: Floats = np.take_along_axis(values, chosen[:, None], axis=1)[:, 0]
    return taken
