"""Probabilities and prices to a tier: the operating points, and the rule that each dial value stands for.

The rule is the plug-in of CARROT (Somerstep et al. 2025): the tier of the greatest sufficiency less a
penalty times its relative cost. A larger penalty is cheaper; the operating curve, measured on held-out
rows when the router was trained, says which penalty keeps a wished quality or budget. Where the guard found
that the router is not better than a constant tier or a mix of two, that is the rule instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from router_model.errors import DialError

Dial = Literal["quality", "budget", "certified"]
Rule = Literal["router", "fixed"]
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What one dial value does, and what that gave on held-out rows.

    Attributes:
        dial: "quality", at least this share of the strongest tier's quality, or "budget", at most this
            share of its cost; or "certified", proved to lose at most this of it (certificate.py).
        value: the dial's value, in (0, 1].
        rule: "router" decides prompt by prompt; "fixed" picks tiers with the probabilities ``shares``.
        penalty: of the router's rule, in quality per unit of relative cost, 0 or more.
        shares: expected share of prompts per tier [K]; sums to 1.
        quality: mean outcome over the strongest tier's.
        cost: mean cost over the strongest tier's.
        note: why the guard stepped in; empty where it did not.
        quality_interval: lower and upper bound of ``quality``.
        cost_interval: lower and upper bound of ``cost``.
    """

    dial: Dial
    value: float
    rule: Rule
    penalty: float
    shares: tuple[float, ...]
    quality: float
    cost: float
    note: str = ""
    quality_interval: tuple[float, float] = (0.0, 0.0)
    cost_interval: tuple[float, float] = (0.0, 0.0)


class Policy:
    """The operating curve of one router, looked up by dial.

    Args:
        relative_cost: mean cost of each tier over the strongest's [K], the strongest 1.
        curve: operating points of both dials.
        default: the dial where the caller names none.
        certified: the point that stands in its place, where there is a certificate.
    """

    def __init__(
        self,
        relative_cost: Sequence[float],
        curve: Sequence[OperatingPoint],
        default: tuple[Dial, float],
        certified: OperatingPoint | None = None,
    ) -> None:
        self.relative_cost = tuple(relative_cost)
        self._points = {
            dial: sorted((p for p in curve if p.dial == dial), key=lambda p: p.value)
            for dial in ("quality", "budget")
        }
        self._exact = {(p.dial, p.value): p for points in self._points.values() for p in points}
        self.certified = certified
        self.default = certified or self._find(*default)

    def point(self, quality: float | None = None, budget: float | None = None) -> OperatingPoint:
        """The operating point of a dial: the wished value or the next stricter one that was measured.

        For a budget below all that were, the best point that keeps it, of either dial, or the cheapest.

        Raises:
            DialError: both dials at once, or a value outside (0, 1].
        """
        if quality is None and budget is None:
            return self.default
        if quality is not None and budget is not None:
            raise DialError("both quality and budget were given; give one of them")
        return self._find("budget", budget) if quality is None else self._find("quality", quality)

    def _find(self, dial: Dial, value: float | None) -> OperatingPoint:
        if value.__class__ is float and (exact := self._exact.get((dial, value))):
            return exact
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise DialError(f"{dial}={value!r}: give a share above 0 and at most 1, such as {dial}=0.95")
        points = self._points[dial]
        if dial == "quality":
            return next((p for p in points if p.value >= value - TOLERANCE), points[-1])
        return next((p for p in reversed(points) if p.value <= value + TOLERANCE), None) or self._least(value)

    def _least(self, value: float) -> OperatingPoint:
        """For a smaller budget than any measured: the best of all points that keep it, or the cheapest."""
        points = [*self._points["budget"], *self._points["quality"]]
        kept = [point for point in points if point.cost <= value + TOLERANCE]
        best = max(kept, key=lambda p: p.quality, default=min(points, key=lambda p: p.cost))
        return best if best is points[0] else replace(best, dial="budget", value=value)

    def choose(self, sufficiency: Sequence[float], point: OperatingPoint, text: str) -> int:
        """Position of the tier for one prompt's probabilities [K]; ``text`` draws where the rule is fixed.

        What stands behind the probabilities is not read.
        """
        if point.rule == "router":
            # A loop, where max and zip would cost twice as much: they are calls, and this is a few steps.
            penalty = point.penalty
            best, best_value, k = 0, -1e300, 0
            for cost in self.relative_cost:
                value = sufficiency[k] - penalty * cost
                if value > best_value:
                    best, best_value = k, value
                k += 1  # noqa: SIM113  # enumerate builds a pair for each tier
            return best
        draw = crc32(text.encode()) / 2**32  # the same for the same prompt: a retry must not flip the tier
        for k, share in enumerate(point.shares):
            draw -= share
            if draw < 0:
                return k
        return max(range(len(point.shares)), key=point.shares.__getitem__)

    def choose_batch(
        self,
        sufficiency: NDArray[np.float32],
        point: OperatingPoint,
        texts: Sequence[str],
        costs: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int64]:
        """The tiers that ``choose`` gives row by row: float32 [N, K] -> int64 [N].

        ``costs`` float64 [N, K], relative ones of each prompt, are weighed in place of the tiers' means, as
        ``Weights.choose`` does.
        """
        if point.rule == "router":
            weighed = np.array(self.relative_cost) if costs is None else costs
            value = sufficiency.astype(np.float64) - point.penalty * weighed
            chosen: NDArray[np.int64] = value.argmax(axis=1)
            return chosen
        return np.array([self.choose((), point, text) for text in texts], np.int64)
