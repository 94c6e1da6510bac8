"""A comparison and the controls as lines of text that line up."""

from collections.abc import Sequence

from router_model.table import columns
from router_model.training.evaluation.bootstrap import Interval
from router_model.training.evaluation.compare import Comparison
from router_model.training.evaluation.controls import Control

VERDICTS = {True: "passed", False: "FAILED", None: "for information"}
HALF = (
    "half: accuracy where the half of the highest scores goes to the strongest tier; over random: less that "
    "of a random half. The oracles have seen the answers: upper bounds."
)
COST = "accuracy at the cost that the router has at each dial; the oracles are upper bounds"


def render_comparison(comparison: Comparison) -> str:
    """A table of the rankings per pair of tiers, one of what the router's cost buys, and what was not run."""
    pairs = dict.fromkeys((one.cheap, one.dear) for one in comparison.rankings)
    tables = []
    for cheap, dear in pairs:
        head = [f"{cheap} to {dear}", "APGR", "router less it", "half", "over random"]
        rows = [
            [
                one.scorer,
                _with(one.apgr, one.apgr_interval),
                ""
                if place == 0
                else _with(one.router_less_it.apgr, one.router_less_it.apgr_interval, "+.3f"),
                f"{one.accuracy_at_half:.3f}",
                _with(one.gain_at_half, one.gain_at_half_interval, "+.3f"),
            ]
            for place, one in enumerate(r for r in comparison.rankings if (r.cheap, r.dear) == (cheap, dear))
        ]
        tables.append(columns([head, *rows]))
    head = ["dial", "cost", "router", "best constant", "best mix", "task oracle", "query oracle"]
    bought = [
        [
            f"{one.dial}={one.value:g}",
            f"{one.cost:.1%}",
            *(f"{v:.3f}" for v in (one.router, one.constant, one.mix, one.task_oracle, one.query_oracle)),
        ]
        for one in comparison.at_costs
    ]
    missing = [f"not run: {name}: {why}" for name, why in comparison.missing.items()]
    return "\n\n".join([*tables, HALF, f"{COST}\n\n{columns([head, *bought])}", *missing])


def render_controls(controls: Sequence[Control]) -> str:
    """A line per control, and a table of the tasks that were left out."""
    lines = [f"control, {one.name}: {VERDICTS[one.passed]}: {one.verdict}" for one in controls]
    left_out = [
        [
            task,
            f"{one.cheap} to {one.dear}",
            _with(one.apgr, one.apgr_interval),
            _with(one.gain_at_half, one.gain_at_half_interval, "+.3f"),
        ]
        for control in controls
        if control.name == "leave one task out"
        for task, pairs in control.rankings.items()
        for one in pairs
    ]
    if left_out:
        lines.append("\n" + columns([["task left out", "pair", "APGR", "half over random"], *left_out]))
    return "\n".join(lines)


def _with(value: float, interval: Interval, form: str = ".3f") -> str:
    return f"{value:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]"
