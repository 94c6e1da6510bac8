"""The operating curve of a ladder with a tier that hardly anything was measured of: expected, not measured.

Each tier's outcome on a prompt is its probability of being sufficient: a known tier's as the router gives
it, a new one's in as many draws from the posterior of its readout as there are resamples of the prompts.
So an interval holds both what other prompts would have given and what the labels leave open.

N: prompts, R: resamples, K: tiers, P: dial values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.training.curve import Measured, as_known
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.means import Means
from router_model.training.readout import Floats, probability


@dataclass(frozen=True)
class Doubt:
    """What is open of a new tier.

    Attributes:
        tier: its position.
        logits: float64 [N, R], of each prompt in each draw from its posterior.
    """

    tier: int
    logits: Floats


@dataclass(frozen=True)
class Expected:
    """Means of tiers and choices in which each resample believes another draw of the new tiers' readouts."""

    doubts: Sequence[Doubt]

    def __call__(
        self, rows: Measured, chosen: NDArray[np.int64], bootstrap: Bootstrap
    ) -> tuple[Means, Means]:
        """As ``as_known``, of rows whose outcomes are expected ones."""
        own, drawn = as_known(rows, chosen, bootstrap)
        quality, own_quality = drawn.quality.copy(), drawn.own_quality.copy()  # [R, K], [R, P]
        for doubt in self.doubts:
            picked = (chosen == doubt.tier).astype(np.float64)  # [N, P]
            start = 0
            for weights in bootstrap.weights():  # [R', G]
                weight = weights[:, bootstrap.group_of]  # [R', N]
                weight /= weight.sum(axis=1, keepdims=True)
                part = slice(start, start + len(weight))
                believed = probability(doubt.logits[:, part].T)  # [R', N]
                more = weight * (believed - rows.outcomes[:, doubt.tier])  # [R', N]
                quality[part, doubt.tier] += more.sum(axis=1)
                own_quality[part] += more @ picked
                start = part.stop
        return own, Means(quality, drawn.cost, own_quality, drawn.own_cost)
