"""Plans within a conversation: what a floor allows, whatever a dial, a budget or a draw says."""

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
from router_model.policy.rule import Priced
from router_model.policy.session import InputPrice, Outlook, Session, Terms
from router_model.serving.gateway.call import Call, read_call
from router_model.serving.gateway.config.dial import Dial
from router_model.serving.gateway.config.limits import Limits
from router_model.serving.gateway.guarantee import Instead
from router_model.serving.gateway.plan import Planner
from router_model.serving.gateway.pricing import Pricing
from router_model.serving.gateway.sessions.sessions import Conversation

TIERS = ("small", "medium", "large")
WORDS = frozenset(TIERS)
SOME = st.sets(st.sampled_from(TIERS), min_size=1).map(lambda names: [t for t in TIERS if t in names])
usd = st.floats(0, 1e-4)
PRICE = st.builds(InputPrice, usd, usd, usd)


def call(model: str = "auto", text: str = "Prove Zorn's lemma.") -> Call:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return read_call("chat", msgspec.json.encode(body), {}, Limits())


def conversation(session: Session, prices: list[InputPrice], **more: Any) -> Conversation:
    terms = Terms(prices, Outlook())
    return Conversation("c", b"k", None, session, terms, 0.01, 5000, 10.0, **{"tool_loop": False, **more})


def on(tier: int, *, fails: bool = False) -> Session:
    free = Terms([InputPrice(0.0, 0.0, 0.0)] * 3, Outlook())
    session = Session.begun(3).after(tier, (0.5, 0.6, 0.7), free, tokens=4000, at=0.0)
    return session.failed() if fails else session


@pytest.fixture(scope="module")
def shipped() -> Router:
    return Router.default()


@settings(deadline=None, max_examples=100)
@given(
    able=SOME,
    lowered=st.floats(0, 1) | st.just(1.0),
    tier=st.integers(0, 2),
    prices=st.lists(PRICE, min_size=3, max_size=3),
    word=st.sampled_from(["auto", "auto:quality=1", "auto:budget=0.01"]),
    explore=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 1000),
)
def test_a_tool_loop_never_goes_down_to_a_tier_that_is_able(
    shipped: Router,
    able: list[str],
    lowered: float,
    tier: int,
    prices: Any,
    word: str,
    explore: float,
    seed: int,
) -> None:
    planner = Planner(shipped, WORDS, Dial(), explore, draw=random.Random(seed))
    plan = planner.plan(call(word), able, lowered, conversation(on(tier), prices, tool_loop=True))
    at_least = [name for name in able if TIERS.index(name) >= tier] or able[-1:]
    assert plan.tier in at_least
    assert list(plan.tiers) == able[able.index(plan.tier) :]


def test_a_draw_is_among_the_tiers_that_the_conversation_may_go_to(shipped: Router) -> None:
    planner = Planner(shipped, WORDS, Dial(), 0.5, draw=random.Random(7))
    prices = [InputPrice(1e-6, 1e-6, 1e-6)] * 3
    waiting = conversation(on(1), prices, tool_loop=True)
    plans = [planner.plan(call("auto:budget=0.01"), TIERS, conversation=waiting) for _ in range(2000)]
    told = {plan.tier: plan.propensity for plan in plans}
    assert told == {"medium": 0.75, "large": 0.25}
    for tier, count in Counter(plan.tier for plan in plans).items():
        assert count / 2000 == pytest.approx(told[tier], abs=0.04)


def test_a_failed_turn_goes_up_unless_the_budget_is_used_up(shipped: Router) -> None:
    planner, prices = Planner(shipped, WORDS, Dial()), [InputPrice(1e-6, 1e-6, 1e-6)] * 3
    failed = conversation(on(0, fails=True), prices)
    tiers = [planner.plan(call("auto:budget=0.01"), TIERS, low, failed).tier for low in (0.0, 0.9, 1.0)]
    assert tiers == ["medium", "medium", "small"]


