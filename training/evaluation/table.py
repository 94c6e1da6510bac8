"""An evaluation as lines of text that line up."""

from router_model.table import columns
from router_model.training.evaluation.judge import Evaluation, Interval


def render(evaluation: Evaluation) -> str:
    """Tables of the dials, the constants and the pairs of tiers."""
    names = [constant.tier for constant in evaluation.constants]
    dials = [
        [
            f"{dial.dial}={dial.value:g}",
            _with(dial.accuracy, dial.accuracy_interval),
            f"{dial.quality:.1%}",
            f"{dial.cost:.1%}",
            f"{dial.cost_usd_per_1000:.4f}",
            _with(dial.gain_over_mix, dial.gain_over_mix_interval, "+.3f"),
            *(f"{dial.shares[name]:.0%}" for name in names),
            "" if dial.by_router else "fixed by the guard",
        ]
        for dial in evaluation.dials
    ]
    constants = [
        [
            f"always {constant.tier}",
            _with(constant.accuracy, constant.accuracy_interval),
            f"{constant.accuracy / max(evaluation.constants[-1].accuracy, 1e-12):.1%}",
            f"{constant.cost:.1%}",
            f"{constant.cost_usd_per_1000:.4f}",
            "",
            *("100%" if name == constant.tier else "0%" for name in names),
            "",
        ]
        for constant in evaluation.constants
    ]
    pairs = [
        [
            f"{pair.cheap} to {pair.dear}",
            _with(pair.apgr, pair.apgr_interval),
            _with(pair.cpt50, pair.cpt50_interval),
            _with(pair.cpt80, pair.cpt80_interval),
        ]
        for pair in evaluation.pairs
    ]
    calibration = [
        [constant.tier, f"{constant.calibration_error:.4f}", f"{constant.brier:.4f}"]
        for constant in evaluation.constants
    ]
    head = ["dial", "accuracy", "quality", "cost", "USD/1000", "gain over mix", *names, ""]
    return "\n\n".join(
        [
            f"{evaluation.rows} rows in {evaluation.groups} groups, {evaluation.confidence:.0%} intervals; "
            "quality and cost are shares of the strongest tier's",
            columns([head, *dials, *constants]),
            columns([["ranking", "APGR", "CPT50", "CPT80"], *pairs]),
            columns([["tier", "calibration error", "Brier"], *calibration]),
        ]
    )


def _with(value: float, interval: Interval, form: str = ".3f") -> str:
    return f"{value:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]"
