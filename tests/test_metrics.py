"""The figures of a router, against values worked out by hand and by plain loops."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.training.evaluation.metrics import (
    GapRecovery,
    area_under_risk_coverage,
    average_quality,
    brier_score,
    centred,
    expected_calibration_error,
    reliability,
    risk_coverage,
)

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)
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


def looped_figures(scores: list[float], cheap: list[float], dear: list[float]) -> list[float]:
    """APGR, CPT50 and CPT80 by sending the 0, 1, ... N highest scores to the dearer tier."""
    order = sorted(range(len(scores)), key=lambda row: -scores[row])
    all_cheap, all_dear = sum(cheap), sum(dear)
    recovered = []
    for sent in range(len(scores) + 1):
        total = sum(dear[row] for row in order[:sent]) + sum(cheap[row] for row in order[sent:])
        recovered.append((total - all_cheap) / (all_dear - all_cheap))
    area = sum((one + other) / 2 / len(scores) for one, other in pairwise(recovered))
    shares = [
        next((sent / len(scores) for sent, gap in enumerate(recovered) if gap >= level), float("nan"))
        for level in (0.5, 0.8)
    ]
    return [area, *shares]


@given(
    rows=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=25),
    seed=st.integers(0, 99),
)
@EXAMPLES
def test_gap_recovery_is_what_plain_loops_give(rows: list[tuple[int, int]], seed: int) -> None:
    cheap, dear = ([value / 8 for value in column] for column in zip(*rows, strict=True))  # sums are exact
    scores = np.random.default_rng(seed).permutation(len(rows)).astype(np.float64).tolist()
    if sum(cheap) == sum(dear):
        assert np.isnan(figures(scores, cheap, dear)).all()
    else:
        assert figures(scores, cheap, dear) == pytest.approx(looped_figures(scores, cheap, dear), nan_ok=True)


@given(
    rows=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
@EXAMPLES
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


def average(points: list[tuple[float, float]], low: float, high: float) -> float:
    cost, quality = np.array(points, np.float64).T[:, None]
    return float(average_quality(cost, quality, np.array([low]), np.array([high]))[0])


def looped_average(points: list[tuple[float, float]], low: float, high: float) -> float:
    """The mean of the hull's height, which bends at points only, by trapezes between all of them."""
    first = min(x for x, _ in points)
    start = max(y for x, y in points if x == first)

    def height(cost: float) -> float:
        if cost < first:
            return start * cost / first
        best = max(y for x, y in points if x <= cost)
        for x0, y0 in points:
            for x1, y1 in points:
                if x0 <= cost < x1:
                    best = max(best, y0 + (y1 - y0) * (cost - x0) / (x1 - x0))
        return best

    bends = sorted({low, high, *(x for x, _ in points if low < x < high)})
    return sum((height(a) + height(b)) / 2 * (b - a) for a, b in pairwise(bends)) / (high - low)


def test_average_quality_by_hand() -> None:
    # From (1, 0.2) over (2, 0.6) to (4, 0.8): areas 0.4 and 1.4 over a range of 3.
    assert average([(4, 0.8), (1, 0.2), (2, 0.6)], 1, 4) == pytest.approx(1.8 / 3)


def test_a_point_below_the_hull_or_dearer_and_worse_changes_nothing() -> None:
    corners = [(1.0, 0.2), (2.0, 0.6), (4.0, 0.8)]
    for other in [(3.0, 0.7), (3.0, 0.1), (3.9, 0.0), (1.0, 0.1), (5.0, 0.7)]:
        assert average([*corners, other], 1, 4) == pytest.approx(1.8 / 3)


def test_a_hull_is_level_beyond_its_best_point_and_rises_from_zero_before_its_first() -> None:
    # From (0, 0) to (2, 0.5), then level until 4: over 1 to 4 areas 0.375 and 1.
    assert average([(2, 0.5), (3, 0.4)], 1, 4) == pytest.approx(1.375 / 3)


