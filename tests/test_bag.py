"""The bag of tokens and pairs: each once, alone as in a block."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from router_model.bag import MULTIPLIER, PAIR_IDS, PAIRED_HEAD, Bag, Pairs

PAIRS = Pairs(first=100, count=64, head=12)
some_ids = hnp.arrays(np.uint32, st.integers(1, 40), elements=st.integers(0, 99))


def by_hand(ids: list[int], pairs: Pairs) -> set[int]:
    """The ids of a bag without 0, counted one by one."""
    hashed = {
        pairs.first + (one * MULTIPLIER + other) % 2**32 % pairs.count
        for one, other in pairwise(ids[: pairs.head])
    }
    return (set(ids) | hashed) - {0}


@given(some_ids, st.sampled_from([PAIRS, Pairs(30_522, PAIR_IDS, PAIRED_HEAD)]))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_bag_holds_each_token_and_each_pair_once(ids: np.ndarray, pairs: Pairs) -> None:
    bag = pairs.bag(ids)
    assert bag.dtype == np.uint32
    assert bag.size == ids.size + min(ids.size, pairs.head) - 1
    assert bag[bag > 0].tolist() == sorted(by_hand(ids.tolist(), pairs))
    assert bag.max() < pairs.end


@given(st.lists(some_ids, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_bags_of_a_block_are_those_of_its_rows(rows: list[np.ndarray]) -> None:
    lengths = np.array([row.size for row in rows])
    block = np.zeros((len(rows), lengths.max()), np.uint32)
    for line, row in zip(block, rows, strict=True):
        line[: row.size] = row
    for line, row in zip(PAIRS.bags(block, lengths), rows, strict=True):
        assert line[line > 0].tolist() == (alone := PAIRS.bag(row))[alone > 0].tolist()


def test_memory_is_filled_anew_for_each_row() -> None:
    bag = Bag(PAIRS, 3)
    for ids in ([1, 2, 3], [9, 9, 9], [3, 2, 1]):
        row = np.array(ids, np.uint32)
        bag.fill(row)
        assert bag.ids.tolist() == PAIRS.bag(row).tolist()


def test_order_tells_pairs_apart() -> None:
    one, other = (PAIRS.bag(np.array(ids, np.uint32)) for ids in ([3, 4, 5], [5, 4, 3]))
    assert set(one[one < 100].tolist()) == set(other[other < 100].tolist())
    assert set(one[one >= 100].tolist()) != set(other[other >= 100].tolist())


def test_the_largest_ids_wrap_around_without_a_warning() -> None:
    ids = np.array([2**31 - 1, 2**31 - 2], np.uint32)
    assert PAIRS.bag(ids).size == 3


@pytest.mark.parametrize("lengths", [[0, 2], [0, 0]])
def test_a_row_without_tokens_has_an_empty_bag(lengths: list[int]) -> None:
    block = np.array([[0, 0], [7, 8]], np.uint32) * (np.array(lengths)[:, None] > 0)
    bags = PAIRS.bags(block.astype(np.uint32), np.array(lengths))
    assert not bags[0].any()
    assert bags[1].any() == (lengths[1] > 0)
