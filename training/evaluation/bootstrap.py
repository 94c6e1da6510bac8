"""Paired, group-clustered bootstrap: whole groups are drawn, and everything compared shares the draws.

Efron and Tibshirani 1993; groups rather than rows because near-duplicates are not independent.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]
CHUNK_CELLS = 4_000_000  # of the weight matrix at a time, 32 MB


class Bootstrap:
    """Resamples of N rows in G groups.

    Args:
        groups: int64 [N].
        resamples: R, how often.
        confidence: of the intervals, in (0, 1).
        seed: of the draws.
    """

    def __init__(self, groups: NDArray[np.int64], resamples: int, confidence: float, seed: int = 0) -> None:
        _, self.group_of = np.unique(groups, return_inverse=True)
        self.count = int(self.group_of.max()) + 1
        self.resamples = resamples
        self.confidence = confidence
        self.seed = seed

    def weights(self) -> Iterator[NDArray[np.float64]]:
        """How often each group was drawn, [R', G] at a time."""
        random = np.random.default_rng(self.seed)
        size = max(1, CHUNK_CELLS // self.count)
        for start in range(0, self.resamples, size):
            rows = min(size, self.resamples - start)
            draws = random.integers(self.count, size=(rows, self.count))
            flat = (draws + np.arange(rows)[:, None] * self.count).ravel()
            counts = np.bincount(flat, minlength=rows * self.count)
            yield counts.reshape(rows, self.count).astype(np.float64)

    def sums(self, values: Floats) -> Floats:
        """Sums of each column over each resample: [N, M] -> [R, M]."""
        order = np.argsort(self.group_of, kind="stable")
        starts = np.searchsorted(self.group_of[order], np.arange(self.count))
        totals = np.add.reduceat(values[order], starts, axis=0)  # [G, M]
        return np.concatenate([weights @ totals for weights in self.weights()])

    def means(self, values: Floats) -> Floats:
        """Means of each column over the rows of each resample: [N, M] -> [R, M].

        Groups differ in size, so resamples differ in rows: a sum over N would vary where a mean does not.
        """
        sums = self.sums(np.hstack([values, np.ones((len(values), 1))]))  # [R, M + 1]
        return sums[:, :-1] / sums[:, -1:]

    def interval(self, draws: Floats) -> Interval:
        """Percentile interval of R draws of one figure; draws that are not finite are left out."""
        finite = draws[np.isfinite(draws)]
        if not finite.size:
            return float("nan"), float("nan")
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(finite, [tail, 1 - tail])
        return float(low), float(high)
