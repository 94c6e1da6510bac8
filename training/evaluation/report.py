"""The page that training, an evaluation or a cross-validation leaves behind: one self-contained HTML file."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from router_model.files import make_report_folder, replace_file
from router_model.ladder import Ladder
from router_model.markup import (
    escaped,
    facts,
    figure,
    figure_in,
    paragraphs,
    short,
    table,
)
from router_model.policy.curve import OperatingPoint, Policy
from router_model.training.evaluation import comparison_table, plots
from router_model.training.evaluation.advice import advise, usd
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.choices import measure_choices
from router_model.training.evaluation.compare import Comparison
from router_model.training.evaluation.controls import Control
from router_model.training.evaluation.findings import Findings
from router_model.training.evaluation.judge import DIALS
from router_model.training.evaluation.metrics import reliability
from router_model.training.evaluation.misses import Miss, worst_misses
from router_model.training.evaluation.sweep import sweep
from router_model.training.evaluation.table import render
from router_model.training.evaluation.tasks import Task, by_task

NOT_COMPARED = "Not compared here: router-model crossval --baselines all --report does."
NO_CONTROLS = "Not run here: router-model crossval --controls --report does."
NO_MISSES = "<p>Not known: the log shows no request's outcome of every tier.</p>"
SAVINGS = (0.9, 0.95, 0.98, 1.0)


def write_report(folder: Path, findings: Findings) -> Path:
    """Write ``index.html`` into ``folder``, which is made where it is missing.

    Raises:
        FileError: the folder cannot be written.
    """
    make_report_folder(folder)
    template = Template(files("router_model.training.evaluation").joinpath("report.html").read_text("utf-8"))
    path = folder / "index.html"
    replace_file(path, template.substitute(_parts(findings)).encode())
    return path


def _parts(findings: Findings) -> dict[str, str]:
    """Each part of the page by its name in the template."""
    subject, judged, evaluation = findings.subject, findings.judged, findings.evaluation
    names, labels, chosen = subject.ladder.names, judged.labels, findings.chosen
    bootstrap = Bootstrap(judged.groups, findings.resamples, evaluation.confidence, findings.seed)
    choices = measure_choices(labels, chosen, bootstrap)
    advice = advise(subject.default, choices, labels, subject.ladder)
    observed = zip(judged.probabilities.T, labels.sufficient.T, labels.observed.T, strict=True)
    return {
        "kind": advice.kind,
        "headline": escaped(advice.headline),
        "reason": escaped(advice.reason),
        "guard": escaped(subject.guard),
        "summary": facts(_summary(findings)),
        "rows_are": escaped(findings.rows_are),
        "confidence": f"{evaluation.confidence:.0%}",
        "curve": _curve(findings, bootstrap),
        "savings": _savings(findings, bootstrap),
        "strongest": escaped(names[-1]),
        "comparison": _comparison(findings.comparison),
        "shares": plots.tier_shares(findings.curve, names),
        "reliability": plots.reliability_plot(
            [reliability(said[known], true[known]) for said, true, known in observed], names
        ),
        "training": _training(findings),
        "default": f"{subject.default.dial}={subject.default.value:g}",
        "tasks": _tasks(by_task(findings.records, labels, chosen, bootstrap), names),
        "misses": NO_MISSES
        if labels.estimated
        else _misses(worst_misses(findings.records, labels, chosen, judged.probabilities), names),
        "leaks": escaped(findings.leaks),
        "controls": _controls(findings.controls),
        "left_out": _left_out(findings.controls),
        "dropped": escaped("; ".join(subject.dropped) or "none"),
        "tables": escaped(render(evaluation)),
        "points": _points(findings.curve, names),
    }


def _summary(findings: Findings) -> dict[str, str]:
    evaluation, default = findings.evaluation, findings.subject.default
    return {
        "measured on": f"{evaluation.rows} rows in {evaluation.groups} groups",
        "tiers, USD per million tokens": _prices(findings.subject.ladder),
        "default dial": f"{default.dial}={default.value:g}",
        **findings.subject.facts,
    }


def _prices(ladder: Ladder) -> str:
    return ", ".join(
        f"{tier.name} ({tier.input_usd_per_million:g} in, {tier.output_usd_per_million:g} out)"
        for tier in ladder.tiers
    )


def _curve(findings: Findings, bootstrap: Bootstrap) -> str:
    judged, baselines = findings.judged, findings.baselines
    own = sweep(judged.probabilities, judged.relative_cost, judged.labels, bootstrap)
    stops = [point for point in findings.curve if point.dial == "quality" and point.value in SAVINGS]
    _, others = plots.by_height(baselines)
    drawn = (
        plots.cost_quality(own, stops, findings.evaluation.constants, baselines),
        plots.gain_over_hull(own, baselines),
    )
    pair = f'<div class="pair">{"".join(f"<section>{plot}</section>" for plot in drawn)}</div>'
    named = [f"In grey, lower on the whole than the coloured: {', '.join(others)}."] if others else []
    return pair + paragraphs(named)


def _savings(findings: Findings, bootstrap: Bootstrap) -> str:
    default = findings.subject.default
    policy = Policy(findings.judged.relative_cost.tolist(), findings.curve, (default.dial, default.value))
    rows = []
    for value in SAVINGS:
        column = DIALS.index(("quality", value))
        choices = measure_choices(findings.judged.labels, findings.judged.chosen[:, column], bootstrap)
        low, high = choices.saved_interval
        rows.append(
            [
                f"{value:.0%}",
                f"{usd(choices.saved_usd_per_million)} [{usd(low)}, {usd(high)}]",
                figure_in(choices.quality, choices.quality_interval),
                figure_in(choices.cost, choices.cost_interval),
                _decided_by(policy.point(quality=value)),
            ]
        )
    head = ["quality asked for", "US dollars saved per million requests", "quality kept", "cost share"]
    return table([*head, "decided by"], rows)


def _decided_by(point: OperatingPoint) -> str:
    if point.rule == "fixed":
        return "fixed by the guard"
    return f"router; {point.note}" if point.note else "router"


def _comparison(comparison: Comparison | None) -> str:
    if comparison is None:
        return paragraphs([NOT_COMPARED])
    tables = [table(head, rows, "ranking") for head, *rows in comparison_table.ranking_tables(comparison)]
    head, *rows = comparison_table.cost_table(comparison)
    return "".join(
        [
            paragraphs([*comparison_table.in_words(comparison), *comparison_table.not_run(comparison)]),
            *tables,
            paragraphs([f"{comparison_table.HALF[:1].upper()}{comparison_table.HALF[1:]}"]),
            "<h3>What the router's cost buys otherwise</h3>",
            paragraphs([f"{comparison_table.COST[:1].upper()}{comparison_table.COST[1:]}."]),
            table(head, rows),
        ]
    )


def _controls(controls: Sequence[Control]) -> str:
    said = {one.name: f"{comparison_table.VERDICTS[one.passed]}: {one.verdict}" for one in controls}
    return facts(said or {"controls": NO_CONTROLS})


def _left_out(controls: Sequence[Control]) -> str:
    head, *rows = comparison_table.left_out_table(controls)
    return f"<h3>Trained without a task, judged on it</h3>{table(head, rows)}" if rows else ""


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
    return table(head, [[short(task.name), str(task.rows), *_task_figures(task)] for task in tasks])


def _task_figures(task: Task) -> list[str]:
    choices = task.choices
    return [
        *(f"{accuracy:.3f}" for accuracy in task.accuracy),
        f"{choices.accuracy:.3f}",
        figure(choices.cost),
        figure_in(choices.gain_over_mix, choices.gain_interval, "+.3f"),
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
    of = short(miss.id) + ("" if miss.task is None else f", task {short(miss.task)}")
    return (
        f'<article class="miss"><p><b>chose {escaped(names[miss.chosen])}</b> '
        f'<span class="id">{escaped(of)}</span></p><blockquote dir="auto">{escaped(miss.text)}</blockquote>'
        f"{table(['', *names], figures)}</article>"
    )


def _points(curve: Sequence[OperatingPoint], names: Sequence[str]) -> str:
    rows = [
        [
            f"{p.dial}={p.value:g}",
            f"{p.quality:.3f}",
            f"{p.quality_interval[0]:.3f} to {p.quality_interval[1]:.3f}",
            f"{p.cost:.3f}",
            f"{p.cost_interval[0]:.3f} to {p.cost_interval[1]:.3f}",
            *(f"{share:.1%}" for share in p.shares),
            _decided_by(p),
        ]
        for p in curve
    ]
    return table(["dial", "quality", "", "cost", "", *names, "decided by"], rows)
