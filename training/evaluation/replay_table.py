"""A replay as lines of text that line up."""

from router_model.table import columns
from router_model.training.evaluation.off_policy import Estimate
from router_model.training.replay import Replay, Replayed, Turns

NAMES = {
    "switch_dr": "Switch-DR",
    "snips": "SNIPS",
    "ips": "IPS",
    "direct": "outcome model alone",
}


def render_replay(replay: Replay) -> str:
    """What the traffic would have cost and kept, the tiers' shares, and the other estimators."""
    quality, cost = replay.quality, replay.cost_usd
    values = [
        [f"mean with {replay.confidence:.0%} interval", "logged", "router", "difference"],
        ["quality", *_cells(quality, "{:.3f}", 1.0)],
        ["USD per 1,000 requests", *_cells(cost, "{:.4f}", 1000.0)],
        ["USD in all", *_cells(cost, "{:.2f}", replay.requests)],
    ]
    shares = [
        ["share of requests", "logged", "router", "of the router's in the log"],
        *(
            [
                tier.tier,
                f"{replay.logged_shares[tier.tier]:.1%}",
                f"{replay.router_shares[tier.tier]:.1%}",
                str(tier.agreeing),
            ]
            for tier in replay.support
        ),
    ]
    others = [
        ["the router by other estimators", "quality", "USD per 1,000 requests"],
        *(
            [NAMES[name], _cell(quality.others[name], "{:.3f}"), _cell(cost.others[name], "{:.4f}", 1000.0)]
            for name in quality.others
        ),
    ]
    left_out = f", {replay.left_out} left out" if replay.left_out else ""
    head = (
        f"{replay.requests} requests, {replay.marked} with an outcome{left_out}; "
        f"router at {replay.policy or f'{replay.dial}={replay.value:g}'}"
    )
    turns = [_turns(replay.conversations)] if replay.conversations else []
    tables = [columns(table) for table in (values, shares, *turns, others)]
    return "\n\n".join([head, *tables, "\n".join(_notes(replay))])


def _turns(turns: Turns) -> list[list[str]]:
    shares, usd = (turns.logged_moved, turns.router_moved), (turns.logged_cache_usd, turns.router_cache_usd)
    return [
        [f"{turns.later} later turns of conversations", "logged", "router"],
        ["on another tier than the turn before", *(f"{share:.1%}" for share in shares)],
        ["prompt caches, USD per 1,000 requests", *(f"{each * 1000:+.4f}" for each in usd)],
    ]


def _notes(replay: Replay) -> list[str]:
    """What to know before the figures are believed."""
    quality, cost = replay.quality.difference, replay.cost_usd.difference
    change = cost.value / replay.cost_usd.logged.value if replay.cost_usd.logged.value else 0.0
    notes = [
        f"cost: {_verdict(cost, 'more', 'less')} ({change:+.1%}), the router's own "
        f"{replay.router_usd_per_request * 1e6:g} USD per million requests included",
        f"quality: {_verdict(quality, 'better', 'worse')}",
        f"effective requests: {replay.quality.effective_rows:.0f} for quality, "
        f"{replay.cost_usd.effective_rows:.0f} for cost; mean weight {replay.mean_weight:.2f} (1 is right), "
        f"inverse propensities cut at {replay.largest_weight:.0f}",
    ]
    if replay.estimated_propensity:
        notes.append(
            "propensities are estimated from the text: what else decided the log's choices biases all of this"
        )
    return notes


def _verdict(difference: Estimate, above: str, below: str) -> str:
    if difference.low > 0:
        return above
    return below if difference.high < 0 else "no difference that these logs can show"


def _cells(values: Replayed, form: str, scale: float) -> list[str]:
    signed = form.replace("{:", "{:+")
    return [
        _cell(values.logged, form, scale),
        _cell(values.router, form, scale),
        _cell(values.difference, signed, scale),
    ]


def _cell(estimate: Estimate, form: str, scale: float = 1.0) -> str:
    value, low, high = (
        form.format(number * scale) for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"
