"""Splits by group: every row of a group falls on one side."""

import numpy as np
from numpy.typing import NDArray

from router_model.errors import DataError


def folds(groups: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """A fold from 0 to ``count`` - 1 per row, int64 [N], of near-equal row counts.

    Groups are shuffled by ``seed`` and dealt, largest first, to the fold with the fewest rows.

    Raises:
        DataError: fewer groups than folds.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < count:
        raise DataError(
            f"{len(names)} groups of rows cannot be split into {count} folds; give more data or fewer folds"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of = np.empty(len(names), np.int64)
    rows = np.zeros(count, np.int64)
    for position in order:
        fold_of[position] = rows.argmin()
        rows[fold_of[position]] += sizes[position]
    return fold_of[np.searchsorted(names, groups)]


def holdout(groups: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Rows held out, bool [N]: whole groups, about ``share`` of the rows and at least one group.

    Raises:
        DataError: fewer than two groups.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 2:
        raise DataError(
            "all rows are near-duplicates of one another or share one group; give more varied data"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    taken = np.cumsum(sizes[order])
    wanted = max(1, int(np.searchsorted(taken, share * len(groups), side="right")))
    chosen = names[order[: min(wanted, len(names) - 1)]]
    return np.isin(groups, chosen)
