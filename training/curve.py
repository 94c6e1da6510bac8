"""The operating curve, measured on held-out rows, and the guard that keeps a router honest.

For each dial value the penalty is chosen and measured on different rows (folds), so that the curve does
not flatter itself. The guard then asks, by a paired bootstrap, whether the router beats the best constant
or mix at equal cost; where it does not, significantly, or no penalty keeps the dial, the constant or mix that
does is the operating point.

N: rows whose every tier is known, K: tiers, L: penalties, P: dial values, R: resamples.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.split import folds
from router_model.errors import DataError
from router_model.policy.curve import TOLERANCE, Dial, OperatingPoint
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.hull import Hull
from router_model.training.evaluation.means import Means

Floats = NDArray[np.float64]
PENALTIES = 240
MIN_ROWS = 50
MAX_COST_USD = MAX_RELATIVE_COST = 1e9  # beyond, a cost or token count is a slip, and sums overflow
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
        own_cost: float64 [N, K], relative costs expected of each prompt, where these are weighed; None where
            the tiers' means are.
    """

    probabilities: Floats
    outcomes: Floats
    cost: Floats
    groups: NDArray[np.int64]
    own_cost: Floats | None = None

    @property
    def relative_cost(self) -> Floats:
        """Mean cost of each tier over the strongest's [K]."""
        mean: Floats = self.cost.mean(axis=0) / self.cost[:, -1].mean()
        return mean

    @property
    def weighed(self) -> Floats:
        """The relative costs that the rule weighs, [K] or [N, K]."""
        return self.relative_cost if self.own_cost is None else self.own_cost


@dataclass(frozen=True)
class Curve:
    """Operating points for every dial value, and the guard's verdict."""

    points: tuple[OperatingPoint, ...]
    guard: dict[str, Any]


def as_known(rows: Measured, chosen: NDArray[np.int64], bootstrap: Bootstrap) -> tuple[Means, Means]:
    """Means of tiers and of choices int64 [N, P], in the sample and in its resamples, by the outcomes."""
    quality = np.take_along_axis(rows.outcomes, chosen, axis=1)  # [N, P]
    cost = np.take_along_axis(rows.cost, chosen, axis=1)  # [N, P]
    return Means.over(rows.outcomes, rows.cost, quality, cost, bootstrap)


def measure_curve(
    rows: Measured,
    *,
    means: Callable[[Measured, NDArray[np.int64], Bootstrap], tuple[Means, Means]] = as_known,
    default_quality: float,
    seed: int,
    resamples: int,
    confidence: float,
    cross_folds: int = 5,
) -> Curve:
    """Choose and measure an operating point for every dial value.

    Args:
        means: what the rows tell of tiers and choices; another than ``as_known`` where outcomes are expected.

    Raises:
        DataError: as ``check_rows``, or all rows share one group.
    """
    check_rows(rows.outcomes, rows.cost)
    penalties = penalty_grid(rows.probabilities, rows.weighed)
    choices = choose(rows.probabilities, rows.weighed, penalties)  # [N, L]
    quality = np.take_along_axis(rows.outcomes, choices, axis=1)  # [N, L]
    cost = np.take_along_axis(rows.cost, choices, axis=1)  # [N, L]
    fold_of = folds(rows.groups, max(2, min(cross_folds, len(np.unique(rows.groups)))), seed)
    whole = quality.mean(axis=0), cost.mean(axis=0)  # [L], [L]
    own = [pick(*whole, rows, dial, value) for dial, value in DIALS]
    held = [keeps(*whole, rows, dial, value)[at] for (dial, value), at in zip(DIALS, own, strict=True)]
    picked = [_cross_picked(quality, cost, rows, fold_of, dial, value) for dial, value in DIALS]
    chosen = np.stack(
        [np.take_along_axis(choices, p[:, None], axis=1)[:, 0] for p in picked], axis=1
    )  # [N, P]
    bootstrap = Bootstrap(rows.groups, resamples, confidence, seed)
    measure = _Measure(chosen, bootstrap, *means(rows, chosen, bootstrap))
    points = [
        measure.point(column, float(penalties[at]), bool(held[column])) for column, at in enumerate(own)
    ]
    return Curve(tuple(points), verdict(points, default_quality, confidence))


def check_rows(outcomes: Floats, cost: Floats) -> None:
    """Refuse rows that no curve can be measured on: [N, K], [N, K].

    Raises:
        DataError: fewer than 50 rows, a strongest tier that never succeeds or costs nothing, or costs
            that are out of all proportion.
    """
    if len(outcomes) < MIN_ROWS:
        raise DataError(
            f"only {len(outcomes)} rows tell how every tier did; "
            f"the operating curve needs at least {MIN_ROWS} rows with an outcome for each tier of the ladder"
        )
    with np.errstate(all="ignore"):
        mean = cost.mean(axis=0)  # [K]
        sound = np.isfinite(mean) & (mean <= MAX_RELATIVE_COST * mean[-1]) & (mean <= MAX_COST_USD)  # [K]
    if outcomes[:, -1].mean() <= 0 or mean[-1] <= 0:
        raise DataError("the strongest tier never succeeds or costs nothing; order the ladder cheapest first")
    if not sound.all():
        raise DataError(
            f"tier {int(sound.argmin()) + 1} of the ladder costs {mean[sound.argmin()]:g} USD a call, the "
            f"strongest {mean[-1]:g}; mend the data's costs and token counts"
        )


