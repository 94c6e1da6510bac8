"""How sure it is that a kept answer is right for a request that is so alike: an entry's learned threshold.

After Schroeder et al., "vCache: Verified Semantic Prompt Caching" (2025, arXiv 2502.03771). There, the
probability that a kept answer is right at a likeness s is ``1 / (1 + exp(-g (s - t)))``, and the t and g
of each answer follow from verified outcomes. It is bounded from below by the maximum over e of ``(1 -
e)`` times its value at the upper ``1 - e`` confidence bound of t, as t is only estimated.

Three things are done otherwise. The probability is the mean over the posterior of t and g on a grid,
which is what that bound is a bound of; where right and wrong are perfectly apart, as they mostly are, it
needs no table of variances, and it holds from the first outcome. The prior of an entry is what other
entries turned out to be (empirical Bayes, by expectation maximisation over the grid): where most are
alike, a few outcomes tell that this one is no exception. And an answer is served only where the
probability reaches one less the error rate, so that the rate is of what is served; the paper's is of all
requests, and lets answers through that are less sure, at random and seldom.
"""

from collections import OrderedDict
from collections.abc import MutableSequence, Sequence

import numpy as np
from numpy.typing import NDArray

LEVELS = 201  # of likeness, 0 to 1
THRESHOLDS = np.linspace(-0.1, 1.18, 65)  # the last are beyond likeness: answers right for no other
SLOPES = np.array([5.0, 10.0, 20.0, 40.0, 80.0, 160.0])
OTHERS = 256  # entries, those that learned last, that the prior is made of
UNKNOWN = 2.0  # entries that the prior holds beside them, of which anything is as likely
REFRESH = 16  # outcomes, after which the prior is made again
OWN = 2  # outcomes that an entry needs, whatever the others say

Floats = NDArray[np.float32]


def level_of(likeness: float) -> int:
    """The step of likeness, 0 to 200."""
    return round(min(max(likeness, 0.0), 1.0) * (LEVELS - 1))


class Bound:
    """The rule for all entries of a cache.

    Args:
        error_rate: the bound on the share of wrong answers among those that are served.
    """

    def __init__(self, error_rate: float) -> None:
        t, g = (grid.ravel() for grid in np.meshgrid(THRESHOLDS, SLOPES))  # [G]
        likeness = np.linspace(0, 1, LEVELS)[:, np.newaxis]  # [L, 1]
        odds = g * (likeness - t)  # [L, G]
        right = 1 / (1 + np.exp(-odds))
        self._right: Floats = right.astype(np.float32)
        self._log = np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], 1)  # [L, wrong and right, G]
        self._log = self._log.reshape(2 * LEVELS, -1).astype(np.float32)
        self._least = 1 - error_rate
        self._prior: Floats = np.full(t.size, -np.log(t.size), np.float32)
        self._others: OrderedDict[int, Floats] = OrderedDict()  # log likelihood of each, [G]
        self._learned = 0

    def learn(self, name: int, outcomes: MutableSequence[int], level: int, right: bool) -> None:
        """Add an outcome at a level to those of the entry of a name."""
        outcomes.append(2 * level + right)
        self._others[name] = self._log[list(outcomes)].sum(0)
        self._others.move_to_end(name)
        if len(self._others) > OTHERS:
            self._others.popitem(last=False)
        self._learned += 1
        if self._learned % REFRESH == 0:
            self._mix()

    def sure(self, outcomes: Sequence[int], level: int) -> float:
        """The probability that the answer of an entry of these outcomes is right at a level."""
        log = self._prior + self._log[list(outcomes)].sum(0)  # [G]
        mass = np.exp(log - log.max())
        return float(mass @ self._right[level] / mass.sum())

    def trusts(self, outcomes: Sequence[int], level: int) -> bool:
        """Whether the answer of an entry of these outcomes may be served at a level."""
        return len(outcomes) >= OWN and self.sure(outcomes, level) >= self._least

    def _mix(self) -> None:
        """One step of expectation maximisation: the prior becomes the mean of the entries' posteriors."""
        log = np.stack(list(self._others.values())) + self._prior  # [N, G]
        mass = np.exp(log - log.max(1, keepdims=True))
        mass /= mass.sum(1, keepdims=True)
        flat = UNKNOWN / log.shape[1]
        self._prior = np.log((mass.sum(0) + flat) / (len(mass) + UNKNOWN))
