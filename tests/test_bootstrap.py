"""The bootstrap: it covers what is true, and knows that near-duplicates are not independent."""

import numpy as np
import pytest

from router_model.training.evaluation.bootstrap import CHUNK_CELLS, Bootstrap


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def mean_interval(values: np.ndarray, groups: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    bootstrap = Bootstrap(groups, 1000, confidence)
    return bootstrap.interval(bootstrap.sums(values[:, None])[:, 0] / len(values))


def test_the_interval_covers_a_known_mean_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        low, high = mean_interval(chance.normal(3.0, 1.0, 60), np.arange(60), confidence=0.9)
        covered += low <= 3.0 <= high
    assert 80 <= covered <= 97


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(size=400)
    interval = mean_interval(values, np.arange(400))
    assert width(interval) == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert interval[0] < values.mean() < interval[1]


def test_groups_of_like_rows_widen_the_interval() -> None:
    groups = np.repeat(np.arange(40), 10)
    values = np.repeat(np.random.default_rng(2).normal(size=40), 10)
    clustered, naive = mean_interval(values, groups), mean_interval(values, np.arange(400))
    assert width(clustered) == pytest.approx(width(naive) * np.sqrt(10), rel=0.2)


def test_whole_groups_are_drawn_wherever_their_rows_stand() -> None:
    groups = np.array([7, 3, 7, 9, 3, 7])
    bootstrap = Bootstrap(groups, 300, 0.95)
    sums = bootstrap.sums((groups[:, None] == np.array([3, 7, 9])).astype(np.float64))
    assert set((sums / [2, 3, 1]).ravel()) <= set(range(4))
    assert (sums / [2, 3, 1]).sum(axis=1).tolist() == [3.0] * 300


def test_columns_share_their_draws() -> None:
    values = np.random.default_rng(3).normal(size=(50, 1))
    sums = Bootstrap(np.arange(50), 200, 0.95).sums(np.hstack([values, 2 * values]))
    assert sums[:, 1] == pytest.approx(2 * sums[:, 0])


def test_draws_follow_from_the_seed() -> None:
    values, groups = np.random.default_rng(4).normal(size=(50, 1)), np.arange(50)
    one, same, other = (Bootstrap(groups, 200, 0.95, seed).sums(values) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_many_groups_are_drawn_in_parts_that_bound_memory() -> None:
    bootstrap = Bootstrap(np.arange(CHUNK_CELLS // 3), 7, 0.95)
    parts = [len(weights) for weights in bootstrap.weights()]
    assert parts == [3, 3, 1]


def test_more_confidence_is_a_wider_interval() -> None:
    values = np.random.default_rng(5).normal(size=100)
    widths = [width(mean_interval(values, np.arange(100), confidence)) for confidence in (0.6, 0.9, 0.99)]
    assert widths == sorted(widths)


def test_draws_that_do_not_exist_are_left_out() -> None:
    bootstrap = Bootstrap(np.arange(3), 200, 0.9)
    assert bootstrap.interval(np.array([np.nan, 1.0, 1.0, np.inf])) == (1.0, 1.0)
    assert np.isnan(bootstrap.interval(np.array([np.nan, np.inf]))).all()


def test_a_constant_has_a_mean_without_spread_however_uneven_the_groups() -> None:
    groups = np.repeat(np.arange(5), [1, 2, 30, 1, 4])
    bootstrap = Bootstrap(groups, resamples=300, confidence=0.95)
    found = bootstrap.means(np.column_stack([np.full(len(groups), 0.7), groups.astype(float)]))
    assert found[:, 0] == pytest.approx(np.full(300, 0.7))
    assert found[:, 1].std() > 0.1
