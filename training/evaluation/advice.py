"""What to do, in plain words: use the router, one model for everything, or a random mix."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.ladder import Ladder
from router_model.policy.curve import OperatingPoint
from router_model.training.evaluation.bootstrap import Interval
from router_model.training.evaluation.choices import Choices
from router_model.training.evaluation.hull import Hull

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Advice:
    """``headline`` says what to do and ``reason`` why, with figures; ``kind`` is what decides."""

    kind: Literal["router", "fallback"]
    headline: str
    reason: str


def advise(default: OperatingPoint, choices: Choices, labels: Labels, ladder: Ladder) -> Advice:
    """The honest answer at the default dial.

    Where the guard fixed a constant or a mix, that is the answer. Where it let the router decide, these rows
    have their say: the router is advised only where its gain over the mix is above 0 with its interval.

    Args:
        default: the default dial's operating point.
        choices: what it gives on these rows.
        labels: of these rows; every tier is known.
    """
    dial = f"{default.dial}={default.value:g}"
    if default.rule == "fixed":
        return _fallback(
            np.array(default.shares), dial, default.note[:1].upper() + default.note[1:], labels, ladder
        )
    gain = f"{choices.gain_over_mix:+.3f} {_interval(choices.gain_interval, '+.3f')} in mean outcome"
    low, high = choices.gain_interval
    if low > 0:
        low_usd, high_usd = choices.saved_interval
        return Advice(
            "router",
            f"Use the router: at {dial} it keeps {choices.quality:.1%} of {ladder.names[-1]}'s quality "
            f"for {choices.cost:.1%} of its cost.",
            f"It saves {usd(choices.saved_usd_per_million)} [{usd(low_usd)}, {usd(high_usd)}] US "
            f"dollars per million requests against always {ladder.names[-1]}. Against the best constant or "
            f"random mix of tiers at equal cost it gains {gain}.",
        )
    if high < 0:
        wished = default.value * labels.outcomes[:, -1].mean()
        mix = Hull(labels.outcomes.mean(axis=0), labels.cost_usd.mean(axis=0)).at_quality(wished)
        reason = f"On these rows the router is worse than the best mix of tiers at equal cost: {gain}"
        return _fallback(np.array(mix.shares(len(ladder))), dial, reason, labels, ladder)
    return Advice(
        "fallback",
        "These rows do not show that the router helps.",
        f"At {dial} it gains {gain} over the best constant or mix of tiers at equal cost, and the interval "
        f"holds 0. It keeps {choices.quality:.1%} of {ladder.names[-1]}'s quality for {choices.cost:.1%} of "
        "its cost. More rows would tell.",
    )


def usd(value: float) -> str:
    """US dollars, to the dollar or to three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _fallback(shares: Floats, dial: str, reason: str, labels: Labels, ladder: Ladder) -> Advice:
    """One model for everything, or a mix, and what that gives on these rows; ``shares`` is [K]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quality = labels.outcomes.mean(axis=0) @ shares / labels.outcomes[:, -1].mean()
        cost = labels.cost_usd.mean(axis=0) @ shares / labels.cost_usd[:, -1].mean()
    gives = f"{reason}. It gives {quality:.1%} of {ladder.names[-1]}'s quality for {cost:.1%} of its cost."
    used = np.flatnonzero(shares > 0).tolist()
    if len(used) == 1:
        return Advice("fallback", f"Use {_models(ladder, used[0])} for everything.", gives)
    parts = " and ".join(f"{shares[k]:.0%} to {_models(ladder, k)}" for k in used)
    return Advice("fallback", f"Do not route by the prompt: send {parts}, at random.", f"At {dial}: {gives}")


def _models(ladder: Ladder, k: int) -> str:
    tier = ladder.tiers[k]
    return f"{' or '.join(tier.models)} (tier {tier.name})"


def _interval(interval: Interval, form: str) -> str:
    return f"[{interval[0]:{form}}, {interval[1]:{form}}]"
