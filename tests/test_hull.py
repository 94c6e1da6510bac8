"""The trivial answers: what mixes of constant tiers can reach without looking at the prompt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.training.evaluation.hull import Hull, Mix

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)
figures = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=8)
EXACT = 1e-9


def hull_of(pairs: list[tuple[int, int]]) -> Hull:
    quality, cost = np.array(pairs, np.float64).T
    return Hull(quality / 20, cost)


def quality_of(hull: Hull, mix: Mix) -> float:
    return float(hull.quality @ np.array(mix.shares(len(hull.cost))))


def cost_of(hull: Hull, mix: Mix) -> float:
    return float(hull.cost @ np.array(mix.shares(len(hull.cost))))


def test_a_tier_below_the_line_between_its_neighbours_is_never_used() -> None:
    hull = Hull(np.array([0.2, 0.3, 0.8]), np.array([1.0, 5.0, 9.0]))
    assert hull.tiers == [0, 2]
    assert hull.at_cost(5.0) == Mix(0, 2, 0.5)
    assert hull.at_quality(0.5) == Mix(0, 2, pytest.approx(0.5))


def test_a_tier_above_the_line_is_a_corner() -> None:
    hull = Hull(np.array([0.2, 0.7, 0.8]), np.array([1.0, 5.0, 9.0]))
    assert hull.tiers == [0, 1, 2]
    assert hull.at_cost(5.0).shares(3) == (0.0, 1.0, 0.0)
    assert hull.at_cost(7.0) == Mix(1, 2, 0.5)


def test_a_dearer_and_worse_tier_is_left_out() -> None:
    hull = Hull(np.array([0.6, 0.9, 0.5]), np.array([1.0, 2.0, 9.0]))
    assert hull.tiers == [0, 1]
    assert hull.at_cost(100.0).shares(3) == (0.0, 1.0, 0.0)


@given(pairs=figures)
@EXAMPLES
def test_a_mix_at_a_tiers_cost_is_at_least_as_good_as_the_tier(pairs: list[tuple[int, int]]) -> None:
    hull = hull_of(pairs)
    for quality, cost in zip(hull.quality, hull.cost, strict=True):
        mix = hull.at_cost(float(cost))
        assert quality_of(hull, mix) >= quality - EXACT
        assert cost_of(hull, mix) <= cost + EXACT


@given(pairs=figures)
@EXAMPLES
def test_a_mix_of_a_tiers_quality_is_no_dearer_than_the_tier(pairs: list[tuple[int, int]]) -> None:
    hull = hull_of(pairs)
    for quality, cost in zip(hull.quality, hull.cost, strict=True):
        mix = hull.at_quality(float(quality))
        assert quality_of(hull, mix) >= quality - EXACT
        assert cost_of(hull, mix) <= cost + EXACT


@given(pairs=figures, share=st.floats(0, 1))
@EXAMPLES
def test_no_mix_of_any_two_tiers_is_above_the_hull(pairs: list[tuple[int, int]], share: float) -> None:
    hull = hull_of(pairs)
    for cheap in range(len(pairs)):
        for dear in range(len(pairs)):
            other = Mix(cheap, dear, share)
            best = hull.at_cost(cost_of(hull, other) + EXACT)
            assert quality_of(hull, best) >= quality_of(hull, other) - 1e-6


@given(pairs=figures, cost=st.floats(0.5, 25), quality=st.floats(0, 1))
@EXAMPLES
def test_mixes_keep_their_limit_wherever_it_can_be_kept(
    pairs: list[tuple[int, int]], cost: float, quality: float
) -> None:
    hull = hull_of(pairs)
    assert cost_of(hull, hull.at_cost(cost)) <= max(cost, hull.cost.min()) + EXACT
    assert quality_of(hull, hull.at_quality(quality)) >= min(quality, hull.quality.max()) - EXACT


@given(pairs=figures, value=st.floats(0, 25))
@EXAMPLES
def test_shares_are_probabilities(pairs: list[tuple[int, int]], value: float) -> None:
    hull = hull_of(pairs)
    for mix in (hull.at_cost(value), hull.at_quality(value / 25)):
        shares = mix.shares(len(pairs))
        assert sum(shares) == pytest.approx(1)
        assert min(shares) >= 0
