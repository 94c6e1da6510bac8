"""The operating curve keeps what its dials promise, and the guard admits where the router adds nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import DataError
from router_model.policy.curve import OperatingPoint, Policy
from router_model.training.curve import (
    BUDGETS,
    QUALITIES,
    Curve,
    Measured,
    check_rows,
    choose,
    measure_curve,
    penalty_grid,
)

PRICES = np.array([0.02, 0.2, 1.0])


def logged(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that tell the truth, with outcomes drawn from them: [N, 3], [N, 3]."""
    chance = np.random.default_rng(seed)
    hard = chance.random(count)
    probabilities = np.stack([(1 - hard) ** 2, 1 - 0.6 * hard, 1 - 0.1 * hard], axis=1)
    return probabilities, (chance.random((count, 3)) < probabilities).astype(np.float64)


def measured(probabilities: np.ndarray, outcomes: np.ndarray, seed: int = 0) -> Measured:
    lengths = np.random.default_rng(seed + 100).lognormal(0, 0.5, len(outcomes))
    return Measured(probabilities, outcomes, lengths[:, None] * PRICES * 1e-3, np.arange(len(outcomes)))


def curve_of(rows: Measured, quality: float = 0.95) -> Curve:
    return measure_curve(rows, default_quality=quality, seed=0, resamples=300, confidence=0.95)


@pytest.fixture(scope="module")
def rows() -> Measured:
    return measured(*logged(3000))


@pytest.fixture(scope="module")
def curve(rows: Measured) -> Curve:
    return curve_of(rows)


@pytest.fixture(scope="module")
def random_curve() -> Curve:
    """Probabilities that have nothing to do with the outcomes."""
    shuffled = np.random.default_rng(9).permutation(logged(3000)[0])
    return curve_of(measured(shuffled, logged(3000)[1]))


def at(curve: Curve, dial: str, value: float) -> OperatingPoint:
    return next(point for point in curve.points if (point.dial, point.value) == (dial, value))


def applied(rows: Measured, point: OperatingPoint) -> tuple[float, float]:
    """Quality and cost over the strongest tier's, of the policy at one point on some rows."""
    policy = Policy(tuple(rows.relative_cost), [point, *dummy(point)], (point.dial, point.value))
    texts = [f"prompt {row}" for row in range(len(rows.outcomes))]
    tiers = policy.choose_batch(rows.probabilities.astype(np.float32), point, texts)
    each = np.arange(len(tiers))
    quality = rows.outcomes[each, tiers].mean() / rows.outcomes[:, -1].mean()
    return float(quality), float(rows.cost[each, tiers].mean() / rows.cost[:, -1].mean())


def dummy(point: OperatingPoint) -> list[OperatingPoint]:
    other = "budget" if point.dial == "quality" else "quality"
    return [OperatingPoint(other, 1.0, "fixed", 0.0, point.shares, 1.0, 1.0)]  # type: ignore[arg-type]


def test_there_is_a_point_for_every_dial_value(curve: Curve) -> None:
    assert [p.value for p in curve.points if p.dial == "quality"] == list(QUALITIES)
    assert [p.value for p in curve.points if p.dial == "budget"] == list(BUDGETS)
    assert all(sum(point.shares) == pytest.approx(1) for point in curve.points)


@pytest.mark.parametrize("value", [0.8, 0.9, 0.95, 0.98])
def test_a_quality_is_kept_on_rows_that_were_not_measured_on(curve: Curve, value: float) -> None:
    point = at(curve, "quality", value)
    quality, cost = applied(measured(*logged(20_000, seed=1), seed=1), point)
    assert quality >= value - 0.02
    assert cost <= point.cost_interval[1] + 0.02
    assert point.quality_interval[0] - 0.02 <= quality <= point.quality_interval[1] + 0.02


