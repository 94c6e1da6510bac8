"""The plots of the report, as SVG elements of its page."""

import html
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from router_model.policy.curve import OperatingPoint
from router_model.training.evaluation.hull import Hull
from router_model.training.evaluation.judge import ConstantTier
from router_model.training.evaluation.sweep import Sweep

Floats = NDArray[np.float64]
INK, ROUTER, TRIVIAL, BAND, GREY, FAINT = "#222222", "#0b6e99", "#b5532b", "#9fc7d8", "#777777", "#c4c4c4"
TIER_COLOURS = ("#7fb3c8", "#3c7fa0", "#153e5c", "#b5532b", "#d9a066", "#6b8e4e", "#8a6fa8", "#444444")
BASELINE_COLOURS = ("#4d7a2c", "#8a4fb0", "#c28f2c")  # more are not told apart
STOPS = (("router", ROUTER, "dial 90, 95, 98, 100 %"), ("fixed", "white", "dial, fixed by guard"))
COST = "cost, share of the strongest tier's"
MARKERS = "osD^vP*Xhd<>p8H"
LONGEST = 40  # characters of a name in a legend
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "router-model",  # the same run gives the same bytes
    "svg.fonttype": "none",
    "text.parse_math": False,  # a tier may be called "$1-$5"
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "axes.edgecolor": "#999999",
    "legend.frameon": False,
}


def cost_quality(
    router: Sweep,
    stops: Sequence[OperatingPoint],
    constants: Sequence[ConstantTier],
    baselines: Mapping[str, Sweep],
) -> str:
    """The lines of the router and the baselines, stops of the dial, the constants and their hull."""

    def draw(axes: Axes) -> None:
        axes.fill_between(
            router.cost, *router.quality_band.T, color=BAND, alpha=0.4, linewidth=0, label="router, interval"
        )
        axes.plot(router.cost, router.quality, color=ROUTER, linewidth=2.4, label="router", zorder=3)
        for rule, filled, label in STOPS:
            own = [stop for stop in stops if stop.rule == rule]
            if own:
                costs, qualities = [stop.cost for stop in own], [stop.quality for stop in own]
                axes.plot(costs, qualities, "o", color=ROUTER, markerfacecolor=filled, label=label, zorder=4)
        _constants(axes, constants)
        _baselines(axes, {name: (line.cost, line.quality) for name, line in baselines.items()}, baselines)
        axes.set_xlabel(COST)
        axes.set_ylabel("quality, share of the strongest tier's")

    return _svg("Quality against cost", draw, 4.8, 3.5)


def gain_over_hull(router: Sweep, baselines: Mapping[str, Sweep]) -> str:
    """What each line of ``cost_quality`` has over the hull of the constants: there it is hard to see."""

    def draw(axes: Axes) -> None:
        axes.fill_between(
            router.cost, *router.gain_band.T, color=BAND, alpha=0.4, linewidth=0, label="router, interval"
        )
        axes.plot(router.cost, router.gain, color=ROUTER, linewidth=2.4, label="router", zorder=3)
        axes.axhline(0, linestyle="--", color=TRIVIAL, label="hull of the constants")
        _baselines(axes, {name: (line.cost, line.gain) for name, line in baselines.items()}, baselines)
        axes.set_xlabel(COST)
        axes.set_ylabel("mean outcome over the hull's")

    return _svg("Gain over the hull of the constants", draw, 4.8, 3.5)


def by_height(baselines: Mapping[str, Sweep]) -> tuple[list[str], list[str]]:
    """The few baselines of the greatest AIQ, which get a colour, and the others."""
    names = sorted(baselines, key=lambda name: -np.nan_to_num(baselines[name].aiq))
    return names[: len(BASELINE_COLOURS)], names[len(BASELINE_COLOURS) :]


