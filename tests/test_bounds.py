"""The tests of a mean loss: errors at their level, power where there is room, intervals that hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from router_model.training.bounds import TESTS, Test, hedged_bet, mean_interval


def paired(mean: float, gains: float, rows: int, columns: int, seed: int = 0) -> NDArray[np.float64]:
    """Losses of -1, 0 and 1 whose mean is ``mean``, of which a share ``gains`` are -1."""
    draws = np.random.default_rng(seed).random((rows, columns))
    return np.where(draws < gains, -1.0, np.where(draws < 2 * gains + mean, 1.0, 0.0))


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(("rows", "error"), [(60, 0.1), (600, 0.05)])
def test_a_loss_at_the_bound_is_passed_no_more_often_than_the_error(
    test: Test, rows: int, error: float
) -> None:
    runs = 3000
    for gains in (0.0, 0.02, 0.2):
        shown = TESTS[test](paired(0.03, gains, rows, runs), 0.03, error, 1.0)
        assert shown.mean() <= error + 3 * np.sqrt(error * (1 - error) / runs)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=4),
    st.integers(20, 200),
    st.sampled_from([0.01, 0.1, 0.3]),
    st.integers(0, 2**32 - 1),
)
def test_any_distribution_at_the_bound_is_passed_no_more_often_than_the_error(
    values: list[float], rows: int, error: float, seed: int
) -> None:
    random, runs = np.random.default_rng(seed), 400
    weights = random.dirichlet(np.ones(len(values)))
    losses = random.choice(values, (rows, runs), p=weights)
    shown = hedged_bet(losses, float(weights @ values), error)
    assert shown.mean() <= error + 5 * np.sqrt(error / runs)


def test_the_hedged_bet_is_nearly_as_powerful_as_a_normal_test_and_the_others_are_not() -> None:
    losses = paired(0.008, 0.032, 2600, 400)
    normal = (0.02 - losses.mean(axis=0)) / losses.std(axis=0) * np.sqrt(2600) > 1.645
    shown = {name: test(losses, 0.02, 0.05, 1.0).mean() for name, test in TESTS.items()}
    assert shown["hedged-bet"] >= 0.88 * normal.mean()
    assert shown["hoeffding-bentkus"] < 0.1
    assert shown["clopper-pearson"] < 0.1


def test_the_bet_takes_a_bound_and_an_error_for_each_column() -> None:
    losses = paired(0.01, 0.02, 2000, 1)
    columns = np.repeat(losses, 3, axis=1)
    shown = hedged_bet(columns, np.array([0.005, 0.05, 0.05]), np.array([0.05, 0.05, 1e-60]))
    assert shown.tolist() == [False, True, False]


def test_where_nothing_is_ever_lost_a_few_rows_are_enough() -> None:
    assert hedged_bet(np.zeros((400, 1)), 0.02, 0.05).all()
    assert not hedged_bet(np.zeros((20, 1)), 0.02, 0.05).any()


def test_the_interval_of_a_mean_holds_it() -> None:
    random, missed = np.random.default_rng(0), 0
    for _ in range(60):
        values = random.beta(2, 5, 300)
        low, high = mean_interval(values, 0.1)
        assert 0 <= low <= values.mean() <= high <= 1
        missed += not low <= 2 / 7 <= high
    assert missed <= 60 * 0.1 + 3 * np.sqrt(60 * 0.1 * 0.9)
