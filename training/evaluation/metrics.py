"""Figures of a router on rows whose every tier is known; formulas in docs/metrics.md.

N: rows, K: tiers, R: weightings of the rows (a bootstrap's resamples, or one of equal weights).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 15
NO_GAP = 1e-9  # in outcomes summed over rows; what is less is rounding


class GapRecovery:
    """Performance gap recovered by sending the highest-scored prompts to the dearer of two tiers.

    Ong et al. 2024 (RouteLLM): PGR = (quality - cheap) / (dear - cheap). APGR is its mean over the share
    of prompts sent to the dearer tier, 0.5 for a random router; CPT(x) is the least share at which PGR
    reaches x.

    Args:
        scores: float64 [N], higher for prompts that need the dearer tier more.
        cheap: float64 [N], outcomes of the cheaper tier.
        dear: float64 [N], outcomes of the dearer tier.
    """

    def __init__(self, scores: Floats, cheap: Floats, dear: Floats) -> None:
        self.order = _order(-scores)
        self.gain = (dear - cheap)[self.order]

    def curve(self, weights: Floats) -> tuple[Floats, Floats]:
        """Share sent and gap recovered after each row, both [R, N + 1], of row weights [R, N]."""
        weights = weights[:, self.order]
        share = _from_zero(np.cumsum(weights, axis=1))
        gained = _from_zero(np.cumsum(weights * self.gain, axis=1))
        gap = gained[:, -1:].copy()
        gap[np.abs(gap) < NO_GAP] = np.nan
        with np.errstate(invalid="ignore"):
            return share / share[:, -1:], gained / gap

    def figures(self, weights: Floats) -> Floats:
        """APGR, CPT50 and CPT80 for each weighting: [R, N] -> [R, 3]; NaN where there is no gap."""
        share, recovered = self.curve(weights)
        area = np.sum((recovered[:, 1:] + recovered[:, :-1]) / 2 * np.diff(share, axis=1), axis=1)
        thresholds = [_first_share(share, recovered, level) for level in (0.5, 0.8)]
        return np.stack([area, *thresholds], axis=1)


def average_quality(cost: Floats, quality: Floats, low: Floats, high: Floats) -> Floats:
    """Mean height, between two costs, of the non-decreasing convex hull of points: AIQ.

    Hu et al. 2024 (RouterBench): a mix of two points reaches every point between them, and a dearer point
    that is worse is never chosen. Beyond its best point the hull is level; below its cheapest it is the line
    from cost 0 and quality 0, a mix with not answering.

    Args:
        cost: float64 [R, M], of M points.
        quality: float64 [R, M].
        low: float64 [R], where the mean begins.
        high: float64 [R], where it ends.

    Returns:
        float64 [R]; NaN where ``high`` is not above ``low``.
    """
    rows = np.arange(len(cost))
    cheapest = cost == cost.min(axis=1, keepdims=True)
    at = np.where(cheapest, quality, -np.inf).argmax(axis=1)
    x, y = cost[rows, at], quality[rows, at]
    area = _area_below(np.zeros_like(x), np.zeros_like(y), x, y, low, high)
    # Gift wrapping (Jarvis 1973), all weightings at once: from each corner on to the point of steepest rise.
    for _ in range(cost.shape[1]):
        run, rise = cost - x[:, None], quality - y[:, None]
        slope = np.divide(rise, run, out=np.full_like(rise, -np.inf), where=run > 0)
        at = slope.argmax(axis=1)
        rising = slope[rows, at] > 0
        if not rising.any():
            break
        next_x, next_y = np.where(rising, cost[rows, at], x), np.where(rising, quality[rows, at], y)
        area += _area_below(x, y, next_x, next_y, low, high)
        x, y = next_x, next_y
    area += _area_below(x, y, np.maximum(x, high), y, low, high)
    span = high - low
    return np.divide(area, span, out=np.full_like(area, np.nan), where=span > 0)


def risk_coverage(probabilities: Floats, sufficient: Floats) -> Floats:
    """Error rate on the 1, 2, ... N rows that the probability is surest of: [N], [N] -> [N].

    El-Yaniv and Wiener 2010: whoever abstains on the rest, and asks the strongest tier, errs so often on what
    is left. Sureness is max(p, 1 - p), an error where p >= 0.5 differs from ``sufficient`` >= 0.5; rows of
    equal sureness share their errors, for their order is chance.
    """
    errors = ((probabilities >= 0.5) != (sufficient >= 0.5)).astype(np.float64)
    _, sureness, counts = np.unique(
        -np.maximum(probabilities, 1 - probabilities), return_inverse=True, return_counts=True
    )
    shared = np.repeat(np.bincount(sureness, errors) / counts, counts)  # [N]
    risk: Floats = np.cumsum(shared) / np.arange(1, len(errors) + 1)
    return risk


def area_under_risk_coverage(risk: Floats) -> tuple[float, float]:
    """AURC, the mean of ``risk_coverage`` [N], and E-AURC, how much of it is above the least possible.

    Geifman et al. 2019: the least is that of as many errors, all on the rows that it is least sure of.
    """
    count = len(risk)
    errors = round(float(risk[-1]) * count)
    least = np.maximum(0, np.arange(1, count + 1) - (count - errors)) / np.arange(1, count + 1)
    return float(risk.mean()), float(risk.mean() - least.mean())


def reliability(probabilities: Floats, sufficient: Floats) -> list[tuple[float, float, int]]:
    """(mean probability, frequency, count) of up to 15 bins of equal counts: [N], [N]."""
    order = _order(probabilities)
    return [
        (float(probabilities[part].mean()), float(sufficient[part].mean()), len(part))
        for part in np.array_split(order, BINS)
        if len(part)
    ]


def expected_calibration_error(probabilities: Floats, sufficient: Floats) -> float:
    """Mean gap between probability and frequency over bins of equal counts (Naeini et al. 2015): [N], [N]."""
    gaps = [
        abs(mean - frequency) * count for mean, frequency, count in reliability(probabilities, sufficient)
    ]
    return sum(gaps) / len(probabilities)


def brier_score(probabilities: Floats, sufficient: Floats) -> float:
    """Mean squared error of the probabilities (Brier 1950): [N], [N]."""
    return float(np.mean((probabilities - sufficient) ** 2))


def centred(scores: Floats, fold_of: NDArray[np.int64]) -> Floats:
    """Scores less their fold's mean, so that folds can be pooled: [N], [N]."""
    means = np.bincount(fold_of, scores) / np.maximum(np.bincount(fold_of), 1)
    return scores - means[fold_of]


def _order(values: Floats) -> NDArray[np.int64]:
    """Positions in rising order, ties in a random one: the order of the file must not tell them apart."""
    shuffled = np.random.default_rng(0).permutation(len(values))
    order: NDArray[np.int64] = shuffled[np.argsort(values[shuffled], kind="stable")]
    return order


def _area_below(x0: Floats, y0: Floats, x1: Floats, y1: Floats, low: Floats, high: Floats) -> Floats:
    """Area between ``low`` and ``high`` below the line from (x0, y0) to (x1, y1), x1 >= x0; all [R]."""
    left, right = np.clip(x0, low, high), np.clip(x1, low, high)
    slope = np.divide(y1 - y0, x1 - x0, out=np.zeros_like(x0), where=x1 > x0)
    return (right - left) * (y0 + slope * ((left + right) / 2 - x0))


def _from_zero(sums: Floats) -> Floats:
    return np.hstack([np.zeros((len(sums), 1)), sums])


def _first_share(share: Floats, recovered: Floats, level: float) -> Floats:
    reached = recovered >= level
    first = np.argmax(reached, axis=1)
    found = np.take_along_axis(share, first[:, None], axis=1)[:, 0]
    return np.where(reached.any(axis=1), found, np.nan)