def _baselines(
    axes: Axes, lines: Mapping[str, tuple[Floats, Floats]], baselines: Mapping[str, Sweep]
) -> None:
    best, others = by_height(baselines)
    for name, colour in zip(best, BASELINE_COLOURS, strict=False):
        axes.plot(*lines[name], color=colour, linewidth=1.2, label=_label(name))
    for number, name in enumerate(others):
        axes.plot(
            *lines[name], color=FAINT, linewidth=0.9, zorder=1, label=None if number else "other baselines"
        )


def _constants(axes: Axes, constants: Sequence[ConstantTier]) -> None:
    strongest = constants[-1].accuracy or 1.0
    prices = np.array([constant.cost for constant in constants])
    heights = np.array([constant.accuracy / strongest for constant in constants])
    corners = Hull(heights, prices).tiers
    axes.plot(prices[corners], heights[corners], "--", color=TRIVIAL, label="hull of the constants")
    for k, constant in enumerate(constants):
        axes.plot(
            prices[k : k + 1],
            heights[k : k + 1],
            MARKERS[k % len(MARKERS)],
            color=TRIVIAL,
            markersize=7,
            label=_label(f"always {constant.tier}"),
        )


def tier_shares(curve: Sequence[OperatingPoint], names: Sequence[str]) -> str:
    """The share of prompts that each tier takes, by the quality dial."""

    def draw(axes: Axes) -> None:
        points = sorted((p for p in curve if p.dial == "quality"), key=lambda p: p.value)
        colours = [TIER_COLOURS[k % len(TIER_COLOURS)] for k in range(len(names))]
        shares = [[p.shares[k] for p in points] for k in range(len(names))]
        axes.stackplot(
            [p.value for p in points], shares, labels=[_label(name) for name in names], colors=colours
        )
        axes.set_xlabel("dial: quality")
        axes.set_ylabel("share of prompts")
        axes.margins(0)

    return _svg("Share of each tier", draw, 5.2, 2.3)


def reliability_plot(bins: Sequence[Sequence[tuple[float, float, int]]], names: Sequence[str]) -> str:
    """Predicted probability against observed frequency, per tier."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="perfect")
        for k, tier in enumerate(bins):
            axes.plot(
                [p for p, _, _ in tier],
                [f for _, f, _ in tier],
                linestyle="-",
                marker=MARKERS[k % len(MARKERS)],
                markersize=5,
                color=TIER_COLOURS[k % len(TIER_COLOURS)],
                label=_label(names[k]),
            )
        axes.set_xlabel("predicted probability of sufficiency")
        axes.set_ylabel("observed frequency")

    return _svg("Reliability", draw, 4.2, 3.2)


def losses(history: Sequence[Sequence[dict[str, float]]]) -> str:
    """Training and validation loss by epoch, a line for each fold."""

    def draw(axes: Axes) -> None:
        for key, colour, label in (
            ("train_loss", TRIVIAL, "training"),
            ("validation_loss", ROUTER, "validation"),
        ):
            for fold, epochs in enumerate(history):
                own = [epoch[key] for epoch in epochs if key in epoch]
                axes.plot(
                    range(1, len(own) + 1), own, color=colour, alpha=0.7, label=label if fold == 0 else None
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel("binary cross-entropy")

    return _svg("Loss by epoch", draw, 4.2, 3.2)


def _label(name: str) -> str:
    """A name for a legend, which passes over those that begin with an underscore."""
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return f" {short}" if short.startswith("_") else short


def _svg(title: str, draw: Callable[[Axes], None], width: float, height: float) -> str:
    """The figure as an element of the page; without the metadata that would name addresses.

    The legend stands below, so that it covers nothing: ``width`` and ``height`` (inches) are without it.
    """
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's browser has the fonts
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        draw(axes)
        labels = axes.get_legend_handles_labels()[1]
        # A browser's font may be wider than the one that matplotlib measures by: long names get a line each.
        columns = 2 if all(len(label) <= 22 and label.isascii() for label in labels) else 1
        lines = -(-len(labels) // columns)
        figure.set_size_inches(width, height + 0.2 * lines)
        figure.legend(loc="outside lower left", ncols=columns)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(
        "<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1
    )
