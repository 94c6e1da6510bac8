"""Cross-validation of the whole of training: fit, calibration, curve and guard, on folds of groups."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
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
from router_model.training.evaluation.baselines import BASELINES
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.compare import ROUTER, Comparison, Ranked, at_costs, rank
from router_model.training.evaluation.controls import TASK, Control
from router_model.training.evaluation.controls import controls as run_controls
from router_model.training.evaluation.frontier import unit_means, units
from router_model.training.evaluation.judge import DIALS, Evaluation, Judged, judge
from router_model.training.evaluation.metrics import centred
from router_model.training.fit import predict
from router_model.training.prepare import Prepared, prepare, read_all
from router_model.training.train import build

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CrossValidated:
    """Figures over all folds, and each row's prediction by the router that had not seen it.

    Attributes:
        comparison: with baselines in the same folds, where they were asked for.
        controls: where they were asked for.
    """

    evaluation: Evaluation
    predictions: list[dict[str, Any]]
    comparison: Comparison | None = None
    controls: list[Control] | None = None


def crossval(
    paths: Sequence[str | Path],
    ladder: Ladder,
    count: int = 5,
    config: TrainConfig | None = None,
    *,
    base: Base | None = None,
    baselines: Sequence[str] = (),
    controls: bool = False,
    skip_bad: bool = False,
    stage_done: StageDone | None = None,
) -> CrossValidated:
    """Train on all folds but one, judge on that one, ``count`` times; folds never share a group.

    Args:
        baselines: of ``BASELINES``, fitted and judged in the same folds.
        controls: whether to run them as well; they train up to nine routers more.

    Raises:
        RouterModelError: as ``train`` does.
    """
    config, base = config or TrainConfig(), base or Base.default()
    prepared = prepare(read_all(paths, Reading(skip_bad=skip_bad)), ladder, config, base)
    wanted = tuple(dict.fromkeys((*baselines, TASK) if controls else baselines))
    missing = {name: why for name in wanted if (why := BASELINES[name].missing())}
    able = [name for name in wanted if name not in missing]
    done = _within(stage_done, 0.0, 0.5 if controls else 1.0)
    folded = _fold_by_fold(prepared, count, able, config, base, done)
    complete = np.flatnonzero(prepared.labels.complete[folded.rows])
    judged = _taken(folded.judged, complete)
    found = CrossValidated(
        judge(judged, ladder, config.resamples, config.confidence, config.seed),
        _predictions(folded, prepared, ladder),
    )
    if not wanted:
        return found
    tasks = units([prepared.records[row].task for row in folded.rows[complete].tolist()])
    others = {name: scores[complete] for name, scores in folded.others.items()}
    rankings = _rankings(judged, others, tasks, ladder, config)
    comparison = Comparison(rankings, at_costs(found.evaluation.dials, judged.labels, tasks), missing)
    found = dataclasses.replace(found, comparison=comparison)
    if not controls:
        return found
    done = _within(stage_done, 0.5, 1.0)
    return dataclasses.replace(found, controls=run_controls(prepared, ladder, config, base, rankings, done))


def write_predictions(path: str | Path, predictions: Sequence[dict[str, Any]]) -> None:
    """One JSON object a line; raises FileError."""
    lines = [json.dumps(row, ensure_ascii=False) for row in predictions]
    replace_file(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class _Folded:
    """What was said of every row by what had not seen it, in the order of the folds.

    Attributes:
        rows: int64 [N], their places in the data.
        fold_of: int64 [N].
        judged: the router.
        others: the baselines' scores, float64 [N, K], centred as the router's are.
    """

    rows: NDArray[np.int64]
    fold_of: NDArray[np.int64]
    judged: Judged
    others: dict[str, Floats]


def _fold_by_fold(
    prepared: Prepared,
    count: int,
    baselines: Sequence[str],
    config: TrainConfig,
    base: Base,
    stage_done: StageDone | None,
) -> _Folded:
    place = folds(prepared.groups, count, config.seed)
    parts, others = [], []
    for fold in range(count):
        inside, rest = np.flatnonzero(place == fold), np.flatnonzero(place != fold)
        done = _part(stage_done, fold, count)
        parts.append(_judge_fold(prepared, inside, rest, config, base, done))
        others.append(_baselines(baselines, prepared.take(rest), prepared.take(inside), config, base, done))
    rows = np.concatenate([np.flatnonzero(place == fold) for fold in range(count)])
    fold_of = place[rows]
    return _Folded(
        rows=rows,
        fold_of=fold_of,
        judged=_together(parts, prepared, rows, fold_of),
        others={
            name: _centred(np.concatenate([part[name] for part in others]), fold_of) for name in baselines
        },
    )


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


def _baselines(
    names: Sequence[str],
    train: Prepared,
    judged: Prepared,
    config: TrainConfig,
    base: Base,
    stage_done: StageDone | None,
) -> dict[str, Floats]:
    """Probabilities float64 [M, K] of the judged rows by each baseline."""
    said = {}
    for name in names:
        if stage_done:
            stage_done(f"baseline {name}", 1.0)
        said[name] = BASELINES[name].fit(train, base, config.seed)(judged)
    return said


def _together(
    parts: list[Judged], prepared: Prepared, rows: NDArray[np.int64], fold_of: NDArray[np.int64]
) -> Judged:
    """The folds as one set of rows; scores are centred, since each fold's network has its own level."""
    probabilities = np.concatenate([part.probabilities for part in parts])
    return Judged(
        probabilities=probabilities,
        scores=_centred(probabilities, fold_of),
        chosen=np.concatenate([part.chosen for part in parts]),
        by_router=np.all([part.by_router for part in parts], axis=0),
        labels=prepared.labels.take(rows),
        groups=prepared.groups[rows],
        relative_cost=np.mean([part.relative_cost for part in parts], axis=0),
    )