def penalty_grid(probabilities: Floats, relative_cost: Floats) -> Floats:
    """Penalties at which choices change, evenly over the prompts, from 0 up to always the cheapest: [L].

    Costs are those of tiers, [K], or of each prompt at each, [N, K].
    """
    costs = np.broadcast_to(relative_cost, probabilities.shape)  # [N, K]
    rising = np.argsort(costs.mean(axis=0), kind="stable")  # a call may cost more at a lower price a token
    positive = np.concatenate(
        [
            _crossings(probabilities[:, dear] - probabilities[:, cheap], costs[:, dear] - costs[:, cheap])
            for cheap, dear in combinations(rising, 2)
        ]
    )
    if not positive.size:
        return np.zeros(1)
    inner = np.quantile(positive, np.linspace(0, 1, PENALTIES))
    grid: Floats = np.unique(np.concatenate([[0.0], inner, [positive.max() * 1.01]]))
    return grid


def choose(probabilities: Floats, relative_cost: Floats, penalties: Floats) -> NDArray[np.int64]:
    """The tier for each row and penalty by the policy's rule: [N, K], [K] or [N, K], [L] -> int64 [N, L]."""
    chosen = np.empty((len(probabilities), len(penalties)), np.int64)
    for column, penalty in enumerate(penalties):
        chosen[:, column] = np.argmax(probabilities - penalty * relative_cost, axis=1)
    return chosen


def _crossings(gain: Floats, extra: Floats) -> Floats:
    """Penalties above 0 at which a dearer tier loses to a cheaper one: [N], [N] -> at most [N]."""
    crossing = np.divide(gain, extra, out=np.zeros_like(gain), where=extra > 0)
    return crossing[crossing > 0]


def pick(quality: Floats, cost: Floats, rows: Measured, dial: Dial, value: float) -> int:
    """Position of the penalty for a dial: of those that keep it the cheapest, or the best; [L], [L]."""
    kept = keeps(quality, cost, rows, dial, value)
    if dial == "quality":
        return int(np.argmin(np.where(kept, cost, np.inf)) if kept.any() else np.argmax(quality))
    return int(np.argmax(np.where(kept, quality, -np.inf)) if kept.any() else np.argmin(cost))


def keeps(quality: Floats, cost: Floats, rows: Measured, dial: Dial, value: float) -> NDArray[np.bool_]:
    """Which of some choices keep a dial on the rows, bool [L]; [L], [L]."""
    kept: NDArray[np.bool_]
    if dial == "quality":
        kept = quality >= value * rows.outcomes[:, -1].mean() - TOLERANCE
    else:
        kept = cost <= (value + TOLERANCE) * rows.cost[:, -1].mean()
    return kept


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
    """Figures and intervals of all operating points, over the same resamples.

    Args:
        chosen: int64 [N, P], the tier that the router picks for each row and dial value.
        bootstrap: over the rows' groups.
        own, drawn: means of tiers and choices, in the sample and in its resamples.
    """

    def __init__(self, chosen: NDArray[np.int64], bootstrap: Bootstrap, own: Means, drawn: Means) -> None:
        self.chosen = chosen
        self.bootstrap = bootstrap
        self.own, self.drawn = own, drawn
        self.quality, self.cost = self.own.quality[0], self.own.cost[0]  # [K], [K]
        self.hull = Hull(self.quality, self.cost)
        self.gain = self.drawn.gain_over(self.own.mixes())  # [R, P]

    def point(self, column: int, penalty: float, held: bool) -> OperatingPoint:
        """The router's point where it beats the best mix at equal cost, else the mix that keeps the dial.

        ``held`` says whether the penalty keeps it, with all the rows to choose by.
        """
        dial, value = DIALS[column]
        better = self.bootstrap.interval(self.gain[:, column])[0] > 0
        if better and held:
            shares = np.bincount(self.chosen[:, column], minlength=len(self.cost)) / len(self.chosen)
            quality, cost = self.own.own_quality[0, column], self.own.own_cost[0, column]
            draws = self.drawn.own_quality[:, column], self.drawn.own_cost[:, column]
            return self._figures(
                OperatingPoint(dial, value, "router", penalty, _tuple(shares), quality, cost), draws
            )
        wished = value * (self.quality[-1] if dial == "quality" else self.cost[-1])
        mix = self.hull.at_quality(wished) if dial == "quality" else self.hull.at_cost(wished)
        shares = np.array(mix.shares(len(self.cost)))
        other = "a random mix of two tiers" if 0 < mix.share < 1 else "one constant tier"
        note = f"the router is not better than {other} at equal cost, which decides instead"
        if better:
            note = f"no penalty keeps it, which {other} does instead"
        quality, cost = self.quality @ shares, self.cost @ shares
        draws = self.drawn.quality @ shares, self.drawn.cost @ shares
        return self._figures(
            OperatingPoint(dial, value, "fixed", penalty, _tuple(shares), quality, cost, note), draws
        )

    def _figures(self, point: OperatingPoint, draws: tuple[Floats, Floats]) -> OperatingPoint:
        """Absolute means as ratios to the strongest tier's, with intervals."""
        with np.errstate(divide="ignore", invalid="ignore"):
            quality_interval = self.bootstrap.interval(draws[0] / self.drawn.quality[:, -1])
            cost_interval = self.bootstrap.interval(draws[1] / self.drawn.cost[:, -1])
        return dataclasses.replace(
            point,
            quality=float(point.quality / self.quality[-1]),
            cost=float(point.cost / self.cost[-1]),
            quality_interval=quality_interval,
            cost_interval=cost_interval,
        )


def _tuple(shares: Floats) -> tuple[float, ...]:
    return tuple(float(share) for share in shares)
