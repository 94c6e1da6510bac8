"""The line of a router or a baseline in the plane of cost and quality: its rule at every penalty.

N: rows, K: tiers, L: penalties.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.training.curve import choose, penalty_grid
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.means import Means
from router_model.training.evaluation.metrics import average_quality

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """From penalty 0 to where all prompts go to the cheapest tier, without the guard; float64 [L] or [L, 2].

    Attributes:
        cost: mean cost over the strongest tier's.
        quality: mean outcome over the strongest tier's.
        quality_band: its interval at each penalty.
        gain: mean outcome less that of the best mix of constants at equal cost.
        gain_band: its interval at each penalty.
        aiq: of the line, over the costs of the constants (metrics.py).
    """

    cost: Floats
    quality: Floats
    quality_band: Floats
    gain: Floats
    gain_band: Floats
    aiq: float


def sweep(scores: Floats, relative_cost: Floats, labels: Labels, bootstrap: Bootstrap) -> Sweep:
    """The plug-in rule of the policy, the tier of greatest score less penalty times relative cost.

    No penalty is chosen, so that nothing is to be held out, and whoever gives a score for each tier gets a
    line by the same rule.

    Args:
        scores: float64 [N, K], how likely each tier is to suffice; not centred, for the tiers are compared.
        relative_cost: float64 [K].
        labels: of the rows; every tier is known.
        bootstrap: over the rows' groups.
    """
    choices = choose(scores, relative_cost, penalty_grid(scores, relative_cost))  # [N, L]
    outcomes = np.take_along_axis(labels.outcomes, choices, axis=1)  # [N, L]
    paid = np.take_along_axis(labels.cost_usd, choices, axis=1)  # [N, L]
    own, drawn = Means.over(labels.outcomes, labels.cost_usd, outcomes, paid, bootstrap)
    mixes = own.mixes()
    with np.errstate(divide="ignore", invalid="ignore"):
        quality, quality_r = (m.own_quality / m.quality[:, -1:] for m in (own, drawn))  # [1, L], [R, L]
        cost = own.own_cost / own.cost[:, -1:]  # [1, L]
    return Sweep(
        cost=cost[0],
        quality=quality[0],
        quality_band=_band(quality_r, bootstrap),
        gain=own.gain_over(mixes)[0],
        gain_band=_band(drawn.gain_over(mixes), bootstrap),
        aiq=float(
            average_quality(own.own_cost, own.own_quality, own.cost.min(axis=1), own.cost.max(axis=1))[0]
        ),
    )


def _band(draws: Floats, bootstrap: Bootstrap) -> Floats:
    """An interval for each column: [R, L] -> [L, 2]."""
    return np.array([bootstrap.interval(column) for column in draws.T])
