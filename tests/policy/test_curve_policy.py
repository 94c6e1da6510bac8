"""The policy: dials looked up, tiers chosen."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import DialError
from router_model.policy.curve import Dial, OperatingPoint, Policy, Rule
from router_model.router import Router

COST = (0.1, 0.4, 1.0)
PROPERTY = settings(max_examples=100, deadline=None, derandomize=True)
shares_of_one = st.floats(1e-3, 1)


def point(
    dial: Dial = "quality",
    value: float = 1.0,
    rule: Rule = "router",
    penalty: float = 0.0,
    shares: tuple[float, ...] = (0.2, 0.3, 0.5),
) -> OperatingPoint:
    return OperatingPoint(dial, value, rule, penalty, shares, quality=1.0, cost=1.0)


def policy(qualities: list[float], budgets: list[float] | None = None) -> Policy:
    curve = [point("quality", value) for value in qualities]
    curve += [point("budget", value) for value in budgets or [1.0]]
    return Policy(COST, curve, ("quality", 0.95))


@given(st.lists(shares_of_one, min_size=1, unique=True), shares_of_one)
@PROPERTY
def test_a_quality_is_rounded_up_to_the_next_that_was_measured(values: list[float], wished: float) -> None:
    found = policy(values).point(quality=wished)
    stricter = [value for value in values if value >= wished - 1e-9]
    assert found.dial == "quality"
    assert found.value == (min(stricter) if stricter else max(values))


@given(st.lists(shares_of_one, min_size=1, unique=True), shares_of_one)
@PROPERTY
def test_a_budget_is_rounded_down_to_the_next_that_was_measured(values: list[float], wished: float) -> None:
    found = policy([1.0], values).point(budget=wished)
    stricter = [value for value in values if value <= wished + 1e-9]
    assert found.dial == "budget"
    assert found.value == (max(stricter) if stricter else min(values))


@pytest.mark.parametrize(("wished", "cost"), [(0.02, 0.02), (0.012, 0.011), (0.0005, 0.001), (1e-9, 0.001)])
def test_a_smaller_budget_than_any_measured_takes_what_keeps_it_or_the_cheapest(
    wished: float, cost: float
) -> None:
    """Where the cheapest tier costs a thousandth of the strongest, a budget of 1.2 % is not one of 2 %."""
    curve = [
        replace(point("quality", 0.5), cost=0.001, quality=0.6),
        replace(point("quality", 0.7), cost=0.011, quality=0.7),
        replace(point("quality", 1.0), cost=0.8),
        replace(point("budget", 0.02), cost=0.02, quality=0.75),
        replace(point("budget", 0.04), cost=0.04, quality=0.8),
    ]
    found = Policy(COST, curve, ("quality", 0.95)).point(budget=wished)
    assert (found.dial, found.value, found.cost) == ("budget", wished, cost)


@given(st.lists(shares_of_one, min_size=1, unique=True), shares_of_one, shares_of_one)
@PROPERTY
def test_a_stricter_dial_never_gives_a_laxer_point(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    both = policy(values, values)
    assert both.point(quality=low).value <= both.point(quality=high).value
    assert both.point(budget=low).value <= both.point(budget=high).value


@given(shares_of_one)
@PROPERTY
def test_a_trained_router_never_answers_a_wish_with_a_laxer_point(router: Router, wished: float) -> None:
    assert router.policy.point(quality=wished).value >= wished - 1e-9
    smallest = min(point.value for point in router.artifact.manifest.curve if point.dial == "budget")
    assert router.policy.point(budget=wished).value <= max(wished, smallest) + 1e-9


def test_a_value_that_was_measured_is_found_in_spite_of_rounding() -> None:
    steps = [round(0.02 * step, 2) for step in range(1, 51)]
    found = policy(steps, steps)
    assert found.point(budget=0.1 + 0.2).value == 0.3
    assert found.point(quality=0.1 + 0.2).value == 0.3
    assert found.point(quality=1).value == 1.0


def test_without_a_dial_the_default_decides() -> None:
    assert policy([0.9, 0.95, 1.0]).point().value == 0.95


OUT_OF_RANGE: list[Any] = [0, 0.0, -0.1, 1.0001, 95, float("nan"), float("inf"), True, "0.9", [0.9], {}]


@pytest.mark.parametrize("dial", ["quality", "budget"])
@pytest.mark.parametrize("value", OUT_OF_RANGE, ids=repr)
def test_a_dial_out_of_range_is_refused_with_an_example(dial: str, value: Any) -> None:
    with pytest.raises(DialError, match=rf"{dial}=.*such as {dial}=0\.95"):
        policy([1.0]).point(**{dial: value})


@pytest.mark.parametrize("value", [0.5, np.float64(0.5), 1])
def test_numbers_of_other_kinds_are_dials_too(value: Any) -> None:
    assert policy([0.5, 1.0]).point(quality=value).value == value


def test_both_dials_at_once_are_refused() -> None:
    with pytest.raises(DialError, match="give one of them") as caught:
        policy([1.0]).point(quality=0.9, budget=0.5)
    assert caught.value.exit_code == 2


rows_of_three = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)


@given(rows_of_three, st.floats(0, 10), st.floats(0, 10))
@PROPERTY
def test_a_larger_penalty_never_chooses_a_dearer_tier(row: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    deciding = policy([1.0])
    cheap = deciding.choose(row, point(penalty=high), "text")
    dear = deciding.choose(row, point(penalty=low), "text")
    assert COST[cheap] <= COST[dear]


def test_without_a_penalty_the_likeliest_tier_is_chosen_and_the_cheapest_of_equals() -> None:
    deciding = policy([1.0])
    assert deciding.choose([0.2, 0.9, 0.5], point(), "text") == 1
    assert deciding.choose([0.7, 0.7, 0.7], point(), "text") == 0
    assert deciding.choose([0.0, 0.0, 0.0], point(penalty=1e308), "text") == 0


rules = st.builds(
    point,
    rule=st.sampled_from(["router", "fixed"]),
    penalty=st.floats(0, 3),
    shares=st.sampled_from([(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.2, 0.3, 0.5), (0.0, 0.6, 0.4)]),
)


@given(st.lists(st.tuples(rows_of_three, st.text(max_size=20)), max_size=20), rules)
@PROPERTY
def test_a_batch_is_chosen_as_one_by_one(
    rows: list[tuple[list[float], str]], decides: OperatingPoint
) -> None:
    deciding = policy([1.0])
    texts = [text for _, text in rows]
    block = np.array([row for row, _ in rows], np.float32).reshape(len(rows), 3)
    chosen = deciding.choose_batch(block, decides, texts)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == [deciding.choose(row, decides, text) for row, text in rows]


@given(st.text(), rows_of_three, rows_of_three)
@PROPERTY
def test_a_fixed_rule_depends_on_the_prompt_alone(text: str, one: list[float], other: list[float]) -> None:
    fixed = point(rule="fixed")
    assert policy([1.0]).choose(one, fixed, text) == policy([0.9]).choose(other, fixed, text)


@pytest.mark.parametrize("shares", [(0.2, 0.3, 0.5), (0.0, 0.75, 0.25), (0.01, 0.98, 0.01), (1.0, 0.0, 0.0)])
@pytest.mark.parametrize("form", ["{}", "Question {}: what is the capital?", "{} " * 40])
def test_a_fixed_rule_keeps_its_shares_over_many_prompts(shares: tuple[float, ...], form: str) -> None:
    fixed, deciding, count = point(rule="fixed", shares=shares), policy([1.0]), 20_000
    texts = (form.replace("{}", str(number)) for number in range(count))
    counts = Counter(deciding.choose([0.5] * 3, fixed, text) for text in texts)
    for k, share in enumerate(shares):
        five_deviations = 5 * (share * (1 - share) / count) ** 0.5
        assert abs(counts[k] / count - share) <= five_deviations


def test_a_tier_without_a_share_is_never_drawn_though_shares_sum_to_less_than_one() -> None:
    fixed, deciding = point(rule="fixed", shares=(0.0, 0.3, 0.3)), policy([1.0])
    drawn = {deciding.choose([1.0, 0.0, 0.0], fixed, str(number)) for number in range(1000)}
    assert drawn == {1, 2}