def _centred(probabilities: Floats, fold_of: NDArray[np.int64]) -> Floats:
    return np.stack([centred(column, fold_of) for column in probabilities.T], axis=1)


def _taken(judged: Judged, rows: NDArray[np.int64]) -> Judged:
    return Judged(
        probabilities=judged.probabilities[rows],
        scores=judged.scores[rows],
        chosen=judged.chosen[rows],
        by_router=judged.by_router,
        labels=judged.labels.take(rows),
        groups=judged.groups[rows],
        relative_cost=judged.relative_cost,
    )


def _rankings(
    judged: Judged,
    others: Mapping[str, Floats],
    tasks: NDArray[np.int64],
    ladder: Ladder,
    config: TrainConfig,
) -> list[Ranked]:
    """The router, the baselines, and the oracles, whose scores are the outcomes themselves."""
    outcomes = judged.labels.outcomes
    scores = {
        ROUTER: judged.scores,
        **others,
        "task oracle": unit_means(outcomes, tasks),
        "query oracle": outcomes,
    }
    bootstrap = Bootstrap(judged.groups, config.resamples, config.confidence, config.seed)
    return rank(scores, outcomes, ladder, bootstrap)


def _predictions(folded: _Folded, prepared: Prepared, ladder: Ladder) -> list[dict[str, Any]]:
    """In the order of the data; the tier is that of the dial quality=0.95."""
    default, judged = DIALS.index(("quality", 0.95)), folded.judged
    found = {
        int(row): {
            "id": prepared.records[row].id,
            "fold": int(folded.fold_of[place]),
            "sufficiency": dict(zip(ladder.names, judged.probabilities[place].tolist(), strict=True)),
            "tier": ladder.names[judged.chosen[place, default]],
        }
        for place, row in enumerate(folded.rows)
    }
    return [found[row] for row in sorted(found)]


def _part(stage_done: StageDone | None, fold: int, count: int) -> StageDone | None:
    if stage_done is None:
        return None
    return lambda name, share: stage_done(f"part {fold + 1} of {count}, {name}", (fold + share) / count)


def _within(stage_done: StageDone | None, start: float, end: float) -> StageDone | None:
    """Progress of a stretch of the whole."""
    if stage_done is None:
        return None
    return lambda name, share: stage_done(name, start + (end - start) * share)