def test_fixed_shares_do_not_move_a_conversation(shipped: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    point = shipped.policy.point(0.9)
    mix = replace(point, rule="fixed", shares=(0.5, 0.5, 0.0))
    monkeypatch.setattr(shipped.policy, "point", lambda quality=None, budget=None: mix)
    planner, prices = Planner(shipped, WORDS, Dial()), [InputPrice(1e-6, 1e-6, 1e-6)] * 3
    texts = [f"question {number}" for number in range(20)]

    def tiers(session: Session) -> set[str]:
        return {
            planner.plan(
                call("auto:quality=0.9", text), TIERS, conversation=conversation(session, prices)
            ).tier
            for text in texts
        }

    assert tiers(Session.begun(3)) == {"small", "medium"}
    assert tiers(on(1)) == {"medium"}
    assert tiers(on(2)) == {"small", "medium"}  # which has no share


def test_a_conversation_goes_by_the_price_that_dollars_have(shipped: Router) -> None:
    prices = [InputPrice(1e-6, 1e-7, 1e-6)] * 3

    def chosen(price: float, model: str = "auto") -> str:
        pacer = SimpleNamespace(priced=lambda *_: Priced(price), watched=lambda rule: rule)
        planner = Planner(shipped, WORDS, Dial(), pricing=Pricing(0.01, (), 0.0, lambda: (), pacer))
        return planner.plan(call(model), TIERS, conversation=conversation(on(2), prices)).tier

    assert chosen(0.0) != "small"
    assert chosen(1e9) == "small"
    assert chosen(1e9, "auto:quality=1") != "small"


def test_tools_that_no_router_reads_are_paid_for_all_the_same(shipped: Router) -> None:
    plain = [tier.input_usd_per_million * 1e-6 for tier in shipped.ladder.tiers]
    prices = [InputPrice(each, 0.1 * each, each) for each in plain]
    tool = {"type": "function", "function": {"name": "find", "description": "where " * 20_000}}
    text = "Is 7 a prime? Say yes or no."
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "tools": [tool]}
    asked = read_call("chat", msgspec.json.encode(body), {}, Limits())
    assert asked.input_tokens > 30_000
    pacer = SimpleNamespace(priced=lambda *_: Priced(2 / (30_000 * plain[2])), watched=lambda rule: rule)
    planner = Planner(shipped, WORDS, Dial(), pricing=Pricing(0.01, (), 0.0, lambda: (), pacer))
    at_small = replace(conversation(on(0), prices), tokens=asked.input_tokens)
    plan = planner.plan(asked, TIERS, conversation=at_small)
    assert plan.tier != "large"  # which costs two in quality, and no answer is worth more than one
    assert plan.decision
    assert plan.decision.input_tokens == asked.input_tokens
    assert plan.decision.expected_cost_usd > 30_000 * plain[0]


@pytest.mark.parametrize("quality", [0.8, 0.9, 0.95, 0.99, 1.0])
def test_a_price_of_time_leaves_a_conversations_dollars_as_they_were(shipped: Router, quality: float) -> None:
    pricing = Pricing(
        shipped.artifact.manifest.strongest_usd, shipped.policy.relative_cost, 1e-12, lambda: (1.0, 2.0, 3.0)
    )
    plain = [tier.input_usd_per_million * 1e-6 for tier in shipped.ladder.tiers]
    prices = [InputPrice(each, 0.1 * each, 1.25 * each) for each in plain]
    long = replace(conversation(Session.begun(3), prices), tokens=40_000, strongest_usd=40_000 * plain[2])
    untimed, timed = (
        Planner(shipped, WORDS, Dial(quality=quality), pricing=each).plan(call(), TIERS, conversation=long)
        for each in (None, pricing)
    )
    assert timed.tier == untimed.tier


def test_no_conversation_moves_what_is_certified_but_its_floor_does(
    shipped: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = replace(shipped.policy.point(0.9), dial="certified", rule="router", penalty=1e9)
    monkeypatch.setattr(shipped.policy, "default", point)
    guarantee = SimpleNamespace(rule=None)
    planner = Planner(shipped, WORDS, Dial(), guarantee=guarantee)
    warm = [InputPrice(1e-3, 0.0, 1e-3)] * 3  # to stay would be worth a lot
    stays = planner.plan(call(), TIERS, conversation=conversation(on(2), warm))
    assert (stays.tier, stays.decision.point) == ("small", point)  # type: ignore[union-attr]
    waits = planner.plan(call(), TIERS, conversation=conversation(on(2), warm, tool_loop=True))
    assert waits.tier == "large"
    guarantee.rule = Instead(2, "traffic has shifted")
    assert planner.plan(call(), TIERS, conversation=conversation(on(0), warm)).tier == "large"


def test_shares_that_are_certified_are_drawn_turn_by_turn(
    shipped: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix = replace(shipped.policy.point(0.9), dial="certified", rule="fixed", shares=(0.5, 0.0, 0.5))
    monkeypatch.setattr(shipped.policy, "default", mix)
    planner = Planner(shipped, WORDS, Dial(), guarantee=SimpleNamespace(rule=None))
    prices = [InputPrice(1e-6, 1e-6, 1e-6)] * 3
    for number in range(20):
        asked = call(text=f"question {number}")
        plan = planner.plan(asked, TIERS, conversation=conversation(on(0), prices))
        assert plan.tier == shipped.route(asked.body).tier
