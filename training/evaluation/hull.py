"""The trivial answers: each constant tier, and mixes of two at equal cost.

A mix sends each prompt to one of two tiers at random, so that it reaches every point on the line between
them. The upper hull of the constants is the best that can be had without looking at the prompt.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mix:
    """Tier ``cheap`` with probability 1 - ``share``, tier ``dear`` with ``share``; a constant at 0."""

    cheap: int
    dear: int
    share: float

    def shares(self, tiers: int) -> tuple[float, ...]:
        """Probability of each tier [K]."""
        shares = [0.0] * tiers
        shares[self.cheap] += 1 - self.share
        shares[self.dear] += self.share
        return tuple(shares)


class Hull:
    """Upper hull of the constants in the plane of cost and quality, from the cheapest tier upwards.

    Args:
        quality: mean outcome of each tier [K].
        cost: mean cost of each tier [K].
    """

    def __init__(self, quality: Floats, cost: Floats) -> None:
        self.quality = quality
        self.cost = cost
        order = sorted(range(len(cost)), key=lambda k: (cost[k], -quality[k]))
        self.tiers: list[int] = []
        for k in order:
            if self.tiers and quality[k] <= quality[self.tiers[-1]]:
                continue
            while len(self.tiers) >= 2 and self._below(self.tiers[-1], self.tiers[-2], k):
                self.tiers.pop()
            self.tiers.append(k)

    def at_cost(self, cost: float) -> Mix:
        """The best mix that costs at most ``cost``, and the cheapest constant where none does."""
        return self._between(self.cost, cost)

    def at_quality(self, quality: float) -> Mix:
        """The cheapest mix of at least ``quality``, and the best constant where none has it."""
        return self._between(self.quality, quality)

    def _between(self, axis: Floats, value: float) -> Mix:
        for cheap, dear in pairwise(self.tiers):
            if value < axis[dear]:
                share = (value - axis[cheap]) / (axis[dear] - axis[cheap])
                return Mix(cheap, dear, float(min(1.0, max(0.0, share))))
        return Mix(self.tiers[-1], self.tiers[-1], 0.0)

    def _below(self, middle: int, left: int, right: int) -> bool:
        """Whether ``middle`` lies on or below the line from ``left`` to ``right``."""
        run = self.cost[right] - self.cost[left]
        if run <= 0:
            return True
        line = self.quality[left] + (self.quality[right] - self.quality[left]) * (
            (self.cost[middle] - self.cost[left]) / run
        )
        return bool(self.quality[middle] <= line)