def test_a_budget_is_never_exceeded_on_the_rows_measured(rows: Measured, curve: Curve) -> None:
    for point in curve.points:
        if point.dial != "budget":
            continue
        if point.rule == "router":
            assert applied(rows, point)[1] <= point.value + 1e-6
        else:
            assert point.cost <= max(point.value, float(rows.relative_cost.min())) + 1e-6


def test_points_hold_their_own_figures_within_their_intervals(curve: Curve) -> None:
    for point in curve.points:
        assert point.quality_interval[0] - 1e-9 <= point.quality <= point.quality_interval[1] + 1e-9
        assert point.cost_interval[0] - 1e-9 <= point.cost <= point.cost_interval[1] + 1e-9


def test_probabilities_that_tell_the_truth_let_the_router_decide(curve: Curve) -> None:
    assert curve.guard["verdict"] == "router"
    assert at(curve, "quality", 0.95).rule == "router"
    assert "beats every constant and mix" in curve.guard["message"]
    assert curve.guard["of"] == len(curve.points)
    assert curve.guard["better"] == sum(point.rule == "router" for point in curve.points)


def test_perfect_probabilities_beat_the_strongest_tier_at_a_fraction_of_its_cost() -> None:
    outcomes = logged(1000)[1]
    perfect = curve_of(measured(outcomes, outcomes))
    point = at(perfect, "quality", 1.0)
    assert point.rule == "router"
    assert point.quality >= 1.0
    assert point.cost < 0.5


def test_probabilities_that_say_nothing_are_not_listened_to_and_the_artifact_says_so(
    random_curve: Curve,
) -> None:
    assert random_curve.guard["verdict"] == "fallback"
    assert random_curve.guard["better"] <= 0.1 * random_curve.guard["of"]
    point = at(random_curve, "quality", 0.95)
    assert point.rule == "fixed"
    assert "not better than a random mix of two tiers" in point.note
    assert point.note in random_curve.guard["message"]


def test_a_fallback_keeps_its_dial(random_curve: Curve) -> None:
    for point in random_curve.points:
        if point.rule == "fixed" and point.dial == "quality":
            assert point.quality >= point.value - 1e-6
        if point.rule == "fixed" and point.dial == "budget":
            assert point.cost <= max(point.value, PRICES[0]) + 1e-6
    assert sum(share > 0 for share in at(random_curve, "quality", 0.95).shares) == 2


def test_a_dominant_cheap_tier_is_the_constant_that_decides() -> None:
    outcomes = np.random.default_rng(0).random((500, 3)) < np.array([0.9, 0.6, 0.5])
    found = curve_of(measured(np.full((500, 3), 0.5), outcomes.astype(np.float64)))
    point = at(found, "quality", 0.95)
    assert point.shares == (1.0, 0.0, 0.0)
    assert "one constant tier" in point.note


def test_the_same_rows_give_the_same_curve(rows: Measured, curve: Curve) -> None:
    assert curve_of(rows) == curve


def test_the_guards_verdict_is_of_the_default_dial(rows: Measured) -> None:
    assert "at quality=0.8 " in curve_of(rows, quality=0.8).guard["message"]
    assert "at quality=0.87 " in curve_of(rows, quality=0.863).guard["message"]


def test_a_higher_penalty_is_never_dearer(rows: Measured) -> None:
    penalties = penalty_grid(rows.probabilities, rows.relative_cost)
    chosen = choose(rows.probabilities, rows.relative_cost, penalties)
    relative = rows.relative_cost[chosen]
    assert np.all(np.diff(relative, axis=1) <= 1e-12)
    assert set(chosen[:, -1]) == {0}
    assert (chosen[:, 0] == rows.probabilities.argmax(axis=1)).all()


@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=2), min_size=1, max_size=9)
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_penalties_rise_from_zero_for_any_probabilities(probabilities: list[list[float]]) -> None:
    grid = penalty_grid(np.array(probabilities), np.array([0.1, 1.0]))
    assert grid[0] == 0.0
    assert np.isfinite(grid).all()
    assert np.all(np.diff(grid) > 0)


