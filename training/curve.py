"""The operating curve, measured on held-out rows, and the guard that keeps a router honest.

For each dial value the penalty is chosen and measured on different rows (folds), so that the curve does
not flatter itself. The guard then asks, by a paired bootstrap, whether the router beats the best constant
or mix at equal cost; where it does not, significantly, that constant or mix is the operating point.

N: rows whose every tier is known, K: tiers, L: penalties, P: dial values, R: resamples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.split import folds
from router_model.errors import DataError
from router_model.policy import TOLERANCE, Dial, OperatingPoint
from router_model.training.evaluation.baselines import Hull, Mix
from router_model.training.evaluation.bootstrap import Bootstrap

Floats = NDArray[np.float64]
PENALTIES = 240
MIN_ROWS = 50
QUALITIES = tuple(round(0.50 + 0.01 * step, 2) for step in range(51))
BUDGETS = tuple(round(0.02 * step, 2) for step in range(1, 51))
DIALS: tuple[tuple[Dial, float], ...] = (
    *(("quality", value) for value in QUALITIES),
    *(("budget", value) for value in BUDGETS),
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """Held-out rows to measure on.

    Attributes:
        probabilities: float64 [N, K], calibrated.
        outcomes: float64 [N, K].
        cost: float64 [N, K], US dollars.
        groups: int64 [N].
    """

    probabilities: Floats
    outcomes: Floats
    cost: Floats
    groups: NDArray[np.int64]

    @property
    def relative_cost(self) -> Floats:
        """Mean cost of each tier over the strongest's [K]."""
        mean: Floats = self.cost.mean(axis=0) / self.cost[:, -1].mean()
        return mean


@dataclass(frozen=True)
class Curve:
    """Operating points for every dial value, and the guard's verdict."""

    points: tuple[OperatingPoint, ...]
    guard: dict[str, Any]


def measure_curve(
    rows: Measured, *, default_quality: float, seed: int, resamples: int, confidence: float, cross_folds: int = 5
) -> Curve:
    """Choose and measure an operating point for every dial value.

    Raises:
        DataError: fewer than 50 rows, or a strongest tier that never succeeds or costs nothing.
    """
    if len(rows.outcomes) < MIN_ROWS:
        raise DataError(
            f"only {len(rows.outcomes)} rows tell how every tier did; "
            f"the operating curve needs at least {MIN_ROWS} rows with an outcome for each tier of the ladder"
        )
    if rows.outcomes[:, -1].mean() <= 0 or rows.cost[:, -1].mean() <= 0:
        raise DataError("the strongest tier never succeeds or costs nothing; order the ladder cheapest first")
    penalties = penalty_grid(rows.probabilities, rows.relative_cost)
    choices = choose(rows.probabilities, rows.relative_cost, penalties)  # [N, L]
    quality = np.take_along_axis(rows.outcomes, choices, axis=1)  # [N, L]
    cost = np.take_along_axis(rows.cost, choices, axis=1)  # [N, L]
    fold_of = folds(rows.groups, min(cross_folds, len(np.unique(rows.groups))), seed)
    bootstrap = Bootstrap(rows.groups, resamples, confidence, seed)
    measure = _Measure(rows, bootstrap)
    points = []
    for dial, value in DIALS:
        picked = _cross_picked(quality, cost, rows, fold_of, dial, value)  # [N]
        own = pick(quality.mean(axis=0), cost.mean(axis=0), rows, dial, value)
        chosen = np.take_along_axis(choices, picked[:, None], axis=1)[:, 0]  # [N]
        points.append(measure.point(dial, value, float(penalties[own]), chosen))
    return Curve(tuple(points), verdict(points, default_quality, confidence))


def penalty_grid(probabilities: Floats, relative_cost: Floats) -> Floats:
    """Penalties at which choices change, evenly over the prompts, from 0 up to always the cheapest: [L]."""
    tiers = len(relative_cost)
    crossings = [
        (probabilities[:, dear] - probabilities[:, cheap]) / (relative_cost[dear] - relative_cost[cheap])
        for cheap in range(tiers)
        for dear in range(cheap + 1, tiers)
        if relative_cost[dear] > relative_cost[cheap]
    ]
    positive = np.concatenate([c[c > 0] for c in crossings] or [np.zeros(0)])
    if not positive.size:
        return np.zeros(1)
    inner = np.quantile(positive, np.linspace(0, 1, PENALTIES))
    grid: Floats = np.unique(np.concatenate([[0.0], inner, [positive.max() * 1.01]]))
    return grid


def choose(probabilities: Floats, relative_cost: Floats, penalties: Floats) -> NDArray[np.int64]:
    """The tier for each row and penalty by the policy's rule: [N, K], [K], [L] -> int64 [N, L]."""
    chosen = np.empty((len(probabilities), len(penalties)), np.int64)
    for column, penalty in enumerate(penalties):
        chosen[:, column] = np.argmax(probabilities - penalty * relative_cost, axis=1)
    return chosen


def pick(quality: Floats, cost: Floats, rows: Measured, dial: Dial, value: float) -> int:
    """Position of the penalty for a dial: of those that keep it the cheapest, or the best; [L], [L]."""
    if dial == "quality":
        enough = quality >= value * rows.outcomes[:, -1].mean() - TOLERANCE
        if not enough.any():
            return int(np.argmax(quality))
        return int(np.argmin(np.where(enough, cost, np.inf)))
    affordable = cost <= value * rows.cost[:, -1].mean() + TOLERANCE * rows.cost[:, -1].mean()
    if not affordable.any():
        return int(np.argmin(cost))
    return int(np.argmax(np.where(affordable, quality, -np.inf)))


