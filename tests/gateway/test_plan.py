"""Plans: constraints come before price, a lowered dial is cheaper, and propensities tell what was drawn."""

import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model import Router
from router_model.errors import RequestError
from router_model.ladder import Ladder
from router_model.serving.gateway.call import Call, Endpoint, read_call
from router_model.serving.gateway.config.dial import Dial
from router_model.serving.gateway.config.limits import Limits
from router_model.serving.gateway.guarantee import Instead
from router_model.serving.gateway.plan import Planner
from router_model.serving.gateway.pricing import Pricing

TIERS = ("small", "medium", "large")
WORDS = frozenset([*TIERS, "gpt-large"])
HARD = "Prove that every continuous function on a compact metric space is uniformly continuous."
SOME = st.sets(st.sampled_from(TIERS), min_size=1).map(lambda names: [t for t in TIERS if t in names])


def call(model: str = "auto", endpoint: Endpoint = "chat", **more: Any) -> Call:
    body = {"model": model, "messages": [{"role": "user", "content": HARD}], "input": HARD, **more}
    return read_call(endpoint, msgspec.json.encode(body), {}, Limits())


@pytest.fixture(scope="module")
def shipped() -> Router:
    return Router.default()


def planner(router: Router, **more: Any) -> Planner:
    return Planner(router, WORDS, more.pop("dial", Dial()), **more)


@settings(deadline=None, max_examples=40)
@given(able=SOME, lowered=st.floats(0, 1), word=st.sampled_from(["auto", "auto:quality=1"]))
def test_only_tiers_that_are_able_are_asked_the_choice_first_and_then_upwards(
    shipped: Router, able: list[str], lowered: float, word: str
) -> None:
    plan = planner(shipped).plan(call(word), able, lowered)
    assert list(plan.tiers) == able[able.index(plan.tier) :]
    assert plan.decision
    drawn = plan.decision.point and plan.decision.point.rule == "fixed"
    assert 0 < plan.propensity <= 1 if drawn else plan.propensity == 1


def test_without_a_constraint_the_choice_is_the_routers(shipped: Router) -> None:
    for quality in (0.8, 0.9, 1.0):
        plan = planner(shipped).plan(call(f"auto:quality={quality}"), TIERS)
        assert plan.tier == shipped.route(HARD, quality=quality).tier


def test_the_files_dial_is_of_requests_that_name_none(shipped: Router) -> None:
    plan = planner(shipped, dial=Dial(quality=1.0)).plan(call(), TIERS)
    assert plan.decision == planner(shipped).plan(call("auto:quality=1"), TIERS).decision


