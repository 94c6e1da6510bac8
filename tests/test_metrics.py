"""The figures of a router, against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.training.evaluation.metrics import (
    GapRecovery,
    brier_score,
    centred,
    expected_calibration_error,
    reliability,
)

NONE, ALL = np.zeros(4), np.ones(4)


def figures(scores: list[float], cheap: list[float], dear: list[float]) -> list[float]:
    recovery = GapRecovery(np.array(scores), np.array(cheap), np.array(dear))
    return recovery.figures(np.ones((1, len(scores))))[0].tolist()


def test_a_perfect_order_recovers_the_gap_with_the_first_prompts() -> None:
    # Two of four prompts gain. Recovered after 0..4 sent: 0, 1/2, 1, 1, 1; the area by trapezes is 3/4.
    assert figures([9, 8, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]) == pytest.approx([0.75, 0.25, 0.5])


def test_the_worst_order_recovers_it_with_the_last() -> None:
    assert figures([0, 1, 8, 9], [0, 0, 1, 1], [1, 1, 1, 1]) == pytest.approx([0.25, 0.75, 1.0])


def test_prompts_that_the_dearer_tier_spoils_count_against_it() -> None:
    # Gains 1, 1, -1: recovered 0, 1, 2, 1 at shares 0, 1/3, 2/3, 1; the area is (1/2 + 3/2 + 3/2) / 3.
    assert figures([3, 2, 1], [0, 0, 1], [1, 1, 0]) == pytest.approx([3.5 / 3, 1 / 3, 1 / 3])


def test_eighty_percent_of_the_gap_by_hand() -> None:
    scores = list(range(10, 0, -1))
    assert figures(scores, [0.0] * 10, [1.0] * 10)[2] == pytest.approx(0.8)


def test_a_random_order_gives_about_one_half() -> None:
    chance = np.random.default_rng(0)
    cheap, dear = (chance.random(20_000) < p for p in (0.4, 0.8))
    found = figures(chance.random(20_000).tolist(), cheap.astype(float).tolist(), dear.astype(float).tolist())
    assert found == pytest.approx([0.5, 0.5, 0.8], abs=0.02)


def test_scores_that_tell_nothing_give_one_half_however_the_file_is_sorted() -> None:
    hardest_first = [0.0] * 2000 + [1.0] * 2000
    assert figures([0.3] * 4000, hardest_first, [1.0] * 4000) == pytest.approx([0.5, 0.5, 0.8], abs=0.03)


def test_without_a_gap_there_is_no_figure() -> None:
    assert np.isnan(figures([3, 2, 1], [1, 0, 1], [1, 0, 1])).all()


@given(
    rows=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_weight_is_as_good_as_repeated_rows(rows: list[tuple[bool, bool, int]], seed: int) -> None:
    cheap, dear, weights = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    scores = np.random.default_rng(seed).permutation(len(rows)).astype(np.float64)
    weighted = GapRecovery(scores, cheap, dear).figures(weights[None])[0]
    times = weights.astype(int)
    # A row of weight 3 is one step of the curve where three rows are three steps on the same line.
    repeated = GapRecovery(*(np.repeat(column, times) for column in (scores, cheap, dear)))
    expected = repeated.figures(np.ones((1, times.sum())))[0] if times.sum() else np.full(3, np.nan)
    if np.repeat(dear - cheap, times).sum() != 0:
        assert weighted[0] == pytest.approx(expected[0])


def test_figures_of_several_weightings_are_those_of_each() -> None:
    chance = np.random.default_rng(1)
    recovery = GapRecovery(chance.random(30), chance.random(30) * 0.5, np.ones(30))
    weights = chance.integers(0, 3, (5, 30)).astype(np.float64)
    together = recovery.figures(weights)
    alone = np.concatenate([recovery.figures(row[None]) for row in weights])
    assert together == pytest.approx(alone)


def test_calibration_error_by_hand() -> None:
    # 30 rows in bins of two: probability 0.2 where none is sufficient, 0.9 where all are.
    probabilities = np.array([0.2] * 14 + [0.9] * 16)
    sufficient = np.array([0.0] * 14 + [1.0] * 16)
    expected = (14 * 0.2 + 16 * 0.1) / 30
    assert expected_calibration_error(probabilities, sufficient) == pytest.approx(expected)


def test_probabilities_that_come_true_have_no_calibration_error() -> None:
    assert expected_calibration_error(NONE, NONE) == 0.0
    assert expected_calibration_error(ALL, ALL) == 0.0
    assert expected_calibration_error(ALL, NONE) == 1.0


def test_one_probability_for_all_is_calibrated_however_the_file_is_sorted() -> None:
    sorted_file = np.repeat([0.0, 1.0], 3000)
    assert expected_calibration_error(np.full(6000, 0.5), sorted_file) < 0.05


@given(values=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=100))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_bins_hold_every_row_once_in_equal_counts(values: list[tuple[float, bool]]) -> None:
    probabilities, sufficient = (np.array(column, np.float64) for column in zip(*values, strict=True))
    bins = reliability(probabilities, sufficient)
    counts = [count for _, _, count in bins]
    assert sum(counts) == len(values)
    assert max(counts) - min(counts) <= 1
    assert len(bins) <= 15
    means = [mean for mean, _, _ in bins]
    assert means == sorted(means) or max(np.diff(sorted(means))) < 1e-9


def test_brier_score_by_hand() -> None:
    assert brier_score(np.array([0.0, 0.5, 0.9]), np.array([0.0, 1.0, 0.0])) == pytest.approx(1.06 / 3)


def test_centring_takes_each_folds_level_away_and_keeps_its_order() -> None:
    scores, fold_of = np.array([1.0, 2.0, 3.0, 10.0, 30.0]), np.array([0, 0, 0, 2, 2])
    assert centred(scores, fold_of).tolist() == [-1.0, 0.0, 1.0, -10.0, 10.0]
