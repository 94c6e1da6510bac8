"""The main job: labelled records in, an artifact out."""

import hashlib
import logging
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from router_model.artifact import seal, write
from router_model.base import Base
from router_model.data.labels import answer_lengths
from router_model.data.readers import Reading
from router_model.errors import ConfigError, DataError, TrainingError
from router_model.files import make_report_folder
from router_model.ladder import Ladder
from router_model.manifest import Manifest
from router_model.network import Network
from router_model.router import Router
from router_model.training.build import Built, build
from router_model.training.config import TrainConfig
from router_model.training.crossfit import CrossFitted, StageDone, open_state
from router_model.training.encoders.encoder import Encoder, Exported
from router_model.training.encoders.registry import load
from router_model.training.encoders.static import Static
from router_model.training.evaluation.domination import DroppedTier, dominated, relabelled, without_tiers
from router_model.training.evaluation.findings import Findings
from router_model.training.evaluation.judge import Evaluation, Judged, judge
from router_model.training.evaluation.report import write_report
from router_model.training.export import embeddings
from router_model.training.lengths import fit_head
from router_model.training.lengths_graph import with_lengths
from router_model.training.manifest import data_of, manifest_of
from router_model.training.prepare import Prepared, data_fingerprint, prepare, read_all
from router_model.training.start import keep_learned
from router_model.training.teach import TEACHERS, taught

logger = logging.getLogger(__name__)

HELD_OUT = "held-out rows: each was routed by networks that had not seen it or its near-duplicates"
ESTIMATED = f"{HELD_OUT}; outcomes of tiers that the log does not show are estimated, doubly robust"
TAUGHT = f"{HELD_OUT}; their outcomes are what the teacher expects, for nobody knows them"
NO_LEAKS = "none by construction: near-duplicates share a fold, so no network judged one that it had seen"


@dataclass(frozen=True)
class Trained:
    """What ``train`` did.

    Attributes:
        out: the artifact.
        bytes: its size.
        precision: of its graph.
        rows: labelled rows that it learned from.
        bad_rows: rows that were skipped.
        groups: among the rows.
        seconds: wall-clock time.
        peak_memory_mb: of this process.
        guard: the verdict.
        evaluation: figures on held-out rows.
        checks: largest differences between network and graph.
        report: the page, where one was asked for.
        dropped_tiers: that another tier dominates, and that the router does not know.
    """

    out: str
    bytes: int
    precision: str
    rows: int
    bad_rows: int
    groups: int
    seconds: float
    peak_memory_mb: float
    guard: dict[str, Any]
    evaluation: Evaluation
    checks: dict[str, float]
    report: str | None
    dropped_tiers: tuple[DroppedTier, ...] = ()


