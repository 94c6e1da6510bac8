"""A comparison and the controls as tables of text, head first, and in plain words."""

from collections.abc import Sequence

from router_model.table import columns
from router_model.training.evaluation.bootstrap import Interval
from router_model.training.evaluation.compare import ORACLES, ROUTER, Comparison, Ranked
from router_model.training.evaluation.controls import Control

Lines = list[list[str]]
VERDICTS = {True: "passed", False: "FAILED", None: "for information"}
HALF = (
    "half: accuracy where the half of the highest scores goes to the strongest tier; over random: less that "
    "of a random half. The oracles have seen the answers: upper bounds."
)
COST = "accuracy at the cost that the router has at each dial; the oracles are upper bounds"


def render_comparison(comparison: Comparison) -> str:
    """A table of the rankings per pair of tiers, one of what the router's cost buys, and what was not run."""
    tables = [columns(table) for table in ranking_tables(comparison)]
    return "\n\n".join([*tables, HALF, f"{COST}\n\n{columns(cost_table(comparison))}", *not_run(comparison)])


def render_controls(controls: Sequence[Control]) -> str:
    """A line per control, and a table of the tasks that were left out."""
    lines = [f"control, {one.name}: {VERDICTS[one.passed]}: {one.verdict}" for one in controls]
    left_out = left_out_table(controls)
    if len(left_out) > 1:
        lines.append("\n" + columns(left_out))
    return "\n".join(lines)


def ranking_tables(comparison: Comparison) -> list[Lines]:
    """For each pair of tiers the router, the baselines by falling APGR, and the oracles."""
    tables = []
    for cheap, dear in _pairs(comparison):
        head = [f"{cheap} to {dear}", "APGR", "router less it", "half", "over random", "the router is"]
        tables.append([head, *(_ranked(one) for one in _of_pair(comparison, cheap, dear))])
    return tables


def cost_table(comparison: Comparison) -> Lines:
    """What the router's own cost buys otherwise, a line per dial value."""
    head = ["dial", "cost", "router", "best constant", "best mix", "task oracle", "query oracle"]
    bought = [
        [
            f"{one.dial}={one.value:g}",
            f"{one.cost:.1%}",
            *(f"{v:.3f}" for v in (one.router, one.constant, one.mix, one.task_oracle, one.query_oracle)),
        ]
        for one in comparison.at_costs
    ]
    return [head, *bought]


def left_out_table(controls: Sequence[Control]) -> Lines:
    """How the router orders the prompts of each task that it was trained without."""
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
    return [["task left out", "pair", "APGR", "half over random"], *left_out]


def not_run(comparison: Comparison) -> list[str]:
    """A line for each baseline that was asked for and could not be run."""
    return [f"not run: {name}: {why}" for name, why in comparison.missing.items()]


def in_words(comparison: Comparison) -> list[str]:
    """For each pair of tiers, which baselines the router is better than, and which are better than it."""
    said = []
    for cheap, dear in _pairs(comparison):
        names: dict[str, list[str]] = {"better": [], "worse": [], "": []}
        for one in _of_pair(comparison, cheap, dear):
            if one.scorer not in (ROUTER, *ORACLES):
                names[_verdict(one)].append(one.scorer)
        worded = {"better": "better than", "worse": "worse than", "": "not told apart from"}
        found = [f"{worded[verdict]} {', '.join(of)}" for verdict, of in names.items() if of]
        if found:
            said.append(f"From {cheap} to {dear}, by the order of prompts, the router is {'; '.join(found)}.")
    return said


def _pairs(comparison: Comparison) -> list[tuple[str, str]]:
    return list(dict.fromkeys((one.cheap, one.dear) for one in comparison.rankings))


def _of_pair(comparison: Comparison, cheap: str, dear: str) -> list[Ranked]:
    found = [one for one in comparison.rankings if (one.cheap, one.dear) == (cheap, dear)]
    return sorted(found, key=lambda one: (_place(one.scorer), -one.apgr))


def _place(scorer: str) -> int:
    return 0 if scorer == ROUTER else 2 + ORACLES.index(scorer) if scorer in ORACLES else 1


def _ranked(one: Ranked) -> list[str]:
    less = one.router_less_it
    return [
        one.scorer,
        _with(one.apgr, one.apgr_interval),
        "" if one.scorer == ROUTER else _with(less.apgr, less.apgr_interval, "+.3f"),
        f"{one.accuracy_at_half:.3f}",
        _with(one.gain_at_half, one.gain_at_half_interval, "+.3f"),
        _verdict(one),
    ]


def _verdict(one: Ranked) -> str:
    """What the paired interval says of the router against a scorer; nothing where it holds 0."""
    if one.scorer in ORACLES:
        return "upper bound"
    low, high = one.router_less_it.apgr_interval
    return "better" if low > 0 else "worse" if high < 0 else ""


def _with(value: float, interval: Interval, form: str = ".3f") -> str:
    return f"{value:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]" if value == value else "–"