def test_two_groups_are_enough_and_one_is_refused() -> None:
    probabilities, outcomes = logged(100)
    rows = measured(probabilities, outcomes)
    two = Measured(rows.probabilities, rows.outcomes, rows.cost, np.arange(100) % 2)
    assert len(curve_of(two).points) == len(QUALITIES) + len(BUDGETS)
    with pytest.raises(DataError, match="1 groups of rows cannot be split"):
        curve_of(Measured(rows.probabilities, rows.outcomes, rows.cost, np.zeros(100, np.int64)))


SOUND = logged(60)[1], np.tile(PRICES, (60, 1))


@pytest.mark.parametrize(
    ("outcomes", "cost", "says"),
    [
        (SOUND[0][:49], SOUND[1][:49], "only 49 rows"),
        (SOUND[0] * [1, 1, 0], SOUND[1], "never succeeds"),
        (SOUND[0], SOUND[1] * [1, 1, 0], "costs nothing"),
        (SOUND[0], SOUND[1] * [1, 1e300, 1], "tier 2 of the ladder costs 2e\\+299 USD"),
        (SOUND[0], SOUND[1] * [1, 1, 1e308], "tier 3 of the ladder costs"),
        (SOUND[0], SOUND[1] * [1, 1, 1e-300], "tier 1 of the ladder costs"),
    ],
)
def test_rows_that_cannot_carry_a_curve_are_refused_in_one_line(
    outcomes: np.ndarray, cost: np.ndarray, says: str
) -> None:
    check_rows(*SOUND)
    with pytest.raises(DataError, match=says) as caught:
        measure_curve(
            Measured(outcomes, outcomes, cost, np.arange(len(outcomes))),
            default_quality=0.95,
            seed=0,
            resamples=200,
            confidence=0.95,
        )
    assert "\n" not in str(caught.value)


def test_a_dial_that_the_router_cannot_keep_is_kept_by_a_tier_or_a_mix_that_can() -> None:
    """It beats the mix at its own cost, and is sure of the cheap tier where only the dear one answers."""
    chance = np.random.default_rng(4)
    easy = chance.random(4000) < 0.5
    lost = ~easy & (chance.random(4000) < 0.1)  # that it takes for easy ones
    outcomes = np.stack([easy, np.ones(4000)], axis=1).astype(np.float64)
    probabilities = np.stack([np.where(easy | lost, 0.99, 0.01), np.full(4000, 0.98)], axis=1)
    cost = np.tile([0.1, 1.0], (4000, 1)) * 1e-3
    found = curve_of(Measured(probabilities, outcomes, cost, np.arange(4000)))
    for point in found.points:
        if point.dial == "quality":
            assert point.quality >= point.value - 0.005, point
    assert at(found, "quality", 0.9).rule == "router"
    best = at(found, "quality", 1.0)
    assert (best.rule, best.shares, best.quality) == ("fixed", (0.0, 1.0), 1.0)
    assert best.note == "no penalty keeps it, which one constant tier does instead"


def test_a_tier_of_lower_price_that_costs_more_is_spared_where_the_dial_needs_it_not() -> None:
    """As of a small model that reasons at length: better on half of the prompts, and dearer."""
    chance = np.random.default_rng(5)
    deep = chance.random((3000, 1)) < 0.5
    said = np.where(deep, [0.95, 0.5], [0.6, 0.8])
    outcomes = (chance.random((3000, 2)) < said).astype(np.float64)
    cost = np.tile([2.0, 1.0], (3000, 1)) * 1e-3
    found = curve_of(Measured(said, outcomes, cost, np.arange(3000)))
    assert all(point.cost <= max(point.value, 1.0) + 1e-6 for point in found.points if point.dial == "budget")
    assert at(found, "quality", 1.0).cost == pytest.approx(1.0)
    assert at(found, "quality", 0.8).cost == pytest.approx(1.0)
