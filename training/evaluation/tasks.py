"""A router task by task: where it earns its keep, and where it does not.

N: rows, K: tiers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.data.records import Record
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.choices import Choices, measure_choices

MAX_TASKS = 40


@dataclass(frozen=True, slots=True)
class Task:
    """The rows of one task; the mix that ``choices`` are compared with is the task's own.

    Attributes:
        name: of the task.
        rows: how many.
        accuracy: mean outcome of each tier [K].
        choices: what the router gives.
    """

    name: str
    rows: int
    accuracy: tuple[float, ...]
    choices: Choices


def by_task(
    records: Sequence[Record], labels: Labels, chosen: NDArray[np.int64], bootstrap: Bootstrap
) -> list[Task]:
    """The 40 largest tasks, largest first; records that name no task are left out.

    Args:
        records: N rows.
        labels: theirs; every tier is known.
        chosen: int64 [N].
        bootstrap: over the rows' groups.
    """
    counts = Counter(record.task for record in records if record.task is not None)
    found = []
    for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_TASKS]:
        rows = np.array([row for row, record in enumerate(records) if record.task == name])
        part = labels.take(rows)
        accuracy = tuple(part.outcomes.mean(axis=0).tolist())
        own = Bootstrap(bootstrap.group_of[rows], bootstrap.resamples, bootstrap.confidence, bootstrap.seed)
        found.append(Task(name, count, accuracy, measure_choices(part, chosen[rows], own)))
    return found