def train(
    paths: Sequence[str | Path],
    ladder: Ladder,
    out: str | Path,
    config: TrainConfig | None = None,
    *,
    base: Base | None = None,
    teacher: Router | None = None,
    report: str | Path | None = None,
    learned: str | Path | None = None,
    skip_bad: bool = False,
    keep_dominated: bool = False,
    stage_done: StageDone | None = None,
) -> Trained:
    """Train a router on the records of ``paths`` and write the artifact to ``out``.

    An interrupted run is taken up by the next of the same data and settings, from ``out`` + ".resume".
    Tiers that another dominates leave the ladder first, unless ``keep_dominated`` (evaluation/domination.py).
    ``learned`` is a file for what the network learnt, which ``Base.read`` reads to go on from.
    With a ``teacher``, whose ladder ``ladder`` then is, rows without labels get its probabilities (teach.py).

    Raises:
        RouterModelError: data, settings or files are not usable, or training failed; ``out`` is untouched.
    """
    started = time.monotonic()
    config, out = config or TrainConfig(), Path(out)
    encoder = load(config, base)
    _check_places(out, learned, encoder)
    if report:
        make_report_folder(Path(report))
    reading = Reading(skip_bad=skip_bad)
    records = read_all(paths, reading)
    if teacher:
        prepared = taught(records, teacher, config, encoder)
    else:
        prepared = prepare(records, ladder, config, encoder)
    dropped: tuple[DroppedTier, ...] = ()
    if not (keep_dominated or teacher):
        dropped = dominated(prepared.records, prepared.labels, prepared.groups, ladder, config)
    if dropped:
        prepared, ladder = without_dropped(dropped, prepared, ladder, config, encoder)
    fingerprint = data_fingerprint(prepared.records)
    run_of = (fingerprint, ladder, config, encoder.fingerprint, teacher and teacher.artifact.fingerprint)
    state = open_state(Path(f"{out}.resume"), _run_fingerprint(run_of))
    try:
        built = build(prepared, ladder, config, encoder, state=state, stage_done=stage_done)
    except (DataError, TrainingError):  # it would fail again: there is nothing to go on with
        shutil.rmtree(state)
        raise
    exported = _export(built, prepared, ladder, encoder, config.seed)
    judged = built.judged(prepared)
    evaluation = judge(judged, ladder, config.resamples, config.confidence, config.seed)
    data = data_of(built, prepared, fingerprint, dropped, teacher)
    manifest = manifest_of(built, exported, evaluation, prepared, ladder, config, encoder, data)
    content = seal(exported.graph, manifest)
    page = _report(Path(report), manifest, built, prepared, judged, evaluation, config) if report else None
    write(out, content)
    if learned:
        _keep(built.fitted, encoder, f"{out.name}, of data {fingerprint[:16]}", learned)
    shutil.rmtree(state, ignore_errors=True)
    return Trained(
        out=str(out),
        bytes=out.stat().st_size,
        precision=exported.precision,
        rows=len(prepared.records),
        bad_rows=reading.bad,
        groups=data["groups"],
        seconds=round(time.monotonic() - started, 2),
        peak_memory_mb=peak_memory_mb(),
        guard=built.curve.guard,
        evaluation=evaluation,
        checks=exported.checks,
        report=str(page) if page else None,
        dropped_tiers=dropped,
    )


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def without_dropped(
    dropped: Sequence[DroppedTier], prepared: Prepared, ladder: Ladder, config: TrainConfig, encoder: Encoder
) -> tuple[Prepared, Ladder]:
    """The rows and the ladder without the dropped tiers, each of which is named in a warning."""
    for tier in dropped:
        logger.warning("%s; it leaves the ladder, unless --keep-dominated", tier)
    ladder = without_tiers(ladder, dropped)
    records = relabelled(prepared.records, {tier.tier: tier.successor for tier in dropped})
    return prepare(records, ladder, config, encoder), ladder


def _check_places(out: Path, learned: str | Path | None, encoder: Encoder) -> None:
    """Refuse at once what would fail at the end."""
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: {out.parent} is not a folder; make it first")
    if out.is_dir():
        raise ConfigError(f"--out {out}: is a folder; give the name of a file")
    if learned and not isinstance(encoder, Static):
        raise ConfigError(f"--learned {learned}: is of --encoder static, and not of {encoder.name}")


def _keep(fitted: CrossFitted, encoder: Encoder, source: str, path: str | Path) -> None:
    if isinstance(encoder, Static) and isinstance(fitted.network, Network):
        keep_learned(fitted.network, fitted.calibration, encoder.base, source).write(path)


def _run_fingerprint(run_of: tuple[object, ...]) -> str:
    return hashlib.sha256(repr((*run_of, version("torch"), version("lightning"))).encode()).hexdigest()


def _export(built: Built, prepared: Prepared, ladder: Ladder, encoder: Encoder, seed: int) -> Exported:
    """The router's graph, with a head of lengths where those of held-out rows were foretold."""
    encoded, pairs = prepared.encoded, [(cheap, len(ladder) - 1) for cheap in range(len(ladder) - 1)]
    exported = encoder.export(built.fitted.network, built.fitted.calibration, encoded, pairs)
    if not (built.lengths and built.lengths.better):
        return exported
    embedding = embeddings(exported.graph, encoded) if encoded.embeddings is None else encoded.embeddings
    head = fit_head(embedding, answer_lengths(prepared.records, ladder), seed)
    return replace(exported, graph=with_lengths(exported.graph, head, encoded))


def _report(
    folder: Path,
    manifest: Manifest,
    built: Built,
    prepared: Prepared,
    judged: Judged,
    evaluation: Evaluation,
    config: TrainConfig,
) -> Path:
    findings = Findings.of_artifact(
        manifest=manifest,
        curve=manifest.curve,
        records=[prepared.records[row] for row in built.rows.tolist()],
        judged=judged,
        evaluation=evaluation,
        rows_are=_rows_are(built, manifest),
        resamples=config.resamples,
        seed=config.seed,
        history=built.fitted.history,
        leaks=NO_LEAKS,
    )
    return write_report(folder, findings)


def _rows_are(built: Built, manifest: Manifest) -> str:
    if manifest.data["outcomes"] == TEACHERS:
        return TAUGHT
    return ESTIMATED if built.labels.estimated else HELD_OUT