@pytest.mark.parametrize("quality", [0.8, 0.9, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("tools", [0, 40])
def test_a_price_of_time_leaves_what_a_dollar_is_worth(shipped: Router, quality: float, tools: int) -> None:
    policy, usual = shipped.policy, shipped.artifact.manifest.strongest_usd
    tool = {"type": "function", "function": {"name": "find", "description": "where " * 500}}
    asked = call(tools=[tool] * tools)
    assert asked.input_tokens > 750 * tools
    timed = Pricing(usual, policy.relative_cost, 1e-12, lambda: (1.0, 2.0, 3.0))
    dear = Pricing(usual, policy.relative_cost, 1e3, lambda: (1.0, 2.0, 3.0))
    untimed, alike, hurried = (
        planner(shipped, dial=Dial(quality=quality), pricing=pricing).plan(asked, TIERS).tier
        for pricing in (None, timed, dear)
    )
    assert alike == untimed
    assert hurried == ("small" if policy.point(quality).penalty else untimed)


def test_a_lowered_dial_is_never_dearer_and_ends_at_the_cheapest(shipped: Router) -> None:
    places = [
        TIERS.index(planner(shipped).plan(call("auto:quality=1"), TIERS, share / 20).tier)
        for share in range(21)
    ]
    assert places == sorted(places, reverse=True)
    assert places[-1] == 0


def test_a_lowered_dial_of_a_repriced_router_goes_down_to_what_it_costs_now(shipped: Router) -> None:
    prices = [(0.001, 0.004), (0.4, 1.6), (3.0, 15.0)]
    tiers = [
        replace(tier, input_usd_per_million=read, output_usd_per_million=written)
        for tier, (read, written) in zip(shipped.ladder.tiers, prices, strict=True)
    ]
    cheap = shipped.with_ladder(Ladder(tuple(tiers)))
    least = min(cheap.artifact.manifest.curve, key=lambda point: point.cost)
    assert least.cost < 0.001 < 0.02 < shipped.policy.relative_cost[0]
    decision = planner(cheap).plan(call("auto:quality=1"), TIERS, 0.999).decision
    assert decision
    assert decision.point
    assert decision.point.cost == least.cost


def test_a_dial_whose_certificate_is_revoked_is_lowered_from_the_tier_in_its_place(
    shipped: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = replace(shipped.policy.point(0.8), dial="certified")
    monkeypatch.setattr(shipped.policy, "default", point)
    guarantee = SimpleNamespace(rule=Instead(2, "traffic has shifted"))
    costs = []
    for lowered in (0.01, 0.3, 0.6, 0.99):
        decision = planner(shipped, guarantee=guarantee).plan(call(), TIERS, lowered).decision
        assert decision
        assert decision.point
        costs.append(decision.point.cost)
    assert costs[0] == shipped.policy.point(budget=0.98).cost > 2 * point.cost
    assert costs == sorted(costs, reverse=True)


def test_without_upwards_one_tier_is_asked(shipped: Router) -> None:
    assert planner(shipped, upwards=False).plan(call("tier:small"), TIERS).tiers == ("small",)


def test_exploration_draws_tiers_as_often_as_it_says(shipped: Router) -> None:
    exploring = planner(shipped, explore=0.3, draw=random.Random(7))
    plans = [exploring.plan(call(), TIERS) for _ in range(3000)]
    told = {plan.tier: plan.propensity for plan in plans}
    assert sum(told.values()) == pytest.approx(1.0)
    for tier, count in Counter(plan.tier for plan in plans).items():
        assert count / 3000 == pytest.approx(told[tier], abs=0.03)
    assert 0.2 < sum(plan.explored for plan in plans) / 3000 < 0.4


@pytest.mark.parametrize("explore", [0.0, 0.2])
@pytest.mark.parametrize("able", [TIERS, TIERS[1:], TIERS[:2]])
def test_where_shares_are_drawn_the_propensity_is_how_often_they_are(
    shipped: Router, monkeypatch: pytest.MonkeyPatch, explore: float, able: tuple[str, ...]
) -> None:
    mix = replace(shipped.policy.point(0.9), rule="fixed", shares=(0.5, 0.2, 0.3))
    monkeypatch.setattr(shipped.policy, "point", lambda quality=None, budget=None: mix)
    exploring = planner(shipped, explore=explore, draw=random.Random(7))
    plans = []
    for number in range(2000):
        text = [{"role": "user", "content": f"question {number}"}]
        plans.append(exploring.plan(call("auto:quality=0.9", messages=text), able))
    told = {plan.tier: plan.propensity for plan in plans}
    assert set(told) == set(able)
    assert sum(told.values()) == pytest.approx(1.0)
    for tier, count in Counter(plan.tier for plan in plans).items():
        assert count / 2000 == pytest.approx(told[tier], abs=0.04)


def test_a_budget_that_is_used_up_is_not_explored(shipped: Router) -> None:
    exploring = planner(shipped, explore=0.5, draw=random.Random(7))
    assert {exploring.plan(call(), TIERS, 1.0).tier for _ in range(50)} == {"small"}


@pytest.mark.parametrize(
    ("word", "able", "status"),
    [("tier:huge", TIERS, 404), ("gpt-99", (), 404), ("tier:large", ("small",), 400), ("auto", (), 400)],
)
def test_what_cannot_be_planned_is_refused(
    shipped: Router, word: str, able: tuple[str, ...], status: int
) -> None:
    with pytest.raises(RequestError) as refused:
        planner(shipped).plan(call(word), able)
    assert refused.value.status == status


@pytest.mark.parametrize("prompt", [HARD, [HARD, "Prove it twice."]])
def test_completions_are_routed_by_their_prompt(shipped: Router, prompt: Any) -> None:
    body = {"model": "auto:quality=1", "prompt": prompt}
    asked = read_call("completions", msgspec.json.encode(body), {}, Limits())
    text = prompt if isinstance(prompt, str) else "\n".join(prompt)
    told = shipped.route(text, quality=1.0, input_tokens=asked.input_tokens)
    assert planner(shipped).plan(asked, TIERS).decision == told


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1], [2]], 7, [], None])
def test_of_a_completion_without_text_the_router_says_so(shipped: Router, prompt: Any) -> None:
    body = {"model": "auto", "prompt": prompt}
    asked = read_call("completions", msgspec.json.encode(body), {}, Limits())
    with pytest.raises(RequestError) as refused:
        planner(shipped).plan(asked, TIERS)
    assert refused.value.status == 400


def test_the_router_picks_no_model_of_embeddings(shipped: Router) -> None:
    with pytest.raises(RequestError, match="cannot be compared"):
        planner(shipped).plan(call("auto", "embeddings"), TIERS)
    assert planner(shipped).plan(call("gpt-large", "embeddings"), ["large"]).provider == "gpt-large"
