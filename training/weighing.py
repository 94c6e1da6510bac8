"""Whether prompts' own expected costs, weighed in place of the tiers' means, buy the same quality for less.

Both ways are given every penalty; their costs are compared at equal quality, over the qualities that people
dial, on held-out rows, by a paired bootstrap. Only where the whole interval is below 1 are own costs weighed.

N: rows, K: tiers, L: penalties, Q: qualities, R: resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.training.curve import Measured, choose, penalty_grid
from router_model.training.evaluation.bootstrap import Bootstrap, Interval

Floats = NDArray[np.float64]
QUALITIES = np.arange(0.80, 0.995, 0.01)  # over the strongest tier's
PENALTIES = 80  # of either way; their frontiers are lines between these


@dataclass(frozen=True)
class Weighing:
    """Cost at equal quality by prompts' own expected costs, over that by mean costs.

    Attributes:
        cost_ratio: below 1 where own costs save.
        interval: of it.
        weighs: whether own costs are weighed, as the interval says.
    """

    cost_ratio: float
    interval: Interval

    @property
    def weighs(self) -> bool:
        """Whether the saving is beyond chance."""
        return self.interval[1] < 1.0


def weighing(rows: Measured, costs: Floats, bootstrap: Bootstrap) -> Weighing:
    """Compare on held-out rows; ``costs`` float64 [N, K], relative, as expected of each prompt unseen."""
    own, drawn = [], []
    for weighed in (rows.relative_cost, costs):
        one, resampled = _spent(rows, weighed, bootstrap)
        own.append(one)
        drawn.append(resampled)
    return Weighing(float((own[1] / own[0])[0]), bootstrap.interval(drawn[1] / drawn[0]))


def _spent(rows: Measured, weighed: Floats, bootstrap: Bootstrap) -> tuple[Floats, Floats]:
    """Cost summed over the qualities, of the rows as they are [1] and of resamples [R]."""
    grid = penalty_grid(rows.probabilities, weighed)
    penalties = grid[np.unique(np.linspace(0, len(grid) - 1, PENALTIES).astype(int))]  # [L]
    choices = choose(rows.probabilities, weighed, penalties)  # [N, L]
    quality = np.take_along_axis(rows.outcomes, choices, axis=1)  # [N, L]
    cost = np.take_along_axis(rows.cost, choices, axis=1)  # [N, L]
    values = np.hstack([quality, cost, rows.outcomes[:, -1:]])  # [N, 2 L + 1]
    return _summed(values.mean(axis=0)[None]), _summed(bootstrap.means(values))


def _summed(means: Floats) -> Floats:
    """Cost at each quality, by the line between the penalties around it, summed: [R, 2 L + 1] -> [R]."""
    quality, cost = np.split(means[:, :-1], 2, axis=1)  # [R, L] each
    spent = np.empty(len(means))
    for row, strongest in enumerate(means[:, -1]):
        order = np.argsort(cost[row], kind="stable")
        risen = np.maximum.accumulate(quality[row, order])  # a dearer point that is worse is never picked
        spent[row] = np.interp(QUALITIES * strongest, risen, cost[row, order]).sum()
    return spent
