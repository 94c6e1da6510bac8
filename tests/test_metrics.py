"""Figures against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.training.evaluation.baselines import Hull
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.metrics import (
    GapRecovery,
    brier_score,
    centred,
    expected_calibration_error,
)

ONCE = np.ones((1, 4))


def test_a_perfect_order_recovers_the_gap_with_the_prompts_that_gain() -> None:
    cheap, dear = np.array([0.0, 1.0, 1.0, 1.0]), np.ones(4)
    apgr, cpt50, cpt80 = GapRecovery(np.array([9.0, 1.0, 2.0, 3.0]), cheap, dear).figures(ONCE)[0]
    # The gap is recovered after one prompt of four: half of the first quarter, then all.
    assert apgr == pytest.approx(0.125 + 0.75)
    assert (cpt50, cpt80) == (0.25, 0.25)


def test_the_worst_order_recovers_it_last() -> None:
    cheap, dear = np.array([0.0, 1.0, 1.0, 1.0]), np.ones(4)
    apgr, cpt50, _ = GapRecovery(np.array([0.0, 1.0, 2.0, 3.0]), cheap, dear).figures(ONCE)[0]
    assert apgr == pytest.approx(0.125)
    assert cpt50 == 1.0


def test_a_random_order_has_an_apgr_of_one_half() -> None:
    random = np.random.default_rng(0)
    cheap, dear = random.integers(0, 2, 20_000).astype(float), np.ones(20_000)
    apgr = GapRecovery(random.random(20_000), cheap, dear).figures(np.ones((1, 20_000)))[0, 0]
    assert apgr == pytest.approx(0.5, abs=0.02)


def test_a_weight_of_two_is_a_row_that_stands_twice() -> None:
    random = np.random.default_rng(1)
    scores, cheap, dear = random.random(30), random.random(30) / 2, random.random(30) / 2 + 0.5
    weights = random.integers(1, 4, 30)
    weighted = GapRecovery(scores, cheap, dear).figures(weights[None].astype(float))[0]
    rows = np.repeat(np.arange(30), weights)
    repeated = GapRecovery(scores[rows], cheap[rows], dear[rows]).figures(np.ones((1, len(rows))))[0]
    assert weighted[0] == pytest.approx(repeated[0], abs=1e-9)


def test_no_gap_has_no_recovery() -> None:
    assert np.isnan(GapRecovery(np.arange(4.0), np.ones(4), np.ones(4)).figures(ONCE)).all()


def test_calibration_error_and_brier_by_hand() -> None:
    said, true = np.full(100, 0.8), np.array([1.0] * 60 + [0.0] * 40)
    assert brier_score(said, true) == pytest.approx(0.6 * 0.04 + 0.4 * 0.64)
    shuffled = np.random.default_rng(0).permutation(true)
    assert expected_calibration_error(said, shuffled) >= 0.2 - 1e-9
    exact = np.repeat([0.0, 1.0], 50)
    assert expected_calibration_error(exact, exact) == 0.0


def test_centred_scores_have_no_level_of_their_fold() -> None:
    scores, fold_of = np.array([1.0, 3.0, 10.0, 14.0]), np.array([0, 0, 1, 1])
    assert centred(scores, fold_of).tolist() == [-1.0, 1.0, -2.0, 2.0]


def test_an_interval_holds_the_mean_and_widens_with_clusters() -> None:
    values = np.repeat(np.random.default_rng(0).normal(5.0, 1.0, 200), 5)[:, None]
    clustered = Bootstrap(np.repeat(np.arange(200), 5), 500, 0.95)
    independent = Bootstrap(np.arange(1000), 500, 0.95)
    wide = clustered.interval(clustered.sums(values)[:, 0] / 1000)
    narrow = independent.interval(independent.sums(values)[:, 0] / 1000)
    assert wide[0] < values.mean() < wide[1]
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 10)), min_size=2, max_size=8))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_constant_lies_above_the_mixes(tiers: list[tuple[float, float]]) -> None:
    quality, cost = np.array([q for q, _ in tiers]), np.array([c for _, c in tiers])
    hull = Hull(quality, cost)
    for k in range(len(tiers)):
        shares = np.array(hull.at_cost(float(cost[k])).shares(len(tiers)))
        assert shares.sum() == pytest.approx(1.0)
        assert shares @ quality >= quality[k] - 1e-9
        assert shares @ cost <= max(cost[k], cost.min()) + 1e-9


def test_a_mix_meets_the_quality_that_was_asked_for_at_least_cost() -> None:
    hull = Hull(np.array([0.4, 0.5, 0.8]), np.array([1.0, 5.0, 9.0]))
    mix = hull.at_quality(0.6)
    assert (mix.cheap, mix.dear) == (0, 2)
    assert mix.share == pytest.approx(0.5)
