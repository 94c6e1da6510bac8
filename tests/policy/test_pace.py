"""A paced budget: no price below 0, no more spent than is in flight, the best quality where it suffices."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.policy.demand import LEVELS, Demand, spread
from router_model.policy.pace import MOST_PRICE, Pace, Term, Totals
from router_model.policy.shape import guess
from router_model.policy.traffic import DAY_SECONDS, SLOTS, Profile, Traffic

STRONGEST = 1e-3
USD = (0.0, 2e-4, STRONGEST)


def begun(usd: float, profile: Profile = Profile(), lot: float | None = None, price: float = 100.0) -> Pace:  # noqa: B008
    return Pace.begun(
        Term(usd, 0.0, DAY_SECONDS, lot),
        Traffic.begun(profile, 0.0, 0.0),
        strongest_usd=STRONGEST,
        price=price,
    )


def probabilities(chance: random.Random) -> list[float]:
    return sorted(chance.random() for _ in USD)


def through(pace: Pace, requests: int, seed: int = 0, in_flight: int = 1) -> tuple[Pace, float]:
    """The state after a day of requests, each answered when so many others are asked; and what was spent."""
    chance, flying, spent = random.Random(seed), [], 0.0
    for n in range(requests):
        tier = pace.rule()(probabilities(chance), USD)
        flying.append(USD[tier])
        spent += USD[tier]
        if len(flying) >= in_flight:
            pace = pace.after(flying.pop(0), n * DAY_SECONDS / requests)
    for usd in flying:
        pace = pace.after(usd, DAY_SECONDS - 1)
    return pace, spent


@settings(deadline=None, max_examples=60)
@given(
    usd=st.floats(1e-6, 1e3),
    lot=st.sampled_from([None, 100.0, 1000.0]),
    known=st.booleans(),
    answers=st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, DAY_SECONDS * 1.5)), max_size=60),
)
def test_a_price_is_never_negative_and_the_same_answers_give_the_same(
    usd: float, lot: float | None, known: bool, answers: list[tuple[float, float]]
) -> None:
    profile = Profile((10.0,) * SLOTS, 1) if known else Profile()
    twice = []
    for _ in range(2):
        pace = begun(usd, profile, lot)
        for cost, at in answers:
            pace = pace.after(cost, at)
            assert 0 <= pace.price <= MOST_PRICE
        twice.append(pace)
    assert twice[0] == twice[1]
    assert pace.spent == pytest.approx(sum(cost for cost, _ in answers))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), usd=st.floats(0.002, 0.5), in_flight=st.integers(1, 30))
def test_no_more_is_spent_than_the_budget_and_what_is_in_flight(
    seed: int, usd: float, in_flight: int
) -> None:
    """The cheapest tier costs nothing, so a price without bound spends nothing."""
    _, spent = through(begun(usd), 1500, seed, in_flight)
    assert spent <= usd + in_flight * STRONGEST


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_an_even_day_spends_its_budget(share: float) -> None:
    budget = share * 4000 * STRONGEST
    pace, spent = through(begun(budget, Profile((4000 / SLOTS,) * SLOTS, 1)), 4000)
    assert spent == pytest.approx(budget, rel=0.01)
    assert pace.spent == pytest.approx(spent)


def test_a_budget_above_what_can_be_spent_buys_the_best_quality() -> None:
    pace = begun(10_000 * STRONGEST, Profile((4000 / SLOTS,) * SLOTS, 1))
    chance = random.Random(0)
    for n in range(4000):
        rows = probabilities(chance)
        tier = pace.rule()(rows, USD)
        if n > 1000:
            assert pace.price == 0
            assert rows[tier] == max(rows)
        pace = pace.after(USD[tier], n * DAY_SECONDS / 4000)
    assert pace.spent < 10_000 * STRONGEST


def test_dollars_per_lot_hold_without_knowing_how_many_requests_come() -> None:
    budget = 0.3 * 1000 * STRONGEST
    _, spent = through(begun(budget, lot=1000.0), 20_000)
    assert spent == pytest.approx(20 * budget, rel=0.03)


def test_what_earlier_lots_left_over_is_not_all_spent_at_once() -> None:
    pace = begun(1.0, lot=100.0)
    for n in range(5000):  # nothing costs anything: fifty lots are left over
        pace = pace.after(0.0, n)
    assert pace.plan.most - pace.spent <= 2.0 + 1e-9


def test_workers_that_hear_each_other_have_one_price_and_one_that_hears_nobody_counts_for_all() -> None:
    one, two = begun(1.0, Profile((50.0,) * SLOTS, 1)), begun(1.0, Profile((50.0,) * SLOTS, 1))
    chance = random.Random(1)
    for n in range(400):
        one, two = one.after(chance.choice(USD), n), two.after(chance.choice(USD), n)
        one, two = (
            one.heard(Totals(two.usd, two.requests, two.moved)),
            two.heard(Totals(one.usd, one.requests, one.moved)),
        )
    assert one.price == pytest.approx(two.price)
    assert one.spent == pytest.approx(two.spent)
    alone = one.heard(one.elsewhere, siblings=1).after(0.01, 401)
    assert alone.spent == pytest.approx(one.spent + 0.02)
    assert alone.heard(one.elsewhere).spent == pytest.approx(one.spent + 0.01)


def test_a_next_term_begins_at_nothing_and_at_the_usual_price() -> None:
    pace, _ = through(begun(1.0), 3000)
    spent_out = replace(pace.plan.term, usd=pace.spent / 2)
    pace = pace.under(spent_out).planned(DAY_SECONDS - 0.5)
    assert pace.price == MOST_PRICE
    fresh = pace.renewed(Term(1.0, DAY_SECONDS, 2 * DAY_SECONDS), DAY_SECONDS + 0.1)
    assert (fresh.spent, fresh.requests) == (0.0, 0.0)
    assert 0 < fresh.price < MOST_PRICE
    assert fresh.plan.traffic.profile.days == 1
    assert fresh.plan.traffic.profile.day == pytest.approx(3000, rel=0.1)


@given(usd=st.floats(0, 100), falls=st.lists(st.floats(0, 5), min_size=len(LEVELS), max_size=len(LEVELS)))
def test_what_is_spread_is_between_nothing_and_what_the_hour_can_cost(usd: float, falls: list[float]) -> None:
    now = tuple(sorted(falls, reverse=True))
    costs = [10 * one for one in now]
    assert 0 <= spread(usd, costs, now) <= max(usd, now[0], 1e-9) * 1.0001


def test_more_is_kept_for_the_hours_that_cost_more_at_one_price() -> None:
    demand = Demand()
    for slot, usd in ((0, USD), (1, (0.0, 1e-5, 5e-5))):
        for _ in range(10):
            demand = demand.sampled(slot, 2, 30.0, [0.3, 0.5, 0.7], usd)
    dear, cheap = demand.after().usual
    costs = [10 * (a + b) for a, b in zip(dear, cheap, strict=True)]
    assert spread(costs[0] * 0.9, costs, dear) > 5 * spread(costs[0] * 0.9, costs, cheap)


def test_a_burst_is_not_expected_tomorrow_and_an_hour_nobody_counted_keeps_its_count() -> None:
    counts: list[float | None] = [100.0] * SLOTS
    counts[20], counts[30] = 900.0, None
    first = Profile().after(counts)
    assert first.requests[20] == 100.0
    assert first.after([None] * SLOTS) == first
    assert Profile((5.0,) * SLOTS, 3).after(counts).requests[30] == 5.0


@pytest.mark.parametrize("bursts", [(0, 1), (46, 47), (47, 0)])
def test_a_burst_about_midnight_is_not_expected_tomorrow(bursts: tuple[int, int]) -> None:
    counts = [900.0 if slot in bursts else 100.0 for slot in range(SLOTS)]
    assert set(Profile().after(counts).requests) == {100.0}


def day_of(rates: Callable[[float], float], until: float) -> Traffic:
    """A day that is usually even, 60 requests a minute, looked at once a minute."""
    traffic, requests = Traffic.begun(Profile((1800.0,) * SLOTS, 5), 0.0, 0.0), 0.0
    for minute in range(1, int(until / 60) + 1):
        requests += rates(minute / 60)
        traffic = traffic.moved(minute * 60.0, requests)
    return traffic


def test_a_burst_of_minutes_tells_nothing_of_the_evening_and_a_crowd_that_stays_does() -> None:
    noon = DAY_SECONDS / 2
    usual = day_of(lambda hour: 60.0, noon).remaining(DAY_SECONDS)
    assert usual == pytest.approx(60 * 60 * 12, rel=0.01)
    burst = day_of(lambda hour: 300.0 if hour > 11.8 else 60.0, noon)
    assert burst.remaining(DAY_SECONDS) == pytest.approx(usual, rel=0.02)
    assert burst.turned(DAY_SECONDS).profile.requests[23] == pytest.approx(1800, rel=0.02)
    crowd = day_of(lambda hour: 300.0 if hour > 2 else 60.0, noon)
    assert crowd.remaining(DAY_SECONDS) == pytest.approx(5 * usual, rel=0.2)


def test_what_the_cheapest_tier_costs_is_not_asked_to_be_saved() -> None:
    usd = (1e-4, 3e-4, STRONGEST)
    pace, chance = begun(0.11, Profile((1000 / SLOTS,) * SLOTS, 1)), random.Random(3)
    for n in range(400):  # what was named by hand has left less than the cheapest tier's cost for each
        cost = usd[1] if n < 300 else usd[0]
        pace = pace.sampled(probabilities(chance), usd).after(cost, n * DAY_SECONDS / 1000)
    assert 0 < (0.11 - pace.spent) / 600 < usd[0] / 5
    assert pace.plan.target >= 0.999 * usd[0]


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_a_day_that_is_a_fifth_less_busy_than_usual_still_spends_its_budget(share: float) -> None:
    demand, chance = Demand(), random.Random(1)
    for n in range(4000):
        demand = demand.sampled(n * SLOTS // 4000, SLOTS, 0.03 / STRONGEST, probabilities(chance), USD)
    pace = begun(share * 3200 * STRONGEST, Profile((4000 / SLOTS,) * SLOTS, 1))
    _, spent = through(pace._replace(demand=demand.after()), 3200)
    assert spent == pytest.approx(share * 3200 * STRONGEST, rel=0.01)


@pytest.mark.parametrize(
    "counts", [(1.0,), (-1.0,) * SLOTS, (float("nan"),) * SLOTS, (float("inf"),) * SLOTS]
)
def test_a_profile_that_is_none_is_refused(counts: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="counts"):
        Profile(counts)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=SLOTS, max_size=SLOTS), st.floats(0, 1e6))
@settings(deadline=None, max_examples=30)
def test_a_guess_at_a_day_is_of_counts_whatever_was_seen(counts: list[float | None], told: float) -> None:
    assert all(0 <= count < 1e15 for count in guess(counts, told))
