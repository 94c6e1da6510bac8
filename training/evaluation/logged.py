"""Logged requests as the off-policy estimators want them.

N: logged requests, K: tiers, C: covariates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.training.evaluation.off_policy import Seen, clipped
from router_model.training.evaluation.outcome_model import predict_rewards
from router_model.training.propensity import Propensity

Floats = NDArray[np.float64]
MOST_SPOKEN_FOR = 0.1  # share of all requests; a lower cut costs intervals their coverage


@dataclass(frozen=True)
class Logged:
    """Requests that one tier each has answered.

    Attributes:
        propensity: who answered, and how probable that was.
        outcomes: float64 [N, K], NaN where not known.
        cost_usd: float64 [N], what the logged answer cost.
        groups: int64 [N].
        predicted_outcomes: float64 [N, K], cross-fitted.
        predicted_cost_usd: float64 [N, K], cross-fitted.
    """

    propensity: Propensity
    outcomes: Floats
    cost_usd: Floats
    groups: NDArray[np.int64]
    predicted_outcomes: Floats
    predicted_cost_usd: Floats

    @classmethod
    def fit(
        cls,
        propensity: Propensity,
        outcomes: Floats,
        cost_usd: Floats,
        inputs: Floats,
        groups: NDArray[np.int64],
        seed: int,
    ) -> "Logged":
        """With predictions from covariates [N, C]; raises as ``predict_rewards`` does."""
        paid = np.full(outcomes.shape, np.nan)  # [N, K]
        paid[np.arange(len(paid)), propensity.tier] = cost_usd
        return cls(
            propensity=propensity,
            outcomes=outcomes,
            cost_usd=cost_usd,
            groups=groups,
            predicted_outcomes=predict_rewards(inputs, outcomes, groups, seed),
            predicted_cost_usd=predict_rewards(inputs, paid, groups, seed),
        )

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def largest_weight(self) -> float:
        """At which inverse propensities are cut where nothing else is said: no request speaks for more."""
        return max(1.0, MOST_SPOKEN_FOR * len(self))

    @property
    def choice(self) -> Floats:
        """float64 [N], the probability of the choice that was made."""
        chosen: Floats = self.propensity.chosen[np.arange(len(self)), self.propensity.tier]
        return chosen

    def quality(self, decided: NDArray[np.int64], most: float) -> Seen:
        """Outcomes of decisions int64 [N], as the log shows them; 1 / propensity is cut at ``most``."""
        # The cut is of the choice alone: how often answers are marked is no rarity of the request.
        chance = self.propensity.observed[np.arange(len(self)), decided]
        return self._outcomes(decided, clipped(chance, most / self.propensity.feedback[decided]))

    def own_quality(self) -> Seen:
        """Outcomes of the log's own choices, weighted for those that nobody marked."""
        tier = self.propensity.tier
        observed = self.propensity.observed[np.arange(len(self)), tier]
        return self._outcomes(tier, np.minimum(observed / self.choice, 1.0))

    def cost(self, decided: NDArray[np.int64], most: float) -> Seen:
        """US dollars of decisions int64 [N]; every logged answer's cost is known."""
        return Seen(
            weight=np.where(decided == self.propensity.tier, 1 / clipped(self.choice, most), 0.0),
            reward=self.cost_usd,
            predicted=self.predicted_cost_usd[np.arange(len(self)), decided],
            groups=self.groups,
        )

    def _outcomes(self, decided: NDArray[np.int64], chance: Floats) -> Seen:
        outcome = self.outcomes[np.arange(len(self)), decided]  # [N]
        known = ~np.isnan(outcome)
        return Seen(
            weight=np.where(known, 1 / np.where(known, chance, 1.0), 0.0),
            reward=np.where(known, outcome, 0.0),
            predicted=self.predicted_outcomes[np.arange(len(self)), decided],
            groups=self.groups,
        )