def verdict(points: list[OperatingPoint], default_quality: float, confidence: float) -> dict[str, Any]:
    """What the guard says of the whole curve, and of the default dial."""
    qualities = [point for point in points if point.dial == "quality"]
    default = next((p for p in qualities if p.value >= default_quality - TOLERANCE), qualities[-1])
    better = sum(point.rule == "router" for point in points)
    if default.rule == "router":
        says = f"at quality={default.value:g} the router beats every constant and mix of tiers at equal cost"
    else:
        says = f"at quality={default.value:g} {default.note}"
    return {
        "verdict": "router" if default.rule == "router" else "fallback",
        "message": f"{says} ({confidence:.0%} confidence; better at {better} of {len(points)} dial values)",
        "better": better,
        "of": len(points),
        "confidence": confidence,
    }


def _cross_picked(
    quality: Floats, cost: Floats, rows: Measured, fold_of: NDArray[np.int64], dial: Dial, value: float
) -> NDArray[np.int64]:
    """For each row the penalty that the other folds would pick: int64 [N]."""
    picked = np.empty(len(quality), np.int64)
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        rest = Measured(
            rows.probabilities[~inside], rows.outcomes[~inside], rows.cost[~inside], rows.groups[~inside]
        )
        picked[inside] = pick(quality[~inside].mean(axis=0), cost[~inside].mean(axis=0), rest, dial, value)
    return picked


class _Measure:
    """Figures and intervals of operating points on one set of rows, all over the same resamples."""

    def __init__(self, rows: Measured, bootstrap: Bootstrap) -> None:
        self.rows = rows
        self.bootstrap = bootstrap
        self.hull = Hull(rows.outcomes.mean(axis=0), rows.cost.mean(axis=0))
        self.qualities = bootstrap.sums(rows.outcomes)  # [R, K]
        self.costs = bootstrap.sums(rows.cost)  # [R, K]

    def point(self, dial: Dial, value: float, penalty: float, chosen: NDArray[np.int64]) -> OperatingPoint:
        """The router's point where it beats the best mix at equal cost, else the mix that keeps the dial."""
        tiers = self.rows.outcomes.shape[1]
        quality = np.take_along_axis(self.rows.outcomes, chosen[:, None], axis=1)  # [N, 1]
        cost = np.take_along_axis(self.rows.cost, chosen[:, None], axis=1)  # [N, 1]
        draws = self.bootstrap.sums(np.hstack([quality, cost]))  # [R, 2]
        low = self._gain_low(float(cost.mean()), draws)
        if low > 0:
            shares = np.bincount(chosen, minlength=tiers) / len(chosen)
            return self._figures(
                dial, value, "router", penalty, tuple(shares.tolist()), quality.mean(), cost.mean(), draws, ""
            )
        mix = self._mix(dial, value)
        shares = np.array(mix.shares(tiers))
        note = "the router is not better than " + (
            "a random mix of two tiers" if 0 < mix.share < 1 else "one constant tier"
        ) + " at equal cost, which decides instead"
        return self._figures(
            dial,
            value,
            "fixed",
            penalty,
            tuple(shares.tolist()),
            self.rows.outcomes.mean(axis=0) @ shares,
            self.rows.cost.mean(axis=0) @ shares,
            np.stack([self.qualities @ shares, self.costs @ shares], axis=1),
            note,
        )

    def _mix(self, dial: Dial, value: float) -> Mix:
        if dial == "quality":
            return self.hull.at_quality(value * float(self.rows.outcomes[:, -1].mean()))
        return self.hull.at_cost(value * float(self.rows.cost[:, -1].mean()))

    def _gain_low(self, cost: float, draws: Floats) -> float:
        """Lower bound of the router's mean outcome less that of the best mix at equal cost."""
        mix = self.hull.at_cost(cost)
        cheap, dear = self.costs[:, mix.cheap], self.costs[:, mix.dear]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(dear != cheap, (draws[:, 1] - cheap) / (dear - cheap), 0.0)
        base = (1 - share) * self.qualities[:, mix.cheap] + share * self.qualities[:, mix.dear]
        return self.bootstrap.interval((draws[:, 0] - base) / len(self.rows.outcomes))[0]

    def _figures(
        self,
        dial: Dial,
        value: float,
        rule: Any,
        penalty: float,
        shares: tuple[float, ...],
        quality: float,
        cost: float,
        draws: Floats,
        note: str,
    ) -> OperatingPoint:
        """Ratios to the strongest tier, with intervals."""
        with np.errstate(divide="ignore", invalid="ignore"):
            quality_low, quality_high = self.bootstrap.interval(draws[:, 0] / self.qualities[:, -1])
            cost_low, cost_high = self.bootstrap.interval(draws[:, 1] / self.costs[:, -1])
        return OperatingPoint(
            dial=dial,
            value=value,
            rule=rule,
            penalty=penalty,
            shares=shares,
            quality=float(quality / self.rows.outcomes[:, -1].mean()),
            quality_low=quality_low,
            quality_high=quality_high,
            cost=float(cost / self.rows.cost[:, -1].mean()),
            cost_low=cost_low,
            cost_high=cost_high,
            note=note,
        )
