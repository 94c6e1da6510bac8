"""Calibration: it finds a known scale and offset, and never turns an ordering round."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.training.calibrate import MIN_SCALE, Calibration, calibrate, calibrate_together


def drawn(scale: float, offset: float, count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, 1] and targets drawn with probability sigmoid(scale * logit + offset)."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=(count, 1)) * 2
    probabilities = 1 / (1 + np.exp(-(scale * logits + offset)))
    return logits, (chance.random((count, 1)) < probabilities).astype(np.float64)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.4, 1.0), (2.0, -1.5)])
def test_it_recovers_a_known_scale_and_offset(scale: float, offset: float) -> None:
    found = calibrate(*drawn(scale, offset))
    assert found.scale[0] == pytest.approx(scale, abs=0.1)
    assert found.offset[0] == pytest.approx(offset, abs=0.1)


def test_each_tier_is_calibrated_on_its_own() -> None:
    one, other = drawn(0.5, 1.0, seed=1), drawn(2.0, -1.0, seed=2)
    both = calibrate(np.hstack([one[0], other[0]]), np.hstack([one[1], other[1]]))
    assert both.scale.tolist() == [calibrate(*one).scale[0], calibrate(*other).scale[0]]


def test_unknown_targets_are_left_out() -> None:
    logits, targets = drawn(0.7, -0.5, count=2000)
    half = targets.copy()
    half[::2] = np.nan
    known = calibrate(logits[1::2], targets[1::2])
    found = calibrate(logits, half)
    assert (found.scale[0], found.offset[0]) == (known.scale[0], known.offset[0])


def test_a_tier_of_which_nothing_is_known_keeps_its_logits() -> None:
    found = calibrate(np.zeros((3, 1)), np.full((3, 1), np.nan))
    assert found.scale.tolist() == [1.0]
    assert found.offset.tolist() == [0.0]


@pytest.mark.parametrize(("target", "expected"), [(1.0, 30.5 / 31), (0.0, 0.5 / 31)])
def test_a_tier_that_is_always_or_never_sufficient_gets_its_smoothed_rate(
    target: float, expected: float
) -> None:
    logits = np.linspace(-3, 3, 30)[:, None]
    found = calibrate(logits, np.full((30, 1), target))
    assert found(logits)[:, 0] == pytest.approx(expected)


def test_a_network_that_orders_wrongly_is_damped_and_not_turned_round() -> None:
    logits, targets = drawn(-1.5, 0.7)
    found = calibrate(logits, targets)
    assert found.scale[0] == MIN_SCALE
    assert found(logits).mean() == pytest.approx(targets.mean(), abs=1e-6)


@given(
    logits=st.lists(st.floats(-20, 20), min_size=2, max_size=40),
    draws=st.lists(st.sampled_from([0.0, 1.0, float("nan")]), min_size=40, max_size=40),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_ordering_is_never_reversed_and_probabilities_stay_probabilities(
    logits: list[float], draws: list[float]
) -> None:
    column = np.array(logits)[:, None]
    found = calibrate(column, np.array(draws[: len(logits)])[:, None])
    probabilities = found(np.sort(column, axis=0))[:, 0]
    assert np.all(np.diff(probabilities) >= 0)
    assert np.all((probabilities >= 0) & (probabilities <= 1))


def test_logits_beyond_all_bounds_give_probabilities() -> None:
    calibration = Calibration(np.array([1.0, 5.0]), np.array([0.0, 1.0]))
    found = calibration(np.array([[1e300, -1e300], [-1e9, 1e9]]))
    assert np.all((found >= 0) & (found <= 1))
    assert found[0, 0] > 0.999 > 0.001 > found[0, 1]


def test_together_tiers_share_a_scale_and_each_keeps_its_rate() -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(4000, 2))
    true = (chance.random((4000, 2)) < 1 / (1 + np.exp(-(2 * logits + [1.0, -1.0])))).astype(np.float64)
    true[np.arange(4000), chance.integers(0, 2, 4000)] = np.nan
    found = calibrate_together(logits, true)
    assert found.scale[0] == found.scale[1] == pytest.approx(2.0, abs=0.25)
    assert found.offset == pytest.approx([1.0, -1.0], abs=0.25)
    assert found(logits).mean(axis=0) == pytest.approx(np.nanmean(true, axis=0), abs=0.03)


@pytest.mark.parametrize(("rows", "near", "far"), [(60, 0.0, 0.35), (20_000, 0.8, 1.2)])
def test_together_few_rows_hardly_set_scales_apart_and_many_do(rows: int, near: float, far: float) -> None:
    draw = np.random.default_rng(3)
    logits = draw.normal(size=(rows, 2))
    true = (draw.random((rows, 2)) < 1 / (1 + np.exp(-logits * [0.5, 1.5]))).astype(np.float64)
    found = calibrate_together(logits, true, spread=0.1)
    assert near <= found.scale[1] - found.scale[0] <= far


def test_together_of_one_kind_of_outcome_is_the_smoothed_rate() -> None:
    logits, true = np.zeros((30, 2)), np.where(np.arange(2) == 0, 1.0, np.full((30, 2), np.nan))
    assert calibrate_together(logits, true)(logits)[:, 0] == pytest.approx(30.5 / 31)
