from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from router_model.training.evaluation.off_policy import (
    ESTIMATORS,
    Seen,
    clipped,
    direct,
    doubly_robust,
    effective_rows,
    estimate,
    ips,
    snips,
    switch_doubly_robust,
    switch_threshold,
)

Floats = np.ndarray[Any, np.dtype[np.float64]]
quick = settings(derandomize=True, deadline=None, max_examples=50)
units = st.floats(0, 1, allow_subnormal=False)


def seen(weight: list[float], reward: list[float], predicted: list[float]) -> Seen:
    return Seen(np.array(weight), np.array(reward), np.array(predicted), np.arange(len(weight)))


SMALL = seen([2, 0, 4], [1, 0, 0.5], [0.5, 0.25, 0.75])


@st.composite
def logs(draw: st.DrawFn) -> Seen:
    rows = draw(st.integers(2, 12))
    weight = draw(arrays(np.float64, rows, elements=st.sampled_from([0.0, 1.0, 1.5, 30.0])))
    reward, predicted = (draw(arrays(np.float64, rows, elements=units)) for _ in range(2))
    return Seen(weight, reward, predicted, np.arange(rows))


@pytest.mark.parametrize(
    ("estimator", "value"),
    [
        (direct, (0.5 + 0.25 + 0.75) / 3),
        (ips, (2 * 1 + 4 * 0.5) / 3),
        (snips, (2 * 1 + 4 * 0.5) / (2 + 4)),
        (doubly_robust, ((0.5 + 2 * 0.5) + 0.25 + (0.75 + 4 * -0.25)) / 3),
    ],
)
def test_each_estimator_gives_what_is_computed_by_hand(estimator: Any, value: float) -> None:
    assert estimator(SMALL).mean() == pytest.approx(value)


def test_switch_dr_gives_up_a_weight_whose_variance_costs_more_than_its_bias_may() -> None:
    few = seen([1] * 400 + [300], [0.5] * 401, [0.5] * 400 + [0.25])
    assert switch_threshold(few) == 300  # three quarters of all weight is too much to give up for a guess
    many = seen([1] * 99_999 + [1000], [0.5] * 100_000, [0.5] * 99_999 + [0.49])
    assert switch_threshold(many) == 1000  # nor is there anything to gain where the model is right
    wild = seen([1] * 99_999 + [1000], [1.0] * 100_000, [1.0] * 99_999 + [-50.0])
    assert switch_threshold(wild) == 1
    np.testing.assert_allclose(switch_doubly_robust(wild)[-1], -50.0)


@quick
@given(logs())
def test_without_agreement_dr_is_the_outcome_model_and_with_all_of_it_the_sample_mean(log: Seen) -> None:
    blind = Seen(np.zeros(len(log.weight)), log.reward, log.predicted, log.groups)
    for estimator in (doubly_robust, switch_doubly_robust):
        np.testing.assert_allclose(estimator(blind), direct(log))
    whole = Seen(np.ones(len(log.weight)), log.reward, log.predicted, log.groups)
    for name in ("dr", "switch_dr", "snips", "ips"):
        assert ESTIMATORS[name](whole).mean() == pytest.approx(log.reward.mean())


@quick
@given(logs(), st.floats(0.1, 10))
def test_snips_does_not_know_the_scale_of_propensities_and_stays_within_the_rewards(
    log: Seen, scale: float
) -> None:
    scaled = Seen(log.weight * scale, log.reward, log.predicted, log.groups)
    np.testing.assert_allclose(snips(scaled), snips(log), rtol=1e-9, atol=1e-12)
    rewards = log.reward[log.weight > 0]
    if rewards.size:
        assert rewards.min() - 1e-9 <= snips(log).mean() <= rewards.max() + 1e-9
    else:
        assert np.isnan(snips(log)).all()


@quick
@given(logs(), st.floats(-5, 5))
def test_dr_moves_with_a_constant_added_to_all_rewards(log: Seen, constant: float) -> None:
    moved = Seen(log.weight, log.reward + constant, log.predicted + constant, log.groups)
    np.testing.assert_allclose(doubly_robust(moved), doubly_robust(log) + constant, atol=1e-9)


@quick
@given(
    chances=arrays(np.float64, 3, elements=st.floats(0.05, 0.95)),
    rewards=arrays(np.float64, (3, 2), elements=units),
    predicted=arrays(np.float64, 3, elements=units),
    decided=arrays(np.int64, 3, elements=st.integers(0, 1)),
)
def test_ips_and_dr_are_right_on_average_over_all_logs_whatever_the_model_says(
    chances: Floats, rewards: Floats, predicted: Floats, decided: np.ndarray[Any, np.dtype[np.int64]]
) -> None:
    rows = np.arange(3)
    truth = rewards[rows, decided].mean()
    means = np.zeros(2)
    for choice in product((0, 1), repeat=3):
        chosen = np.array(choice)
        chance = np.where(chosen == 1, chances, 1 - chances)
        log = Seen(np.where(chosen == decided, 1 / chance, 0), rewards[rows, chosen], predicted, rows)
        means += chance.prod() * np.array([ips(log).mean(), doubly_robust(log).mean()])
    np.testing.assert_allclose(means, truth, atol=1e-12)


def test_an_interval_is_the_normal_one_and_clustered() -> None:
    alone = estimate(np.array([1.0, 3.0]), np.array([0, 1]), 0.95)
    assert (alone.value, alone.error) == (2.0, pytest.approx(1.0))  # sqrt(2) / sqrt(2)
    assert (alone.low, alone.high) == (pytest.approx(2 - 1.959964), pytest.approx(2 + 1.959964))
    doubled = estimate(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]), 0.95)
    assert doubled.error == pytest.approx(alone.error)
    assert estimate(np.ones(3), np.zeros(3, np.int64), 0.95).error == float("inf")


def test_effective_rows_are_the_rows_where_weights_are_equal_and_fewer_elsewhere() -> None:
    assert effective_rows(np.array([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3)
    assert effective_rows(np.array([30.0, 1.0])) == pytest.approx(31**2 / 901)
    assert effective_rows(np.zeros(3)) == 0


def test_a_cut_bounds_the_inverse_and_leaves_the_rest() -> None:
    np.testing.assert_allclose(1 / clipped(np.array([0.001, 0.5, 1.0]), 20), [20, 2, 1])


def test_the_intervals_of_dr_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    rows, held = 800, []
    for _ in range(200):
        likely = random.random(rows)
        chance = np.where(random.random(rows) < 0.5, 0.9, 0.1)  # of the decision
        agrees = random.random(rows) < chance
        reward = (random.random(rows) < likely).astype(float)
        log = Seen(np.where(agrees, 1 / chance, 0), reward, 0.8 * likely, np.arange(rows))
        found = estimate(doubly_robust(log), log.groups, 0.95)
        held.append(found.low <= 0.5 <= found.high)
    assert 0.91 <= np.mean(held) <= 0.985
