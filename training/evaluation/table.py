"""An evaluation as lines of text that line up."""

from router_model.table import columns
from router_model.training.evaluation.aiq import Aiq
from router_model.training.evaluation.bootstrap import Interval
from router_model.training.evaluation.flips import Flips
from router_model.training.evaluation.judge import Evaluation


def render(evaluation: Evaluation) -> str:
    """Tables of the dials, the constants and the oracle, AIQ, the pairs of tiers, and the probabilities."""
    names = [constant.tier for constant in evaluation.constants]
    oracle, strongest = evaluation.oracle, max(evaluation.constants[-1].accuracy, 1e-12)
    dials = [
        [
            f"{dial.dial}={dial.value:g}",
            _with(dial.accuracy, dial.accuracy_interval),
            f"{dial.quality:.1%}",
            f"{dial.cost:.1%}",
            f"{dial.cost_usd_per_1000:.4f}",
            _with(dial.gain_over_mix, dial.gain_over_mix_interval, "+.3f"),
            f"{dial.regret:.3f}",
            *(f"{dial.shares[name]:.0%}" for name in names),
            "" if dial.by_router else "fixed by the guard",
        ]
        for dial in evaluation.dials
    ]
    constants = [
        [
            f"always {constant.tier}",
            _with(constant.accuracy, constant.accuracy_interval),
            f"{constant.accuracy / strongest:.1%}",
            f"{constant.cost:.1%}",
            f"{constant.cost_usd_per_1000:.4f}",
            "",
            f"{oracle.accuracy - constant.accuracy:.3f}",
            *("100%" if name == constant.tier else "0%" for name in names),
            "",
        ]
        for constant in evaluation.constants
    ]
    best = [
        "query oracle",
        _with(oracle.accuracy, oracle.accuracy_interval),
        f"{oracle.accuracy / strongest:.1%}",
        f"{oracle.cost:.1%}",
        f"{oracle.cost_usd_per_1000:.4f}",
        "",
        f"{0:.3f}",
        *("" for _ in names),
        "",
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
    probabilities = [
        [
            f"P({constant.tier})",
            f"{constant.calibration_error:.4f}",
            f"{constant.brier:.4f}",
            f"{constant.aurc:.4f}",
            f"{constant.excess_aurc:.4f}",
        ]
        for constant in evaluation.constants
    ]
    head = ["dial", "accuracy", "quality", "cost", "USD/1000", "gain over mix", "regret", *names, ""]
    return "\n\n".join(
        [
            f"{evaluation.rows} rows in {evaluation.groups} groups, {evaluation.confidence:.0%} intervals; "
            "quality and cost are shares of the strongest tier's",
            columns([head, *dials, *constants, best]),
            _aiq(evaluation.aiq),
            columns([["ranking", "APGR", "CPT50", "CPT80"], *pairs]),
            columns([["probability", "calibration error", "Brier", "AURC", "E-AURC"], *probabilities]),
        ]
    )


def render_flips(found: Flips) -> str:
    """A line per edit: how often the tier changes, and how often it would if it were drawn at random."""
    rows = [
        [
            flip.edit,
            f"{flip.prompts}",
            f"{flip.rate:.2%}",
            f"{flip.distance_from_constant:.2%}",
            f"{flip.relative_rate:.3f}",
        ]
        for flip in found.edits
    ]
    return "\n\n".join(
        [
            f"flips at {found.dial}={found.value:g}, decided by {found.rule}; "
            f"{found.prompts} prompts, {found.skipped} conversations left out",
            columns([["edit", "prompts edited", "flip rate", "distance from constant", "relative"], *rows]),
        ]
    )


def _aiq(aiq: Aiq) -> str:
    low, high = aiq.cost_range_usd_per_1000
    return columns(
        [
            ["AIQ, USD/1000", "router", "hull of constants", "gain, held out"],
            [
                f"{low:.4f} to {high:.4f}",
                _with(aiq.router, aiq.router_interval),
                _with(aiq.constants, aiq.constants_interval),
                _with(aiq.gain, aiq.gain_interval, "+.3f"),
            ],
        ]
    )


def _with(value: float, interval: Interval, form: str = ".3f") -> str:
    return f"{value:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]"
