"""Splits by group: no group on both sides, the same by seed, sizes near those asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from router_model.data.split import folds, holdout
from router_model.errors import DataError

SEEDS = st.integers(0, 2**32)


def grouped(low: int) -> st.SearchStrategy[NDArray[np.int64]]:
    """Group numbers of at least ``low`` distinct groups, in any order and with gaps."""
    numbers = st.lists(st.integers(0, 30), min_size=low, max_size=60).filter(lambda g: len(set(g)) >= low)
    return numbers.map(lambda g: np.array(g, np.int64) * 7)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(groups=grouped(5), count=st.integers(2, 5), seed=SEEDS)
def test_folds_keep_groups_whole_fill_every_fold_and_repeat_by_seed(
    groups: NDArray[np.int64], count: int, seed: int
) -> None:
    fold = folds(groups, count, seed)
    assert fold.shape == groups.shape
    assert set(fold.tolist()) == set(range(count))
    for name in np.unique(groups):
        assert len(set(fold[groups == name].tolist())) == 1
    np.testing.assert_array_equal(fold, folds(groups, count, seed))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(groups=grouped(5), count=st.integers(2, 5), seed=SEEDS)
def test_folds_differ_by_no_more_rows_than_the_largest_group(
    groups: NDArray[np.int64], count: int, seed: int
) -> None:
    sizes = np.bincount(folds(groups, count, seed), minlength=count)
    assert sizes.sum() == len(groups)
    assert sizes.max() - sizes.min() <= np.unique(groups, return_counts=True)[1].max()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(groups=grouped(2), share=st.floats(0.01, 0.99), seed=SEEDS)
def test_a_holdout_keeps_groups_whole_both_sides_filled_and_repeats_by_seed(
    groups: NDArray[np.int64], share: float, seed: int
) -> None:
    held = holdout(groups, share, seed)
    assert held.shape == groups.shape
    assert held.any()
    assert not held.all()
    assert not set(groups[held].tolist()) & set(groups[~held].tolist())
    np.testing.assert_array_equal(held, holdout(groups, share, seed))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(groups=grouped(2), share=st.floats(0.01, 0.99), seed=SEEDS)
def test_a_holdout_is_within_one_group_of_its_share(
    groups: NDArray[np.int64], share: float, seed: int
) -> None:
    held = holdout(groups, share, seed)
    largest = np.unique(groups, return_counts=True)[1].max()
    assert abs(held.sum() - share * len(groups)) <= largest + 1e-9


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_rows_without_duplicates_are_held_out_by_exactly_the_share(share: float) -> None:
    assert holdout(np.arange(1000), share, 3).sum() == 1000 * share


def test_folds_of_rows_without_duplicates_are_equal() -> None:
    assert np.bincount(folds(np.arange(1000), 5, 3)).tolist() == [200] * 5


def test_seeds_give_different_splits() -> None:
    groups = np.arange(200)
    assert len({holdout(groups, 0.2, seed).tobytes() for seed in range(10)}) == 10
    assert len({folds(groups, 5, seed).tobytes() for seed in range(10)}) == 10


def test_every_row_is_held_out_by_some_seed() -> None:
    groups = np.arange(20)
    assert np.any([holdout(groups, 0.2, seed) for seed in range(100)], axis=0).all()


def test_too_few_groups_are_a_data_error_that_names_the_cure() -> None:
    with pytest.raises(DataError, match=r"2 groups .* 3 folds; give more data or fewer folds"):
        folds(np.array([0, 0, 1, 1]), 3, 0)
    with pytest.raises(DataError, match="give more varied data"):
        holdout(np.zeros(9, np.int64), 0.5, 0)
    with pytest.raises(DataError, match="give more varied data"):
        holdout(np.zeros(0, np.int64), 0.5, 0)
