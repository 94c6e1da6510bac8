"""Conversations stay, switch and go up as their page says, whatever the probabilities and prices."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router_model.policy.rule import Priced
from router_model.policy.session import HELD, InputPrice, Outlook, Session, Staying, Terms

MILLIONTH = 1e-6
KEPT = 0.8
PRICES = [InputPrice(a * MILLIONTH, b * MILLIONTH, c * MILLIONTH) for a, b, c in
          ((1, 0.1, 1.25), (3, 0.3, 3.75), (5, 0.5, 6.25))]  # fmt: skip
ANSWER_USD = (0.0015, 0.0045, 0.0075)
TERMS = Terms(PRICES, Outlook((3.0, 2.5, 2.0), 0.9))
FREE = Terms([InputPrice(0.0, 0.0, 0.0)] * 3, Outlook((3.0,), 0.9))

usd = st.floats(0, 1e-2)
sure = st.floats(0, 1)
price = st.builds(InputPrice, usd, usd, usd, st.floats(0, 1e5), st.integers(0, 5000))
outlook = st.builds(Outlook, st.lists(st.floats(0, 50), min_size=1, max_size=5).map(tuple), sure)
base = st.floats(0, 1e6).map(Priced)


def cost(tokens: int) -> list[float]:
    """Of a call at plain prices."""
    return [tokens * price.plain + answer for price, answer in zip(PRICES, ANSWER_USD, strict=True)]


def on(tier: int, tokens: int, sufficiency: tuple[float, ...] = (0.5, 0.6, 0.7), turns: int = 1) -> Session:
    """A conversation that a tier has answered so far."""
    session = Session.begun(3)
    for _ in range(turns):
        session = session.after(tier, sufficiency, TERMS, tokens=tokens, at=0.0)
    return session


def test_a_warm_prompt_keeps_a_conversation_on_the_tier_that_a_first_turn_would_not_take() -> None:
    tokens, sufficiency, dollar = 20_000, (0.55, 0.62, 0.70), Priced(5.0)
    beginning = Session.begun(3).rule(dollar, TERMS, tokens=tokens, at=10.0)
    assert beginning(sufficiency, cost(tokens)) == 0
    going_on = on(2, tokens - 500).rule(dollar, TERMS, tokens=tokens, at=10.0)
    assert going_on(sufficiency, cost(tokens)) == 2


def test_once_the_provider_has_forgotten_the_prompt_nothing_holds_the_conversation() -> None:
    tokens, sufficiency, dollar = 20_000, (0.55, 0.62, 0.70), Priced(5.0)
    session = on(2, tokens - 500, sufficiency)
    assert session.rule(dollar, TERMS, tokens=tokens, at=10.0)(sufficiency, cost(tokens)) == 2
    assert session.rule(dollar, TERMS, tokens=tokens, at=301.0)(sufficiency, cost(tokens)) == 0


def test_a_cache_adds_the_price_of_writing_and_spares_what_is_read() -> None:
    def added(session: Session, tier: int, at: float, tokens: int = 10_000) -> float:
        return session.cache_usd(tier, TERMS, tokens=tokens, at=at) / MILLIONTH

    begun, warm = Session.begun(3), on(1, 8_000)
    assert added(begun, 1, 10.0) == pytest.approx(10_000 * 0.75)
    assert added(warm, 1, 10.0) == pytest.approx(2_000 * 0.75 - 8_000 * 2.7)
    assert added(warm, 1, 301.0) == pytest.approx(10_000 * 0.75)
    assert added(warm, 2, 10.0) == pytest.approx(10_000 * 1.25)
    assert added(warm, 1, 10.0, tokens=5_000) == pytest.approx(-5_000 * 2.7)
    assert added(warm, 1, 10.0, tokens=1_023) == 0


@given(st.integers(1, 1023), st.integers(0, 2), st.tuples(sure, sure, sure), base)
def test_prompts_that_are_too_short_for_a_cache_are_priced_as_if_there_were_none(
    tokens: int, tier: int, sufficiency: tuple[float, ...], dollar: Priced
) -> None:
    plain = Terms([InputPrice(p.plain, p.plain, p.plain) for p in PRICES], Outlook((3.0, 2.5, 2.0), 0.9))
    session = on(tier, tokens)
    tiers = [
        session.rule(dollar, terms, tokens=tokens, at=1.0)(sufficiency, cost(tokens))
        for terms in (TERMS, plain)
    ]
    assert tiers[0] == tiers[1]


@given(st.lists(st.tuples(sure, sure, sure), min_size=1, max_size=6), base)
def test_where_nothing_has_a_price_each_turn_goes_to_the_surest_tier(
    turns: list[tuple[float, float, float]], dollar: Priced
) -> None:
    session = Session.begun(3)
    for number, sufficiency in enumerate(turns):
        tier = session.rule(dollar, FREE, tokens=9000, at=float(number))(sufficiency, [0.0] * 3)
        assert sufficiency[tier] == pytest.approx(max(sufficiency), abs=1e-9)
        session = session.after(tier, sufficiency, FREE, tokens=9000, at=float(number))


@given(outlook, base, st.tuples(sure, sure, sure), st.integers(1, 10**6))
def test_a_first_turn_without_turns_to_come_is_priced_by_what_it_costs(
    expected: Outlook, dollar: Priced, sufficiency: tuple[float, ...], tokens: int
) -> None:
    terms = Terms([InputPrice(p.plain, p.plain, p.plain) for p in PRICES], Outlook((0.0,), expected.kept))
    chosen = Session.begun(3).rule(dollar, terms, tokens=tokens, at=0.0)(sufficiency, cost(tokens))
    assert chosen == dollar(sufficiency, cost(tokens))


@given(st.integers(5000, 100_000), st.floats(0.01, 0.05))
def test_what_swings_to_and_fro_moves_a_conversation_only_where_a_switch_costs_nothing(
    tokens: int, swing: float
) -> None:
    for terms, costs, moves in ((TERMS, cost(tokens), 0), (FREE, [0.0] * 3, 9)):
        session, tiers = Session.begun(3), []
        for number in range(10):
            middle = 0.6 + (swing if number % 2 else -swing)
            sufficiency = (0.3, middle, 0.6)
            decide = session.rule(Priced(0.3 / cost(tokens)[1]), terms, tokens=tokens, at=float(number))
            tiers.append(decide(sufficiency, costs))
            session = session.after(tiers[-1], sufficiency, terms, tokens=tokens, at=float(number))
        assert sum(a != b for a, b in pairwise(tiers)) == moves


def values(decide: Staying, sufficiency: Sequence[float], usd: Sequence[float]) -> list[float]:
    """What the rule takes the greatest of, as its page has it, tier by tier."""
    session, prices, n, dollar = decide.session, decide.terms.prices, decide.tokens, decide.base.price
    left, kept = decide.terms.left[min(session.turns, len(decide.terms.left) - 1)], KEPT
    now, on, entry = [], [], []
    for k, price in enumerate(prices):
        read = n if n >= price.least else 0
        held = min(session.cached[k], read) if session.until[k] > decide.at else 0
        now.append(
            usd[k] + held * (price.cached - price.plain) + (read - held) * (price.written - price.plain)
        )
        later = usd[k] + read * (kept * price.cached + (1 - kept) * price.written - price.plain)
        mean = (session.sufficiency[k] + sufficiency[k]) / (session.turns + 1)
        on.append(left * (mean - dollar * later))
        entry.append(kept * (price.written - price.cached) * (read - held))
    allowed = range(decide.least, len(prices))
    elsewhere = max(on[j] - dollar * min(1, left) * entry[j] for j in allowed)
    return [sufficiency[k] - dollar * now[k] + max(on[k], elsewhere) for k in allowed]


@settings(deadline=None)
@given(st.integers(0, 10**9), st.booleans())
def test_the_rule_is_the_formula(seed: int, tool_loop: bool) -> None:
    """At sizes where every term of it can decide."""
    chance = random.Random(seed)

    def row(most: float) -> list[float]:
        return [chance.uniform(0, most) for _ in range(3)]

    terms = Terms([InputPrice(*row(1e-4)) for _ in range(3)], Outlook(tuple(row(3.0)), KEPT))
    session = Session.begun(3)
    for at in (0.0, 100.0, 500.0, 550.0, 600.0, 1000.0):
        sufficiency, costs, tokens = row(1.0), row(0.3), chance.randint(500, 9000)
        dollar = Priced(chance.uniform(0, 3))
        decide = session.rule(
            dollar, terms, tokens=tokens, at=at, tool_loop=tool_loop and chance.random() < 0.5
        )
        tier, worth = decide(sufficiency, costs), values(decide, sufficiency, costs)
        assert worth[tier - decide.least] >= max(worth) - 1e-9
        session = session.after(tier, sufficiency, terms, tokens=tokens, at=at)


def test_a_failed_turn_goes_up_and_does_not_come_down_at_once() -> None:
    session, tiers = on(0, 2000).failed(), []
    assert (session.floor, session.failures) == (1, 1)
    for number in range(HELD + 2):
        decide = session.rule(Priced(1e6), TERMS, tokens=2000, at=1e4 * number)
        tiers.append(decide((0.9, 0.9, 0.9), cost(2000)))
        session = session.after(tiers[-1], (0.9, 0.9, 0.9), TERMS, tokens=2000, at=1e4 * number)
    assert tiers == [1] * HELD + [0, 0]


def test_failures_go_up_to_the_strongest_and_one_without_a_turn_is_none() -> None:
    session = on(1, 2000).failed()
    assert session.floor == 2
    assert session.failed().floor == 2
    assert Session.begun(3).failed() == Session.begun(3)


def test_what_each_provider_holds_is_known_of_each() -> None:
    session = on(1, 4000).after(2, (0.5, 0.6, 0.7), TERMS, tokens=5000, at=100.0)
    assert session.cached == (0, 4000, 5000)
    assert session.until == (0.0, 300.0, 400.0)
    assert session.turns == 2
    assert session.sufficiency == pytest.approx((1.0, 1.2, 1.4))


def test_a_rule_says_what_it_goes_by() -> None:
    said = str(on(1, 4000).rule(Priced(20.0), TERMS, tokens=5000, at=1.0))
    assert said == "turn 2 of a conversation, a dollar is 20 of quality"


class Conversations(RuleBasedStateMachine):
    """Turns, tool loops and failures in any order, under any prices and probabilities."""

    @initialize(tiers=st.integers(1, 6), data=st.data())
    def begin(self, tiers: int, data: st.DataObject) -> None:
        self.tiers = tiers
        self.terms = Terms(data.draw(st.lists(price, min_size=tiers, max_size=tiers)), data.draw(outlook))
        self.session, self.at, self.held = Session.begun(tiers), 0.0, -1

    def turn(self, data: st.DataObject, *, tool_loop: bool) -> int:
        self.at += data.draw(st.floats(0, 1e4))
        row = st.lists(sure, min_size=self.tiers, max_size=self.tiers)
        sufficiency, costs = (
            data.draw(row),
            data.draw(st.lists(usd, min_size=self.tiers, max_size=self.tiers)),
        )
        tokens, dollar = data.draw(st.integers(1, 10**6)), data.draw(base)
        decide = self.session.rule(dollar, self.terms, tokens=tokens, at=self.at, tool_loop=tool_loop)
        tier = decide(sufficiency, costs)
        assert 0 <= tier < self.tiers
        self.session = self.session.after(tier, sufficiency, self.terms, tokens=tokens, at=self.at)
        return tier

    @rule(data=st.data())
    def goes_on(self, data: st.DataObject) -> None:
        floor, held = self.session.floor, self.session.held
        assert self.turn(data, tool_loop=False) >= (floor if held else 0)

    @precondition(lambda self: self.session.turns)
    @rule(data=st.data())
    def goes_on_in_a_tool_loop(self, data: st.DataObject) -> None:
        before = self.session.tier
        assert self.turn(data, tool_loop=True) >= before

    @precondition(lambda self: self.session.turns)
    @rule(data=st.data())
    def fails(self, data: st.DataObject) -> None:
        before = self.session.tier
        self.session = self.session.failed()
        assert self.turn(data, tool_loop=False) >= min(before + 1, self.tiers - 1)

    @invariant()
    def is_bounded(self) -> None:
        session = self.session
        assert 0 <= session.floor < self.tiers
        assert 0 <= session.held <= HELD
        assert {len(session.sufficiency), len(session.cached), len(session.until)} == {self.tiers}


TestConversations = Conversations.TestCase
TestConversations.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
