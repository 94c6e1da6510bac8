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


def _from_zero(sums: Floats) -> Floats:
    return np.hstack([np.zeros((len(sums), 1)), sums])


def _first_share(share: Floats, recovered: Floats, level: float) -> Floats:
    reached = recovered >= level
    first = np.argmax(reached, axis=1)
    found = np.take_along_axis(share, first[:, None], axis=1)[:, 0]
    return np.where(reached.any(axis=1), found, np.nan)
