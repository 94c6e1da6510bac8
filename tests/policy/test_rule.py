"""Rules: what decides for one prompt, by itself and in place of a router's operating curve."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.errors import DialError
from router_model.policy.rule import Priced
from router_model.router import Router

PROMPTS = ["What is the capital of Portugal?", "Prove that there are infinitely many primes.", ""]
tiers = st.integers(2, 6)


class Strongest:
    """A rule of a caller's own."""

    def __call__(self, sufficiency: Sequence[float], usd: Sequence[float]) -> int:
        return len(sufficiency) - 1

    def __str__(self) -> str:
        return "the strongest"


@pytest.fixture(scope="module")
def router() -> Router:
    return Router.default()


@given(st.data(), tiers)
def test_a_higher_price_never_costs_more(data: st.DataObject, count: int) -> None:
    shares = st.lists(st.floats(0, 1), min_size=count, max_size=count)
    sufficiency, usd = data.draw(shares), sorted(data.draw(shares))
    low, high = sorted(data.draw(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3))))
    assert usd[Priced(high)(sufficiency, usd)] <= usd[Priced(low)(sufficiency, usd)]


@given(st.data(), tiers)
def test_without_a_price_the_surest_tier_and_of_equal_ones_the_cheapest(
    data: st.DataObject, count: int
) -> None:
    sufficiency = data.draw(st.lists(st.floats(0, 1), min_size=count, max_size=count))
    assert Priced(0.0)(sufficiency, [1.0] * count) == sufficiency.index(max(sufficiency))


def test_waiting_has_a_price() -> None:
    sufficiency, usd = [0.8, 0.9], [0.001, 0.001]
    assert Priced(10.0)(sufficiency, usd) == 1
    assert Priced(10.0, usd_per_second=0.002, seconds=(1.0, 9.0))(sufficiency, usd) == 0
    assert Priced(10.0, usd_per_second=0.002, seconds=(1.0, 2.0))(sufficiency, usd) == 1


def test_a_rule_decides_in_place_of_the_curve(router: Router) -> None:
    decision = router.route("hello", rule=Strongest())
    assert decision.tier == router.ladder.names[-1]
    assert decision.point is None
    assert decision.why.startswith("the strongest: ")


@pytest.mark.parametrize("price", [0.0, 1.0, 100.0, 1e6])
def test_a_rule_decides_alike_one_by_one_and_in_a_batch(router: Router, price: float) -> None:
    one_by_one = [router.route(prompt, rule=Priced(price)).tier for prompt in PROMPTS]
    assert [decision.tier for decision in router.route_batch(PROMPTS, rule=Priced(price))] == one_by_one


def test_a_dear_dollar_takes_the_cheapest_tier(router: Router) -> None:
    assert router.route(PROMPTS[1], rule=Priced(1e9)).tier == router.ladder.names[0]


@pytest.mark.parametrize("dial", ["quality", "budget"])
def test_a_rule_beside_a_dial_is_refused(router: Router, dial: str) -> None:
    with pytest.raises(DialError, match="both a dial and a rule"):
        router.route("hello", rule=Priced(1.0), **{dial: 0.9})
    with pytest.raises(DialError, match="both a dial and a rule"):
        router.route_batch(["hello"], rule=Priced(1.0), **{dial: 0.9})
