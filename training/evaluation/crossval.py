"""Cross-validation of the whole of training: fit, calibration, curve and guard, on folds of groups."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from router_model.base import Base
from router_model.data.readers import Reading
from router_model.files import make_report_folder, replace_file
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.crossfit import StageDone
from router_model.training.encoders.registry import load
from router_model.training.evaluation.baselines import BASELINES
from router_model.training.evaluation.compare import Comparison, compare
from router_model.training.evaluation.controls import TASK, Control
from router_model.training.evaluation.controls import controls as run_controls
from router_model.training.evaluation.crossval_findings import crossval_findings
from router_model.training.evaluation.domination import DroppedTier, dominated
from router_model.training.evaluation.folded import Folded, centred_by_fold, fold_by_fold
from router_model.training.evaluation.judge import DIALS, Evaluation, judge
from router_model.training.evaluation.report import write_report
from router_model.training.prepare import Prepared, prepare, read_all
from router_model.training.train import without_dropped


@dataclass(frozen=True)
class CrossValidated:
    """Figures over all folds, and each row's prediction by the router that had not seen it.

    Attributes:
        dropped_tiers: that another tier dominates, and that no router knew.
        comparison: with baselines in the same folds, where they were asked for.
        controls: where they were asked for.
        report: the page, where one was asked for.
    """

    evaluation: Evaluation
    predictions: list[dict[str, Any]]
    dropped_tiers: tuple[DroppedTier, ...] = ()
    comparison: Comparison | None = None
    controls: list[Control] | None = None
    report: str | None = None


def crossval(
    paths: Sequence[str | Path],
    ladder: Ladder,
    count: int = 5,
    config: TrainConfig | None = None,
    *,
    base: Base | None = None,
    baselines: Sequence[str] = (),
    controls: bool = False,
    report: str | Path | None = None,
    skip_bad: bool = False,
    keep_dominated: bool = False,
    stage_done: StageDone | None = None,
) -> CrossValidated:
    """Train on all folds but one, judge on that one, ``count`` times; folds never share a group.

    Args:
        baselines: of ``BASELINES``, fitted and judged in the same folds.
        controls: whether to run them as well; they train up to nine routers more.
        report: folder for a page.
        keep_dominated: whether tiers that another dominates stay in the ladder.

    Raises:
        RouterModelError: as ``train`` does.
    """
    config = config or TrainConfig()
    encoder = load(config, base)
    if report:
        make_report_folder(Path(report))
    prepared = prepare(read_all(paths, Reading(skip_bad=skip_bad)), ladder, config, encoder)
    dropped: tuple[DroppedTier, ...] = ()
    if not keep_dominated:
        # Once, on all rows: folds with ladders of their own could not be pooled. What the held-out rows give
        # away by it is which tiers there are, not which prompt needs which.
        dropped = dominated(prepared.records, prepared.labels, prepared.groups, ladder, config)
    if dropped:
        prepared, ladder = without_dropped(dropped, prepared, ladder, config, encoder)
    wanted = tuple(dict.fromkeys((*baselines, TASK) if controls else baselines))
    missing = {name: why for name in wanted if (why := BASELINES[name].missing())}
    able = [name for name in wanted if name not in missing]
    done = _within(stage_done, 0.0, 0.5 if controls else 1.0)
    everything = fold_by_fold(prepared, ladder, count, able, config, encoder, done)
    folded = everything.take(np.flatnonzero(prepared.labels.complete[everything.rows]))
    evaluation = judge(folded.judged, ladder, config.resamples, config.confidence, config.seed)
    comparison = checked = None
    if wanted:
        others = {name: centred_by_fold(said, folded.fold_of) for name, said in folded.others.items()}
        records = [prepared.records[row] for row in folded.rows.tolist()]
        comparison = compare(folded.judged, evaluation, others, records, ladder, config, missing)
    if controls and comparison:
        done = _within(stage_done, 0.5, 1.0)
        checked = run_controls(prepared, ladder, config, encoder, comparison.rankings, done)
    found = CrossValidated(
        evaluation=evaluation,
        predictions=_predictions(everything, prepared, ladder),
        dropped_tiers=dropped,
        comparison=comparison,
        controls=checked,
    )
    if not report:
        return found
    findings = crossval_findings(
        folded, prepared, ladder, config, encoder, evaluation, dropped, comparison, checked or ()
    )
    return dataclasses.replace(found, report=str(write_report(Path(report), findings)))


def write_predictions(path: str | Path, predictions: Sequence[dict[str, Any]]) -> None:
    """One JSON object a line; raises FileError."""
    lines = [json.dumps(row, ensure_ascii=False) for row in predictions]
    replace_file(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))


def _predictions(folded: Folded, prepared: Prepared, ladder: Ladder) -> list[dict[str, Any]]:
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


def _within(stage_done: StageDone | None, start: float, end: float) -> StageDone | None:
    """Progress of a stretch of the whole."""
    if stage_done is None:
        return None
    return lambda name, share: stage_done(name, start + (end - start) * share)
