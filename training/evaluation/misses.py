"""Misses: rows where the router's tier failed and a dearer one would not have.

N: rows, K: tiers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.data.records import Record

MAX_MISSES = 20
TEXT = 300  # characters


@dataclass(frozen=True, slots=True)
class Miss:
    """One row; ``chosen`` is a position in the ladder, the rest a value per tier [K]."""

    id: str
    task: str | None
    text: str
    chosen: int
    probabilities: tuple[float, ...]
    outcomes: tuple[float, ...]


def worst_misses(
    records: Sequence[Record],
    labels: Labels,
    chosen: NDArray[np.int64],
    probabilities: NDArray[np.float64],
) -> list[Miss]:
    """The 20 misses of which the router was surest: by its probability that the chosen tier suffices.

    Args:
        records: N rows.
        labels: theirs; a miss is told where the chosen tier and a dearer one are known.
        chosen: int64 [N].
        probabilities: float64 [N, K].
    """
    tiers = np.arange(labels.sufficient.shape[1])
    dearer = (labels.sufficient == 1) & (tiers > chosen[:, None])  # [N, K]
    missed = np.flatnonzero((_of(labels.sufficient, chosen) == 0) & dearer.any(axis=1))
    order = np.argsort(-_of(probabilities, chosen)[missed], kind="stable")
    return [
        Miss(
            id=records[row].id,
            task=records[row].task,
            text=records[row].prompt.text[:TEXT],
            chosen=int(chosen[row]),
            probabilities=tuple(probabilities[row].tolist()),
            outcomes=tuple(labels.outcomes[row].tolist()),
        )
        for row in missed[order][:MAX_MISSES].tolist()
    ]


def _of(values: NDArray[np.float64], chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    taken: NDArray[np.float64] = np.take_along_axis(values, chosen[:, None], axis=1)[:, 0]
    return taken
