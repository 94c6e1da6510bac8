"""An artifact on labelled data that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.data.groups import group
from router_model.data.labels import label
from router_model.data.readers import Reading
from router_model.data.records import Record
from router_model.errors import ConfigError, LadderError
from router_model.files import make_report_folder
from router_model.ladder import Ladder
from router_model.manifest import Manifest
from router_model.policy.curve import Policy
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.compare import Comparison, compare
from router_model.training.evaluation.domination import relabelled
from router_model.training.evaluation.findings import Findings
from router_model.training.evaluation.judge import Evaluation, Judged, judge
from router_model.training.evaluation.leaks import LeakVerdict, OnLeaks, without_leaks
from router_model.training.evaluation.points import measure_points
from router_model.training.evaluation.report import write_report
from router_model.training.evaluation.subset import on_tiers, own_cost
from router_model.training.prepare import read_all

Floats = NDArray[np.float64]
ROWS_ARE = "the labelled rows given, at the operating points that the artifact took from its training"


@dataclass(frozen=True)
class Evaluated:
    """Figures on the rows that were given.

    Attributes:
        evaluation: the figures.
        comparison: the router's order of prompts beside orders that need no training on the rows' like: by
            length, and by difficulty, its probability of the cheaper tier alone. Difficulty transfers to
            other tasks and models where gain may not.
        leaks: whether training saw the rows.
        report: the page, where one was asked for.
    """

    evaluation: Evaluation
    comparison: Comparison
    leaks: LeakVerdict
    report: str | None


def evaluate(
    router: Router,
    paths: Sequence[str | Path],
    ladder: Ladder | None = None,
    config: TrainConfig | None = None,
    *,
    trained_on: Sequence[str | Path] = (),
    on_leaks: OnLeaks = "refuse",
    report: str | Path | None = None,
    skip_bad: bool = False,
) -> Evaluated:
    """Figures of ``router`` on the records of ``paths``.

    Args:
        ladder: which models of the data stand for the router's tiers, by the same tier names; the
            router's own where None. Tiers that training dropped as dominated may stand in it. With some of
            the router's tiers alone, two at least, it is judged as it chooses between these.
        config: bar, margin, resamples, confidence and seed are read.
        trained_on: the training data, to look for leaks: rows that are near-duplicates of theirs.
        on_leaks: whether leaking rows are refused, dropped or kept.
        report: folder for a page.

    Raises:
        LadderError: the ladder's tiers are not the router's.
        DataError: no row tells how every tier did, or rows leak and are to be refused.
        ConfigError: ``on_leaks`` without ``trained_on``.
    """
    if on_leaks != "refuse" and not trained_on:
        raise ConfigError(f"--leaks {on_leaks}: name the training data with --trained-on")
    if report:
        make_report_folder(Path(report))
    config, manifest = config or TrainConfig(), router.artifact.manifest
    ladder = _ladder_of(router.ladder, ladder, manifest)
    manifest, columns = on_tiers(manifest, ladder)
    records = relabelled(read_all(paths, Reading(skip_bad=skip_bad)), _successors(manifest))
    leaks = LeakVerdict()
    if trained_on:
        seen = read_all(trained_on, Reading(skip_bad=skip_bad))
        records, leaks = without_leaks(seen, records, on_leaks)
    labels = label(records, ladder, config.bar, config.margin)
    rows = np.flatnonzero(labels.complete)
    known, labels = [records[row] for row in rows], labels.take(rows)
    said = router.route_prompts([record.prompt for record in known])
    probabilities = said.sufficiency[:, columns].astype(np.float64)
    judged = Judged.by_curve(
        manifest.relative_cost,
        manifest.curve,
        probabilities,
        labels,
        group(known),
        [record.prompt.text for record in known],
        own_cost(said, manifest, columns),
    )
    evaluation = judge(judged, ladder, config.resamples, config.confidence, config.seed)
    others = {"difficulty": _difficulty(probabilities), "length": _length(known, len(ladder))}
    comparison = compare(judged, evaluation, others, known, ladder, config)
    page = None
    if report:
        page = _report(Path(report), manifest, known, judged, evaluation, comparison, config, leaks)
    return Evaluated(evaluation, comparison, leaks, str(page) if page else None)


def _difficulty(probabilities: Floats) -> Floats:
    """Scores [N, K] by which prompts are ordered by the cheaper tier's probability alone, the least first."""
    scores = probabilities.copy()
    scores[:, -1] = 0.0
    return scores


def _length(records: Sequence[Record], tiers: int) -> Floats:
    """Scores [N, K] by which prompts are ordered by their characters, the most first."""
    scores = np.zeros((len(records), tiers))
    scores[:, -1] = [record.prompt.characters for record in records]
    return scores


def _ladder_of(own: Ladder, given: Ladder | None, manifest: Manifest) -> Ladder:
    """The given ladder without the tiers that training dropped; raises LadderError where it is another."""
    if given is None:
        return own
    if given.names != own.names:
        tiers = tuple(tier for tier in given.tiers if tier.name not in _successors(manifest))
        names = tuple(tier.name for tier in tiers)
        if len(names) < 2 or names != tuple(name for name in own.names if name in names):
            raise LadderError(
                f"the ladder has {', '.join(given.names)}, the router {', '.join(own.names)}; "
                "give a ladder with the router's tier names, or two or more of them"
            )
        return Ladder(tiers)
    return given


def _successors(manifest: Manifest) -> dict[str, str]:
    """The kept tier for each tier that training dropped."""
    return {tier["tier"]: tier["successor"] for tier in manifest.data.get("dropped_tiers", [])}


def _report(
    folder: Path,
    manifest: Manifest,
    records: Sequence[Record],
    judged: Judged,
    evaluation: Evaluation,
    comparison: Comparison,
    config: TrainConfig,
    leaks: LeakVerdict,
) -> Path:
    policy = Policy(manifest.relative_cost, manifest.curve, ("quality", manifest.default_quality))
    bootstrap = Bootstrap(judged.groups, config.resamples, config.confidence, config.seed)
    findings = Findings.of_artifact(
        manifest=manifest,
        curve=measure_points(
            policy, manifest.curve, judged.probabilities, judged.labels, bootstrap, judged.own_cost
        ),
        records=records,
        judged=judged,
        evaluation=evaluation,
        comparison=comparison,
        rows_are=ROWS_ARE,
        resamples=config.resamples,
        seed=config.seed,
        leaks=leaks.message,
    )
    return write_report(folder, findings)
