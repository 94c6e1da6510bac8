"""What other decisions would have given, from logs of what was decided: off-policy values.

Every estimator is a mean over the logged requests of one contribution each, which also gives its interval.
With r the logged reward, w the inverse probability of seeing the decision's reward where it was seen and 0
where it was not, and q the outcome model's prediction for the decision:

- direct: q
- IPS (Horvitz and Thompson 1952; Dudík, Langford and Li 2011): w r
- SNIPS, self-normalised (Swaminathan and Joachims 2015): w r / mean(w)
- DR, doubly robust (Dudík, Langford and Li 2011): q + w (r - q)
- Switch-DR (Wang, Agarwal and Dudík 2017): q + w (r - q) where w is at most a threshold, else q

N: logged requests. docs/off_policy.md says when to trust which.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
THRESHOLDS = 20  # of Switch-DR, tried at quantiles of the weights


@dataclass(frozen=True)
class Seen:
    """What logs show of the reward of some decisions, one a request.

    Attributes:
        weight: float64 [N], 1 over the probability of seeing the decision's reward where the log shows it;
            0 where it does not.
        reward: float64 [N], the decision's reward where the log shows it; any finite number elsewhere.
        predicted: float64 [N], what the outcome model says of the decision's reward. It must not have
            learnt from the request's own row (Chernozhukov et al. 2018).
        groups: int64 [N], requests that are not independent share one.
    """

    weight: Floats
    reward: Floats
    predicted: Floats
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Attributes:
        value: the mean.
        error: its standard error.
        low: lower bound of the interval.
        high: upper bound.
    """

    value: float
    error: float
    low: float
    high: float


def direct(seen: Seen) -> Floats:
    """Contributions [N] of the outcome model alone; biased as it is, and its interval does not know."""
    return seen.predicted


def ips(seen: Seen) -> Floats:
    """Contributions [N] of inverse propensity scoring."""
    return seen.weight * seen.reward


def snips(seen: Seen) -> Floats:
    """Contributions [N] of self-normalised IPS: its value plus, linearised, each request's influence on it.

    NaN where no decision agrees with the log.
    """
    total = seen.weight.sum()
    if total == 0:
        return np.full(len(seen.weight), np.nan)
    value = (seen.weight * seen.reward).sum() / total
    contributions: Floats = value + seen.weight * (seen.reward - value) * (len(seen.weight) / total)
    return contributions


def doubly_robust(seen: Seen) -> Floats:
    """Contributions [N] of DR: right if either the probabilities or the outcome model are."""
    return seen.predicted + seen.weight * (seen.reward - seen.predicted)


def switch_doubly_robust(seen: Seen) -> Floats:
    """Contributions [N] of Switch-DR, at the threshold that ``switch_threshold`` finds."""
    return _switched(seen, switch_threshold(seen))


ESTIMATORS: dict[str, Callable[[Seen], Floats]] = {
    "dr": doubly_robust,
    "switch_dr": switch_doubly_robust,
    "snips": snips,
    "ips": ips,
    "direct": direct,
}


def switch_threshold(seen: Seen) -> float:
    """The weight above which the outcome model is believed instead: of least estimated squared error.

    The variance is the sample's; the bias is bounded by the largest reward times the share of decisions
    whose weight would be above, itself estimated by IPS (section 4 of Wang, Agarwal and Dudík 2017).
    """
    weights = seen.weight[seen.weight > 0]
    if not weights.size:
        return 0.0
    largest = max(np.abs(seen.reward[seen.weight > 0]).max(), np.abs(seen.predicted).max())
    tried = np.unique(np.quantile(weights, np.linspace(0, 1, THRESHOLDS)))
    errors = [
        _switched(seen, threshold).var() / len(seen.weight)
        + (largest * np.where(seen.weight > threshold, seen.weight, 0.0).mean()) ** 2
        for threshold in tried
    ]
    return float(tried[int(np.argmin(errors))])


def estimate(contributions: Floats, groups: NDArray[np.int64], confidence: float) -> Estimate:
    """The mean of contributions [N], with a normal interval that is clustered by groups [N].

    The variance is that of the groups' sums of deviations, with the correction G / (G - 1) for G groups;
    infinite for a single group.
    """
    rows = len(contributions)
    value = float(contributions.mean())
    _, group_of = np.unique(groups, return_inverse=True)
    sums = np.bincount(group_of, contributions - value)  # [G]
    count = len(sums)
    error = float(np.sqrt((sums**2).sum() * count / (count - 1)) / rows) if count > 1 else float("inf")
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Estimate(value, error, value - reach, value + reach)


def effective_rows(weight: Floats) -> float:
    """As many equally weighted rows as weights [N] are worth (Kish 1965): (sum w)^2 / sum w^2; 0 if none."""
    squares = (weight**2).sum()
    return float(weight.sum() ** 2 / squares) if squares else 0.0


def clipped(propensity: Floats, most: Floats | float) -> Floats:
    """Probabilities [N] raised until their inverse is at most ``most``, a number or [N] (Ionides 2008)."""
    raised: Floats = np.maximum(propensity, 1 / most)
    return raised


def _switched(seen: Seen, threshold: float) -> Floats:
    trusted = np.where(seen.weight <= threshold, seen.weight, 0.0)
    contributions: Floats = seen.predicted + trusted * (seen.reward - seen.predicted)
    return contributions
