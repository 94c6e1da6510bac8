"""Rows of a data set, and what routers say of them that had not seen them."""

import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.data.readers import Reading
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.crossfit import crossfit
from router_model.training.encoders.registry import load
from router_model.training.fit import predict
from router_model.training.prepare import Prepared, prepare, read_all

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
TASK_FOLDS = 4  # routers that have not seen a part of the tasks


@dataclass(frozen=True)
class Rowset:
    """Rows of one data set and what routers say of them that had not seen them.

    Attributes:
        probabilities: float64 [N, K], by routers that had seen all tasks.
        without: float64 [F, N, K], by routers that had not seen the tasks of ``unseen``.
        unseen: bool [F, N].
        outcomes, cost: float64 [N, K].
        groups, characters: int64 [N].
        task: text [N].
    """

    probabilities: Floats
    without: Floats
    unseen: NDArray[np.bool_]
    outcomes: Floats
    cost: Floats
    groups: Rows
    characters: Rows
    task: NDArray[np.str_]

    @classmethod
    def read(cls, folder: Path, name: str, keep: Path | None, task_folds: int) -> "Rowset":
        """From the file that an earlier run kept, or by cross-fitting, which takes minutes."""
        path = keep / f"{name}.npz" if keep else None
        if path and path.exists():
            with np.load(path, allow_pickle=False) as kept:
                return cls(**{key: kept[key] for key in kept.files})
        made = cls._fitted(folder, name, task_folds)
        if path:
            np.savez(path, **{field.name: getattr(made, field.name) for field in dataclasses.fields(made)})
        return made

    @classmethod
    def _fitted(cls, folder: Path, name: str, task_folds: int) -> "Rowset":
        config = TrainConfig()
        encoder = load(config, None)
        ladders = json.loads((folder / "ladders.json").read_text())
        ladder = Ladder.from_dict(ladders[f"train/{name}"])
        records = read_all([folder / "train" / f"{name}.jsonl.gz"], Reading())
        prepared = prepare(records, ladder, config, encoder)
        known = np.flatnonzero(prepared.labels.complete)
        task = np.array([str(record.task) for record in prepared.records])
        tasks = np.unique(task)
        fold_of = np.random.default_rng(0).permutation(np.arange(len(tasks)) % TASK_FOLDS)
        unseen = np.stack([np.isin(task, tasks[fold_of == fold]) for fold in range(task_folds)])
        told(f"{name}: cross-fitting")
        whole = crossfit(encoder, prepared.encoded, prepared.labels.sufficient, prepared.groups, config)
        without = []
        for fold in range(task_folds):
            told(f"{name}: cross-fitting without {', '.join(tasks[fold_of == fold])}")
            without.append(_without(prepared, unseen[fold], config))
        return cls(
            whole.probabilities[known],
            np.stack(without)[:, known],
            unseen[:, known],
            prepared.labels.outcomes[known],
            prepared.labels.cost_usd[known],
            prepared.groups[known],
            np.array([prepared.records[row].prompt.characters for row in known.tolist()], np.int64),
            task[known],
        )


def _without(prepared: Prepared, unseen: NDArray[np.bool_], config: TrainConfig) -> Floats:
    """What a router says that has not seen some rows, of those and, out of fold, of the others: [N, K]."""
    encoder, seen, new = load(config, None), np.flatnonzero(~unseen), np.flatnonzero(unseen)
    part = prepared.take(seen)
    fitted = crossfit(encoder, part.encoded, part.labels.sufficient, part.groups, config)
    said = np.empty(prepared.labels.sufficient.shape)
    said[seen] = fitted.probabilities
    said[new] = fitted.calibration(predict(fitted.network, prepared.encoded, new))
    return said


def halves(groups: Rows, random: np.random.Generator, *, again: bool) -> tuple[Rows, Rows]:
    """A row of each group of a random half, or of as many groups drawn with replacement; and the rest."""
    order = random.permutation(len(groups))
    names, first = np.unique(groups[order], return_index=True)
    one_of_each = random.permutation(order[first])
    half = len(names) // 2
    if again:
        return random.choice(one_of_each, half), one_of_each[:0]
    inside = one_of_each[:half]
    return inside, np.flatnonzero(~np.isin(groups, groups[inside]))


def told(line: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