def test_there_is_no_average_over_no_range() -> None:
    assert np.isnan(average([(1, 0.5), (1, 0.7)], 1, 1))


@given(
    points=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 10)), min_size=1, max_size=8),
    low=st.integers(0, 12),
    width=st.integers(1, 12),
)
@EXAMPLES
def test_average_quality_is_what_plain_loops_give(
    points: list[tuple[int, int]], low: int, width: int
) -> None:
    scaled = [(float(cost), quality / 10) for cost, quality in points]
    assert average(scaled, low, low + width) == pytest.approx(looped_average(scaled, low, low + width))


def test_averages_of_several_weightings_are_those_of_each() -> None:
    chance = np.random.default_rng(2)
    cost, quality = chance.random((5, 40)), chance.random((5, 40))
    low, high = np.full(5, 0.1), np.full(5, 0.9)
    alone = [average(list(zip(x, y, strict=True)), 0.1, 0.9) for x, y in zip(cost, quality, strict=True)]
    assert average_quality(cost, quality, low, high) == pytest.approx(np.array(alone))


def test_risk_coverage_by_hand() -> None:
    # By sureness 0.9, 0.8, 0.7, 0.6; the second and the last are wrong.
    risk = risk_coverage(np.array([0.3, 0.9, 0.2, 0.6]), np.array([0.0, 1.0, 1.0, 0.0]))
    assert risk == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    # At best both errors come last: 0, 0, 1/3, 2/4.
    assert area_under_risk_coverage(risk) == pytest.approx((4 / 3 / 4, (1 / 2) / 4))


def test_a_teachers_probability_is_an_error_on_the_other_side_of_a_half_alone() -> None:
    said, teachers = np.array([0.95, 0.9, 0.2, 0.6]), np.array([0.9, 0.8, 0.1, 0.4])
    assert risk_coverage(said, teachers) == pytest.approx([0, 0, 0, 1 / 4])


def test_a_perfect_order_of_errors_has_no_excess_and_no_error_no_area() -> None:
    sure_and_right = risk_coverage(np.array([0.9, 0.8, 0.6]), np.array([1.0, 1.0, 0.0]))
    assert area_under_risk_coverage(sure_and_right) == pytest.approx((1 / 9, 0))
    assert area_under_risk_coverage(risk_coverage(ALL, ALL)) == (0, 0)
    assert area_under_risk_coverage(risk_coverage(ALL, NONE)) == (1, 0)


def test_equally_sure_rows_share_their_errors_however_the_file_is_sorted() -> None:
    said = np.array([0.9, 0.1, 0.9, 0.5])  # 0.1 is as sure as 0.9
    expected = [1 / 3, 1 / 3, 1 / 3, 2 / 4]
    for true in ([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]):
        assert risk_coverage(said, np.array(true)) == pytest.approx(expected)


@given(rows=st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=6))
@EXAMPLES
def test_risk_coverage_is_the_mean_over_all_orders_of_the_equally_sure(rows: list[tuple[int, bool]]) -> None:
    # Eighths, so that 1 - p is exact and equally sure rows are found by equality.
    surest_first = [
        order
        for order in permutations(rows)
        if all(max(p, 8 - p) >= max(q, 8 - q) for (p, _), (q, _) in pairwise(order))
    ]
    areas, excesses = [], []
    for order in surest_first:
        errors = [(p / 8 >= 0.5) != true for p, true in order]
        areas.append(sum(sum(errors[:k]) / k for k in range(1, len(errors) + 1)) / len(errors))
        last = sorted(errors)
        least = sum(sum(last[:k]) / k for k in range(1, len(last) + 1)) / len(last)
        excesses.append(areas[-1] - least)
    said, true = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    found = area_under_risk_coverage(risk_coverage(said / 8, true))
    assert found == pytest.approx((np.mean(areas), np.mean(excesses)), abs=1e-12)


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
@EXAMPLES
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
