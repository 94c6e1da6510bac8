"""An artifact with other models at other prices: what stays as measured, and what is worked out."""

from dataclasses import replace
from typing import Any

from router_model.errors import LadderError
from router_model.ladder import Ladder, Tier
from router_model.manifest import Manifest
from router_model.policy.curve import TOLERANCE, OperatingPoint


def repriced(manifest: Manifest, ladder: Ladder) -> Manifest:
    """The manifest with ``ladder`` in place of its own, tier by tier.

    A quality dial's choices stay, for no outcome hangs on a price. Costs are scaled by what the new prices
    make of the mean call, and each budget takes the best of the points that then keep it. A certificate stays
    where the models do: it is a promise of their outcomes.

    Raises:
        LadderError: another number of tiers, or the artifact does not tell the mean length of prompts.
    """
    _check_count(ladder, manifest)
    input_tokens = manifest.data.get("input_tokens")
    if not isinstance(input_tokens, int | float) or not input_tokens >= 0:
        raise LadderError("the artifact does not tell the mean length of its prompts; train it again")
    now, before = (_relative_costs(priced, input_tokens, manifest) for priced in (ladder, manifest.ladder))
    points = tuple(_scaled(point, now, before) for point in manifest.curve)
    budgets = tuple(_within(point, points) for point in points if point.dial == "budget")
    curve = tuple(point for point in points if point.dial == "quality") + budgets
    guard: dict[str, Any] = dict(manifest.guard)
    guard["message"] = f"{guard.get('message')}; measured at the prices that it was trained with"
    certificate = manifest.certificate
    if certificate and [tier.models for tier in ladder.tiers] == [t.models for t in manifest.ladder.tiers]:
        certificate = replace(certificate, point=_scaled(certificate.point, now, before))
    else:
        certificate = None
    return replace(manifest, ladder=ladder, curve=curve, guard=guard, certificate=certificate)


def assumed(before: Manifest, ladder: Ladder) -> list[str]:
    """What a router takes for granted that has ``ladder`` in the place of its own, in sentences.

    Raises:
        LadderError: another number of tiers.
    """
    _check_count(ladder, before)
    said = []
    lengths = zip(before.ladder.tiers, ladder.tiers, before.output_tokens, strict=True)
    for was, now, length in lengths:
        if set(now.models) & set(was.models):
            continue
        said.append(
            f"tier {now.name}: {now.models[0]} suffices for the prompts that {was.models[0]} sufficed for, "
            f"and answers as long, {length:.0f} tokens"
        )
    if said:
        said.append(
            f"qualities are shares of {ladder.tiers[-1].models[0]}'s, as they were of "
            f"{before.ladder.tiers[-1].models[0]}'s; no outcome of a new model was seen"
        )
    if any(_prices(was) != _prices(now) for was, now in zip(before.ladder.tiers, ladder.tiers, strict=True)):
        said.append(
            "costs move as those of a mean call do; the quality dial chooses as before, each budget anew"
        )
    return said


def _prices(tier: Tier) -> tuple[float, float]:
    return tier.input_usd_per_million, tier.output_usd_per_million


def _check_count(ladder: Ladder, manifest: Manifest) -> None:
    if len(ladder) != len(manifest.ladder):
        raise LadderError(
            f"the ladder has {len(ladder)} tiers, the router {len(manifest.ladder)}; give as many, add a "
            "tier with router-model adapt, or train on rows of yours with --base"
        )


def _relative_costs(ladder: Ladder, input_tokens: float, manifest: Manifest) -> list[float]:
    """Of a mean call, over the strongest tier's [K]."""
    lengths = zip(ladder.tiers, manifest.output_tokens, strict=True)
    costs = [tier.cost_usd(input_tokens, output_tokens) for tier, output_tokens in lengths]
    return [cost / (costs[-1] or 1.0) for cost in costs]


def _scaled(point: OperatingPoint, now: list[float], before: list[float]) -> OperatingPoint:
    """A point whose cost changes as that of its shares of mean calls does; a ratio keeps what is known of
    long prompts going to dear tiers."""
    cost_now, cost_before = (
        sum(share * cost for share, cost in zip(point.shares, costs, strict=True)) for costs in (now, before)
    )
    ratio = cost_now / (cost_before or 1.0)
    low, high = point.cost_interval
    return replace(point, cost=point.cost * ratio, cost_interval=(low * ratio, high * ratio))


def _within(budget: OperatingPoint, points: tuple[OperatingPoint, ...]) -> OperatingPoint:
    """The best of the points that a budget allows, or the cheapest."""
    cheapest = min(points, key=lambda point: point.cost)
    allowed = [point for point in points if point.cost <= budget.value + TOLERANCE]
    best = max(allowed, key=lambda point: point.quality, default=cheapest)
    return replace(best, dial="budget", value=budget.value)
