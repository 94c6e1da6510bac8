"""The page that a training run leaves behind: plots and tables in one self-contained HTML file."""

import html
import io
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from router_model.artifact import Manifest
from router_model.errors import FileError
from router_model.files import replace_file
from router_model.policy import OperatingPoint
from router_model.training.evaluation.judge import Evaluation
from router_model.training.evaluation.table import render

INK, ROUTER, TRIVIAL, BAND = "#222222", "#0b6e99", "#b5532b", "#9fc7d8"
TIER_COLOURS = ("#7fb3c8", "#3c7fa0", "#153e5c", "#b5532b", "#d9a066", "#6b8e4e", "#8a6fa8", "#444444")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "router-model",  # the same run gives the same bytes
    "svg.fonttype": "none",
    "text.parse_math": False,  # a tier may be called "$1-$5"
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.edgecolor": "#999999",
}


def write_report(
    folder: Path,
    manifest: Manifest,
    evaluation: Evaluation,
    history: Sequence[Sequence[dict[str, float]]],
    reliability: Sequence[Sequence[tuple[float, float, int]]],
) -> Path:
    """Write ``index.html`` into ``folder``, which is made where it is missing.

    Args:
        history: per fold, the losses of each epoch.
        reliability: per tier, (mean probability, frequency of sufficiency, count) of bins.

    Raises:
        FileError: the folder cannot be written.
    """
    make_folder(folder)
    names = manifest.ladder.names
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's browser has the fonts
        plots = {
            "curve": _svg(_curve(manifest, evaluation), "Quality against cost"),
            "shares": _svg(_shares(manifest.curve, names), "Share of each tier"),
            "reliability": _svg(_reliability(reliability, names), "Reliability"),
            "training": _svg(_training(history), "Loss by epoch"),
        }
    template = Template(files("router_model.training.evaluation").joinpath("report.html").read_text("utf-8"))
    page = template.substitute(
        plots,
        verdict_class=manifest.guard["verdict"],
        verdict=html.escape(manifest.guard["message"]),
        summary=_summary(manifest),
        tables=html.escape(render(evaluation)),
        points=_points(manifest.curve, names),
    )
    path = folder / "index.html"
    replace_file(path, page.encode())
    return path


def make_folder(folder: Path) -> None:
    """Make the report's folder where it is missing; raises FileError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"--report {folder}: {error.strerror or error}; give a folder that can be written"
        ) from None


def _curve(manifest: Manifest, evaluation: Evaluation) -> Figure:
    figure, axes = _figure(7.6, 4.4)
    points = sorted((p for p in manifest.curve if p.rule == "router"), key=lambda p: p.cost)
    if points:
        cost = [p.cost for p in points]
        low, high = zip(*(p.quality_interval for p in points), strict=True)
        axes.fill_between(
            cost,
            low,
            high,
            color=BAND,
            alpha=0.45,
            linewidth=0,
            label=f"{evaluation.confidence:.0%} interval",
        )
        axes.plot(cost, [p.quality for p in points], color=ROUTER, linewidth=2, label="router")
    strongest = evaluation.constants[-1].accuracy or 1.0
    tiers = sorted(evaluation.constants, key=lambda constant: constant.cost)
    heights = [constant.accuracy / strongest for constant in tiers]
    axes.plot([c.cost for c in tiers], heights, "o--", color=TRIVIAL, label="constants and their mixes")
    for constant, height in zip(tiers, heights, strict=True):
        axes.annotate(
            constant.tier, (constant.cost, height), (6, -13), textcoords="offset points", color=TRIVIAL
        )
    axes.set_xlabel("cost, share of always the strongest tier")
    axes.set_ylabel("quality, share of the strongest tier's")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _shares(curve: Sequence[OperatingPoint], names: Sequence[str]) -> Figure:
    figure, axes = _figure(7.6, 3.4)
    points = sorted((p for p in curve if p.dial == "quality"), key=lambda p: p.value)
    colours = [TIER_COLOURS[k % len(TIER_COLOURS)] for k in range(len(names))]
    shares = [[p.shares[k] for p in points] for k in range(len(names))]
    axes.stackplot([p.value for p in points], shares, labels=_labels(names), colors=colours)
    axes.set_xlabel("dial: quality")
    axes.set_ylabel("share of prompts")
    axes.margins(0)
    axes.legend(loc="upper left", frameon=True)
    return figure


def _reliability(bins: Sequence[Sequence[tuple[float, float, int]]], names: Sequence[str]) -> Figure:
    figure, axes = _figure(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    labels = _labels(names)
    for k, tier in enumerate(bins):
        colour = TIER_COLOURS[k % len(TIER_COLOURS)]
        axes.plot(
            [p for p, _, _ in tier],
            [f for _, f, _ in tier],
            "o-",
            markersize=4,
            color=colour,
            label=labels[k],
        )
    axes.set_xlabel("predicted probability of sufficiency")
    axes.set_ylabel("observed frequency")
    axes.legend(frameon=False)
    return figure


def _training(history: Sequence[Sequence[dict[str, float]]]) -> Figure:
    figure, axes = _figure(4.6, 4.2)
    for key, colour, label in (
        ("train_loss", TRIVIAL, "training"),
        ("validation_loss", ROUTER, "validation"),
    ):
        for fold, epochs in enumerate(history):
            losses = [epoch[key] for epoch in epochs if key in epoch]
            epochs_at = range(1, len(losses) + 1)
            axes.plot(epochs_at, losses, color=colour, alpha=0.7, label=label if fold == 0 else None)
    axes.set_xlabel("epoch")
    axes.set_ylabel("binary cross-entropy")
    axes.legend(frameon=False)
    return figure


def _labels(names: Sequence[str]) -> list[str]:
    """Names for a legend, which passes over those that begin with an underscore."""
    return [f" {name}" if name.startswith("_") else name for name in names]


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, title: str) -> str:
    """The figure as an element of the page; without the metadata that would name addresses."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def _summary(manifest: Manifest) -> str:
    facts: dict[str, Any] = {
        "rows": f"{manifest.data['rows']} in {manifest.data['groups']} groups",
        "tiers": ", ".join(
            f"{tier.name} ({tier.input_usd_per_million:g} / {tier.output_usd_per_million:g} USD per million)"
            for tier in manifest.ladder.tiers
        ),
        "default dial": f"quality={manifest.default_quality:g}",
        "graph": manifest.precision,
        "base encoder": manifest.data["base"],
        "data fingerprint": manifest.data["fingerprint"][:16],
    }
    return "".join(
        f"<dt>{html.escape(key)}</dt><dd>{html.escape(str(value))}</dd>" for key, value in facts.items()
    )


def _points(curve: Sequence[OperatingPoint], names: Sequence[str]) -> str:
    rows = [
        f"<tr><td>{p.dial}={p.value:g}</td><td>{p.quality:.3f}</td>"
        f"<td>{p.quality_interval[0]:.3f} to {p.quality_interval[1]:.3f}</td><td>{p.cost:.3f}</td>"
        f"<td>{p.cost_interval[0]:.3f} to {p.cost_interval[1]:.3f}</td>"
        + "".join(f"<td>{share:.1%}</td>" for share in p.shares)
        + f"<td>{'router' if p.rule == 'router' else 'fixed'}</td></tr>"
        for p in curve
    ]
    tiers = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    head = f"<tr><th>dial</th><th>quality</th><th></th><th>cost</th><th></th>{tiers}<th>decided by</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
