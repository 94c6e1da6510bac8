"""Cross-validation of the whole of training: fit, calibration, curve and guard, on folds of groups."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.base import Base
from router_model.data.readers import Reading
from router_model.data.split import folds
from router_model.files import replace_file
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.crossfit import StageDone
from router_model.training.evaluation.judge import DIALS, Evaluation, Judged, judge
from router_model.training.evaluation.metrics import centred
from router_model.training.fit import predict
from router_model.training.prepare import Prepared, prepare, read_all
from router_model.training.train import build


@dataclass(frozen=True)
class CrossValidated:
    """Figures over all folds, and each row's prediction by the router that had not seen it."""

    evaluation: Evaluation
    predictions: list[dict[str, Any]]


def crossval(
    paths: Sequence[str | Path],
    ladder: Ladder,
    count: int = 5,
    config: TrainConfig | None = None,
    *,
    base: Base | None = None,
    skip_bad: bool = False,
    stage_done: StageDone | None = None,
) -> CrossValidated:
    """Train on all folds but one, judge on that one, ``count`` times; folds never share a group.

    Raises:
        RouterModelError: as ``train`` does.
    """
    config, base = config or TrainConfig(), base or Base.default()
    prepared = prepare(read_all(paths, Reading(skip_bad=skip_bad)), ladder, config, base)
    fold_of = folds(prepared.groups, count, config.seed)
    parts = []
    for fold in range(count):
        inside, rest = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        parts.append(_judge_fold(prepared, inside, rest, config, base, _part(stage_done, fold, count)))
    rows = np.concatenate([np.flatnonzero(fold_of == fold) for fold in range(count)])
    together = _together(parts, prepared, rows, fold_of)
    predictions = _predictions(together, prepared, rows, fold_of, ladder)
    complete = np.flatnonzero(prepared.labels.complete[rows])
    judged = Judged(
        probabilities=together.probabilities[complete],
        scores=together.scores[complete],
        chosen=together.chosen[complete],
        by_router=together.by_router,
        labels=together.labels.take(complete),
        groups=together.groups[complete],
        relative_cost=together.relative_cost,
    )
    evaluation = judge(judged, ladder, config.resamples, config.confidence, config.seed)
    return CrossValidated(evaluation, predictions)


def write_predictions(path: str | Path, predictions: Sequence[dict[str, Any]]) -> None:
    """One JSON object a line; raises FileError."""
    lines = [json.dumps(row, ensure_ascii=False) for row in predictions]
    replace_file(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))


def _judge_fold(
    prepared: Prepared,
    inside: NDArray[np.int64],
    rest: NDArray[np.int64],
    config: TrainConfig,
    base: Base,
    stage_done: StageDone | None,
) -> Judged:
    built = build(prepared.take(rest), config, base, stage_done=stage_done)
    return Judged.by_curve(
        built.relative_cost,
        built.curve.points,
        built.fitted.calibration(predict(built.fitted.network, prepared.encoded, inside)),
        prepared.labels.take(inside),
        prepared.groups[inside],
        [prepared.records[row].prompt.text for row in inside],
    )


def _together(
    parts: list[Judged], prepared: Prepared, rows: NDArray[np.int64], fold_of: NDArray[np.int64]
) -> Judged:
    """The folds as one set of rows; scores are centred, since each fold's network has its own level."""
    probabilities = np.concatenate([part.probabilities for part in parts])
    scores = np.stack([centred(column, fold_of[rows]) for column in probabilities.T], axis=1)
    return Judged(
        probabilities=probabilities,
        scores=scores,
        chosen=np.concatenate([part.chosen for part in parts]),
        by_router=np.all([part.by_router for part in parts], axis=0),
        labels=prepared.labels.take(rows),
        groups=prepared.groups[rows],
        relative_cost=np.mean([part.relative_cost for part in parts], axis=0),
    )


def _predictions(
    judged: Judged, prepared: Prepared, rows: NDArray[np.int64], fold_of: NDArray[np.int64], ladder: Ladder
) -> list[dict[str, Any]]:
    """In the order of the data; the tier is that of the dial quality=0.95."""
    default = DIALS.index(("quality", 0.95))
    found = {
        int(row): {
            "id": prepared.records[row].id,
            "fold": int(fold_of[row]),
            "sufficiency": dict(zip(ladder.names, judged.probabilities[place].tolist(), strict=True)),
            "tier": ladder.names[judged.chosen[place, default]],
        }
        for place, row in enumerate(rows)
    }
    return [found[row] for row in sorted(found)]


def _part(stage_done: StageDone | None, fold: int, count: int) -> StageDone | None:
    if stage_done is None:
        return None
    return lambda name, share: stage_done(f"part {fold + 1} of {count}, {name}", (fold + share) / count)
