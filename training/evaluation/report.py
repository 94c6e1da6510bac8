"""The page that training or an evaluation leaves behind: one self-contained HTML file."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from router_model.artifact import Manifest
from router_model.data.records import Record
from router_model.errors import FileError
from router_model.files import replace_file
from router_model.policy import OperatingPoint, Policy
from router_model.training.evaluation import plots
from router_model.training.evaluation.advice import advise, usd
from router_model.training.evaluation.bootstrap import Bootstrap, Interval
from router_model.training.evaluation.choices import measure_choices
from router_model.training.evaluation.judge import DIALS, Evaluation, Judged
from router_model.training.evaluation.metrics import reliability
from router_model.training.evaluation.misses import Miss, worst_misses
from router_model.training.evaluation.table import render
from router_model.training.evaluation.tasks import Task, by_task

NOT_CHECKED = "not checked"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # controls, lone surrogates
NAME = 80  # characters
SAVINGS = (0.9, 0.95, 0.98, 1.0)


@dataclass(frozen=True)
class Findings:
    """What a report shows.

    Attributes:
        manifest: of the router.
        curve: operating points as measured on these rows.
        records: N rows whose every tier is known.
        judged: what the router said of them.
        evaluation: its figures on them.
        rows_are: where they come from, in plain words.
        resamples: of each interval.
        seed: of the resamples.
        history: per fold, the losses of each epoch; empty where nothing was trained.
        baselines: named curves of (name, costs, qualities), both as shares of the strongest tier's.
        leaks: the verdict in plain words.
        controls: the same.
    """

    manifest: Manifest
    curve: Sequence[OperatingPoint]
    records: Sequence[Record]
    judged: Judged
    evaluation: Evaluation
    rows_are: str
    resamples: int
    seed: int
    history: Sequence[Sequence[dict[str, float]]] = ()
    baselines: Sequence[plots.NamedCurve] = ()
    leaks: str = NOT_CHECKED
    controls: str = NOT_CHECKED


def write_report(folder: Path, findings: Findings) -> Path:
    """Write ``index.html`` into ``folder``, which is made where it is missing.

    Raises:
        FileError: the folder cannot be written.
    """
    make_folder(folder)
    manifest, judged, evaluation = findings.manifest, findings.judged, findings.evaluation
    names = manifest.ladder.names
    policy = Policy(manifest.relative_cost, manifest.curve, ("quality", manifest.default_quality))
    texts = [record.prompt.text for record in findings.records]
    chosen = policy.choose_batch(judged.probabilities.astype(np.float32), policy.default, texts)  # [N]
    bootstrap = Bootstrap(judged.groups, findings.resamples, evaluation.confidence, findings.seed)
    choices = measure_choices(judged.labels, chosen, bootstrap)
    advice = advise(policy.default, choices, judged.labels, manifest.ladder)
    pairs = zip(judged.probabilities.T, judged.labels.sufficient.T, strict=True)
    template = Template(files("router_model.training.evaluation").joinpath("report.html").read_text("utf-8"))
    page = template.substitute(
        kind=advice.kind,
        headline=_escaped(advice.headline),
        reason=_escaped(advice.reason),
        guard=_escaped(manifest.guard["message"]),
        summary=_summary(findings),
        rows_are=_escaped(findings.rows_are),
        confidence=f"{evaluation.confidence:.0%}",
        curve=plots.cost_quality(findings.curve, evaluation.constants, findings.baselines),
        savings=_savings(findings, bootstrap),
        strongest=_escaped(names[-1]),
        shares=plots.tier_shares(findings.curve, names),
        reliability=plots.reliability_plot([reliability(p, true) for p, true in pairs], names),
        training=_training(findings),
        default=f"{policy.default.dial}={policy.default.value:g}",
        tasks=_tasks(by_task(findings.records, judged.labels, chosen, bootstrap), names),
        misses=_misses(worst_misses(findings.records, judged.labels, chosen, judged.probabilities), names),
        leaks=_escaped(findings.leaks),
        controls=_escaped(findings.controls),
        dropped=_escaped(_dropped(manifest)),
        tables=_escaped(render(evaluation)),
        points=_points(findings.curve, names),
    )
    path = folder / "index.html"
    replace_file(path, page.encode())
    return path


def make_folder(folder: Path) -> None:
    """Make the folder for a report, or raise FileError: a run should not find out at its end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"--report {folder}: {error.strerror or error}; give a folder that can be written"
        ) from None


