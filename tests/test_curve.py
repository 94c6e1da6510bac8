"""The operating curve keeps its dials, and the guard lets no router by that is not better."""

import numpy as np
import pytest

from router_model.errors import DataError
from router_model.policy import OperatingPoint
from router_model.training.curve import DIALS, Curve, Measured, measure_curve

ROWS = 600


def measured(skill: float, seed: int = 0) -> Measured:
    """Rows with three tiers, whose probabilities tell the truth with weight ``skill``."""
    random = np.random.default_rng(seed)
    level = random.integers(0, 4, ROWS)
    outcomes = (np.arange(3) + 1 >= level[:, None]).astype(float)
    outcomes[level == 3, 2] = random.integers(0, 2, (level == 3).sum())
    noise = np.tile(outcomes.mean(axis=0), (ROWS, 1)) + random.normal(0, 0.05, (ROWS, 3))
    probabilities = np.clip(skill * outcomes + (1 - skill) * noise, 0.001, 0.999)
    cost = np.tile([0.05, 0.2, 1.0], (ROWS, 1)) * random.uniform(0.5, 1.5, (ROWS, 1))
    return Measured(probabilities, outcomes, cost, np.arange(ROWS))


def curve(rows: Measured) -> Curve:
    return measure_curve(rows, default_quality=0.95, seed=0, resamples=200, confidence=0.95)


def at(found: Curve, dial: str, value: float) -> OperatingPoint:
    return next(p for p in found.points if (p.dial, p.value) == (dial, value))


def test_a_skilled_router_decides_and_saves() -> None:
    found = curve(measured(0.9))
    point = at(found, "quality", 0.95)
    assert found.guard["verdict"] == "router"
    assert point.rule == "router"
    assert point.cost < 0.6
    assert point.quality_interval[0] <= point.quality <= point.quality_interval[1]


def test_a_router_that_knows_nothing_is_replaced_and_the_verdict_says_so() -> None:
    found = curve(measured(0.0))
    assert found.guard["verdict"] == "fallback"
    assert "not better" in found.guard["message"]
    assert sum(point.rule == "router" for point in found.points) <= 0.1 * len(found.points)


@pytest.mark.parametrize("skill", [0.0, 0.4, 0.9])
def test_dials_are_kept_up_to_what_chance_allows(skill: float) -> None:
    found = curve(measured(skill))
    for point in found.points:
        assert sum(point.shares) == pytest.approx(1.0)
        if point.dial == "quality":
            assert point.quality >= point.value - 0.04
        else:
            assert point.cost <= max(point.value, 0.05) + 0.04


def test_every_dial_value_has_a_point() -> None:
    assert [(point.dial, point.value) for point in curve(measured(0.5)).points] == list(DIALS)


def test_the_same_rows_give_the_same_curve() -> None:
    assert curve(measured(0.5)) == curve(measured(0.5))


def test_too_few_rows_are_refused_with_the_number_needed() -> None:
    rows = measured(0.5)
    few = Measured(rows.probabilities[:20], rows.outcomes[:20], rows.cost[:20], rows.groups[:20])
    with pytest.raises(DataError, match="at least 50 rows"):
        curve(few)


def test_a_strongest_tier_that_never_succeeds_is_refused() -> None:
    rows = measured(0.5)
    useless = Measured(rows.probabilities, rows.outcomes * [1, 1, 0], rows.cost, rows.groups)
    with pytest.raises(DataError, match="strongest tier"):
        curve(useless)
