"""Mean outcomes and costs of tiers and policies, in the sample and in its resamples.

N: rows, K: tiers, P: policies, R: weightings of the rows (a bootstrap's resamples, or one of equal weights).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.hull import Hull, Mix

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Means:
    """Means over the rows, for each weighting of them.

    Attributes:
        quality: float64 [R, K], outcome of always picking each tier.
        cost: float64 [R, K], what that costs in US dollars.
        own_quality: float64 [R, P], outcome of each policy.
        own_cost: float64 [R, P], what the policy costs.
    """

    quality: Floats
    cost: Floats
    own_quality: Floats
    own_cost: Floats

    @classmethod
    def over(
        cls, outcomes: Floats, cost: Floats, own_quality: Floats, own_cost: Floats, bootstrap: Bootstrap
    ) -> tuple["Means", "Means"]:
        """Of the rows as they are, R = 1, and of all resamples; tiers have [N, K], policies [N, P]."""
        values = np.hstack([outcomes, cost, own_quality, own_cost])  # [N, 2 K + 2 P]
        tiers, policies = outcomes.shape[1], own_quality.shape[1]
        ends = np.cumsum([tiers, tiers, policies])
        drawn = bootstrap.means(values)
        return (
            cls(*np.split(values.mean(axis=0)[None], ends, axis=1)),
            cls(*np.split(drawn, ends, axis=1)),
        )

    def mixes(self) -> list[Mix]:
        """For each policy the best mix of constants at equal cost, in the first weighting."""
        hull = Hull(self.quality[0], self.cost[0])
        return [hull.at_cost(float(paid)) for paid in self.own_cost[0]]

    def gain_over(self, mixes: list[Mix]) -> Floats:
        """Outcome of each policy less that of its mix, its share such that both cost the same: [R, P]."""
        cheap, dear = [mix.cheap for mix in mixes], [mix.dear for mix in mixes]
        span = self.cost[:, dear] - self.cost[:, cheap]
        spent = self.own_cost - self.cost[:, cheap]
        share = np.divide(spent, span, out=np.zeros_like(span), where=span != 0)
        return self.own_quality - (1 - share) * self.quality[:, cheap] - share * self.quality[:, dear]