def _summary(findings: Findings) -> str:
    manifest, evaluation = findings.manifest, findings.evaluation
    return _facts(
        {
            "measured on": f"{evaluation.rows} rows in {evaluation.groups} groups",
            "trained on": f"{manifest.data['rows']} rows in {manifest.data['groups']} groups",
            "tiers, USD per million tokens": ", ".join(
                f"{tier.name} ({tier.input_usd_per_million:g} in, {tier.output_usd_per_million:g} out)"
                for tier in manifest.ladder.tiers
            ),
            "default dial": f"quality={manifest.default_quality:g}",
            "graph": manifest.precision,
            "base encoder": manifest.data["base"],
            "data fingerprint": manifest.data["fingerprint"][:16],
        }
    )


def _savings(findings: Findings, bootstrap: Bootstrap) -> str:
    rows = []
    for value in SAVINGS:
        column = DIALS.index(("quality", value))
        choices = measure_choices(findings.judged.labels, findings.judged.chosen[:, column], bootstrap)
        low, high = choices.saved_interval
        rows.append(
            [
                f"{value:.0%}",
                _with(choices.quality, choices.quality_interval),
                _with(choices.cost, choices.cost_interval),
                f"{usd(choices.saved_usd_per_million)} [{usd(low)}, {usd(high)}]",
                "router" if findings.judged.by_router[column] else "fixed by the guard",
            ]
        )
    head = ["quality asked for", "quality kept", "cost share", "US dollars saved per million requests"]
    return _table([*head, "decided by"], rows)


def _training(findings: Findings) -> str:
    if not findings.history:
        return ""
    return f"<section><h2>Training</h2>{plots.losses(findings.history)}</section>"


def _tasks(tasks: Sequence[Task], names: Sequence[str]) -> str:
    if not tasks:
        return "<p>No row names a task.</p>"
    head = [
        "task",
        "rows",
        *(f"always {name}" for name in names),
        "router",
        "cost share",
        "gain over the mix",
    ]
    return _table(head, [[_short(task.name), str(task.rows), *_task_figures(task)] for task in tasks])


def _task_figures(task: Task) -> list[str]:
    choices = task.choices
    return [
        *(f"{accuracy:.3f}" for accuracy in task.accuracy),
        f"{choices.accuracy:.3f}",
        _share(choices.cost),
        _with(choices.gain_over_mix, choices.gain_interval, "+.3f"),
    ]


def _misses(misses: Sequence[Miss], names: Sequence[str]) -> str:
    if not misses:
        return "<p>None: wherever the chosen tier failed, so did every dearer one.</p>"
    return "".join(_miss(miss, names) for miss in misses)


def _miss(miss: Miss, names: Sequence[str]) -> str:
    figures = [
        ["probability", *(f"{probability:.1%}" for probability in miss.probabilities)],
        ["outcome", *(f"{outcome:g}" for outcome in miss.outcomes)],
    ]
    of = _short(miss.id) + ("" if miss.task is None else f", task {_short(miss.task)}")
    return (
        f'<article class="miss"><p><b>chose {_escaped(names[miss.chosen])}</b> '
        f'<span class="id">{_escaped(of)}</span></p><blockquote dir="auto">{_escaped(miss.text)}</blockquote>'
        f"{_table(['', *names], figures)}</article>"
    )


def _dropped(manifest: Manifest) -> str:
    tiers = manifest.data.get("dropped_tiers", [])
    return "; ".join(f"{tier['tier']}: dearer and worse than {tier['by']}" for tier in tiers) or "none"


def _points(curve: Sequence[OperatingPoint], names: Sequence[str]) -> str:
    rows = [
        [
            f"{p.dial}={p.value:g}",
            f"{p.quality:.3f}",
            f"{p.quality_interval[0]:.3f} to {p.quality_interval[1]:.3f}",
            f"{p.cost:.3f}",
            f"{p.cost_interval[0]:.3f} to {p.cost_interval[1]:.3f}",
            *(f"{share:.1%}" for share in p.shares),
            "router" if p.rule == "router" else "fixed",
        ]
        for p in curve
    ]
    return _table(["dial", "quality", "", "cost", "", *names, "decided by"], rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of text, which scrolls inside itself."""
    first = "".join(f"<th>{_escaped(cell)}</th>" for cell in head)
    rest = "".join(f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{first}</tr></thead><tbody>{rest}</tbody></table></div>'


def _facts(facts: dict[str, Any]) -> str:
    return "".join(f"<dt>{_escaped(key)}</dt><dd>{_escaped(str(value))}</dd>" for key, value in facts.items())


def _short(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def _escaped(text: str) -> str:
    """Text for the page: no markup, and none of the characters that HTML does not allow."""
    return html.escape(FORBIDDEN.sub("\ufffd", text.replace("\r\n", "\n")))


def _with(value: float, interval: Interval, form: str = ".1%") -> str:
    low, high = interval
    return _share(value, form) + ("" if low != low else f" [{low:{form}}, {high:{form}}]")


def _share(value: float, form: str = ".1%") -> str:
    return "–" if value != value else f"{value:{form}}"
