"""AIQ of a router and of the constants: by hand, by plain loops, and at chance."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.data.labels import Labels
from router_model.training.evaluation.aiq import Aiq, aiq
from router_model.training.evaluation.bootstrap import Bootstrap


def labels_of(outcomes: np.ndarray, prices: np.ndarray) -> Labels:
    cost = np.broadcast_to(prices, outcomes.shape).copy()
    return Labels(outcomes, outcomes, cost, np.ones(len(outcomes)), np.ones(outcomes.shape[1]))


def measure(
    probabilities: np.ndarray, outcomes: np.ndarray, prices: np.ndarray, groups: np.ndarray | None = None
) -> Aiq:
    groups = np.arange(len(outcomes)) if groups is None else groups
    relative_cost = np.broadcast_to(prices, outcomes.shape).mean(axis=0)
    bootstrap = Bootstrap(groups, 300, 0.95)
    return aiq(probabilities, relative_cost / relative_cost[-1], labels_of(outcomes, prices), bootstrap)


def looped_hull_mean(points: list[tuple[float, float]], low: float, high: float) -> float:
    """Mean over the costs of the best that mixes of two points give for at most that cost."""

    def height(cost: float) -> float:
        best = max(y for x, y in points if x <= cost + 1e-12)
        for x0, y0 in points:
            for x1, y1 in points:
                if x0 <= cost < x1:
                    best = max(best, y0 + (y1 - y0) * (cost - x0) / (x1 - x0))
        return best

    bends = sorted({low, high, *(x for x, _ in points if low < x < high)})
    return sum((height(a) + height(b)) / 2 * (b - a) for a, b in pairwise(bends)) / (high - low)


def looped_points(
    probabilities: np.ndarray, outcomes: np.ndarray, prices: np.ndarray
) -> list[tuple[float, float]]:
    """Cost and quality of the rule at a penalty between each two at which some row changes its tier."""
    said, true, costs = probabilities.tolist(), outcomes.tolist(), prices.tolist()
    relative = [price / costs[-1] for price in costs]
    tiers = range(len(costs))
    changes = sorted(
        (row[dear] - row[cheap]) / (relative[dear] - relative[cheap])
        for row in said
        for cheap in tiers
        for dear in tiers
        if cheap < dear and row[dear] > row[cheap]
    )
    penalties = [0.0, *((a + b) / 2 for a, b in pairwise([0.0, *changes])), (changes or [0.0])[-1] + 1]
    points = []
    for penalty in penalties:
        chosen = [max(tiers, key=lambda k, row=row: row[k] - penalty * relative[k]) for row in said]  # type: ignore[misc]
        paid = sum(costs[k] for k in chosen) / len(said)
        points.append((paid, sum(row[k] for row, k in zip(true, chosen, strict=True)) / len(said)))
    return points


def test_by_hand() -> None:
    # Of four rows one needs the dear tier, and the router knows: (1, 0.75), (2, 1), level until (5, 1).
    outcomes = np.array([[0, 1], [1, 1], [1, 1], [1, 1]], np.float64)
    found = measure(
        np.array([[0.1, 0.9], [0.8, 0.8], [0.8, 0.8], [0.9, 0.9]]), outcomes, np.array([1.0, 5.0])
    )
    assert found.router == pytest.approx((0.875 * 1 + 1 * 3) / 4)
    assert found.constants == pytest.approx(0.875)
    assert found.cost_range_usd_per_1000 == pytest.approx((1000, 5000))


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 20), tiers=st.integers(2, 3))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_router_and_constants_are_what_plain_loops_give(seed: int, rows: int, tiers: int) -> None:
    chance = np.random.default_rng(seed)
    probabilities, outcomes = chance.random((rows, tiers)), chance.random((rows, tiers))
    prices = np.cumsum(chance.uniform(0.1, 1, tiers))
    found = measure(probabilities, outcomes, prices)
    points = looped_points(probabilities, outcomes, prices)
    assert found.router == pytest.approx(looped_hull_mean(points, prices[0], prices[-1]))
    constants = list(zip(prices.tolist(), outcomes.mean(axis=0).tolist(), strict=True))
    assert found.constants == pytest.approx(looped_hull_mean(constants, prices[0], prices[-1]))


def test_a_router_that_knows_gains_and_the_interval_says_so() -> None:
    chance = np.random.default_rng(0)
    probabilities = np.sort(chance.random((600, 3)), axis=1)
    found = measure(
        probabilities, (chance.random((600, 3)) < probabilities).astype(float), np.array([1, 3, 9])
    )
    assert found.gain_interval[0] > 0
    assert found.gain_interval[0] < found.gain < found.gain_interval[1]
    assert found.router_interval[0] < found.router < found.router_interval[1]
    assert found.constants_interval[0] < found.constants < found.constants_interval[1]
    assert found.gain == pytest.approx(found.router - found.constants, abs=0.02)


def test_a_router_that_knows_nothing_gains_nothing_though_its_hull_is_above_the_constants() -> None:
    gains, above, gaining = [], 0, 0
    for seed in range(30):
        chance = np.random.default_rng(seed)
        outcomes = (chance.random((500, 2)) < (0.5, 0.8)).astype(np.float64)
        probabilities = np.clip((0.5, 0.8) + 0.1 * chance.normal(size=(500, 2)), 0, 1)
        found = measure(probabilities, outcomes, np.array([0.01, 1.0]))
        gains.append(found.gain)
        above += found.router > found.constants
        gaining += found.gain_interval[0] > 0
    assert above > 20
    assert gaining <= 4
    assert np.mean(gains) == pytest.approx(0, abs=0.004)


def test_a_constant_policy_gains_nothing() -> None:
    outcomes = np.random.default_rng(1).integers(0, 2, (200, 3)).astype(np.float64)
    found = measure(np.tile([0.9, 0.5, 0.1], (200, 1)), outcomes, np.array([1.0, 3.0, 9.0]))
    assert found.router == pytest.approx(outcomes[:, 0].mean())
    assert found.gain == pytest.approx(0)
    assert found.gain_interval == pytest.approx((0, 0))


def test_without_a_range_of_costs_or_groups_there_is_no_figure() -> None:
    outcomes = np.random.default_rng(2).integers(0, 2, (60, 2)).astype(np.float64)
    assert np.isnan(measure(outcomes, outcomes, np.array([2.0, 2.0])).router)
    one_group = measure(outcomes, outcomes, np.array([1.0, 2.0]), np.zeros(60, np.int64))
    assert np.isnan(one_group.gain)
    assert one_group.router >= one_group.constants
