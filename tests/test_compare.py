"""Comparisons: paired over the same resamples, and equal to what brute force gives."""

import numpy as np
import pytest

from router_model.data.labels import Labels
from router_model.ladder import Ladder
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.compare import Comparison, at_costs, difference, rank
from router_model.training.evaluation.comparison_table import render_comparison
from router_model.training.evaluation.judge import DIALS, Judged, judge
from router_model.training.evaluation.metrics import GapRecovery

ROWS = 60


@pytest.fixture(scope="module")
def outcomes() -> np.ndarray:
    """A third needs each of three tiers, more or less: [60, 3]."""
    chance = np.random.default_rng(0)
    need = chance.integers(3, size=(ROWS, 1))
    return (chance.random((ROWS, 3)) < np.where(np.arange(3) >= need, 0.9, 0.2)).astype(np.float64)


@pytest.fixture(scope="module")
def bootstrap() -> Bootstrap:
    """Groups of one to four rows, in no order."""
    return Bootstrap(np.random.default_rng(1).integers(25, size=ROWS), 300, 0.9, seed=3)


def noisy(outcomes: np.ndarray, noise: float, seed: int) -> np.ndarray:
    return outcomes + np.random.default_rng(seed).normal(0, noise, outcomes.shape)


def gain_at_half(scores: np.ndarray, cheap: np.ndarray, dear: np.ndarray) -> float:
    """Over rows one by one: the top half by score, the middle row by half where the count is odd."""
    gain = (dear - cheap)[np.argsort(-scores, kind="stable")]
    sent = np.clip(len(gain) / 2 - np.arange(len(gain)), 0, 1)
    return float((sent @ gain - gain.sum() / 2) / len(gain))


def brute_force(
    scores: np.ndarray, outcomes: np.ndarray, cheap: int, rows: np.ndarray
) -> tuple[float, float]:
    """APGR by the curve's own integration and gain at half, of rows that may repeat."""
    order = (scores[:, -1] - scores[:, cheap])[rows]
    low, high = outcomes[rows, cheap], outcomes[rows, -1]
    apgr = GapRecovery(order, low, high).figures(np.ones((1, len(rows))))[0, 0]
    return float(apgr), gain_at_half(order, low, high)


def test_a_scorer_less_itself_is_exactly_nothing(outcomes: np.ndarray, bootstrap: Bootstrap) -> None:
    scores = noisy(outcomes, 1.0, 2)
    for found in difference(scores, scores.copy(), outcomes, bootstrap):
        assert (found.apgr, found.apgr_interval) == (0.0, (0.0, 0.0))
        assert (found.gain_at_half, found.gain_at_half_interval) == (0.0, (0.0, 0.0))


def test_differences_are_those_of_a_brute_force_bootstrap(outcomes: np.ndarray, bootstrap: Bootstrap) -> None:
    better, worse = noisy(outcomes, 0.7, 2), noisy(outcomes, 2.0, 4)
    found = difference(better, worse, outcomes, bootstrap)
    draws = [
        np.repeat(np.arange(ROWS), w[bootstrap.group_of].astype(int))
        for part in bootstrap.weights()
        for w in part
    ]
    for cheap, one in enumerate(found):
        own = np.subtract(*(brute_force(s, outcomes, cheap, np.arange(ROWS)) for s in (better, worse)))
        drawn = np.array(
            [np.subtract(*(brute_force(s, outcomes, cheap, rows) for s in (better, worse))) for rows in draws]
        )
        assert (one.apgr, one.gain_at_half) == pytest.approx(own.tolist())
        assert one.apgr_interval == pytest.approx(bootstrap.interval(drawn[:, 0]))
        assert one.gain_at_half_interval == pytest.approx(bootstrap.interval(drawn[:, 1]))


def test_differences_turn_round_with_the_scorers(outcomes: np.ndarray, bootstrap: Bootstrap) -> None:
    one, other = noisy(outcomes, 0.7, 2), noisy(outcomes, 2.0, 4)
    there, back = (difference(a, b, outcomes, bootstrap)[0] for a, b in ((one, other), (other, one)))
    assert there.apgr == pytest.approx(-back.apgr)
    assert there.apgr_interval == pytest.approx((-back.apgr_interval[1], -back.apgr_interval[0]))


def test_pairing_narrows_the_interval_of_like_scorers(
    outcomes: np.ndarray, bootstrap: Bootstrap, ladder: Ladder
) -> None:
    scores = noisy(outcomes, 0.7, 2)
    like = difference(
        scores, scores + np.random.default_rng(5).normal(0, 0.05, scores.shape), outcomes, bootstrap
    )
    alone = rank({"router": scores}, outcomes, ladder, bootstrap)
    widths = [low_high[1] - low_high[0] for low_high in (like[0].apgr_interval, alone[0].apgr_interval)]
    assert widths[0] < widths[1] / 3


def test_every_scorer_is_ranked_on_every_pair_against_the_first(
    outcomes: np.ndarray, bootstrap: Bootstrap, ladder: Ladder
) -> None:
    scores = {"router": noisy(outcomes, 0.7, 2), "noise": noisy(0 * outcomes, 1.0, 4), "oracle": outcomes}
    found = rank(scores, outcomes, ladder, bootstrap)
    assert [(one.scorer, one.cheap, one.dear) for one in found] == [
        (scorer, cheap, "large") for cheap in ("small", "medium") for scorer in scores
    ]
    pairs = difference(scores["router"], scores["noise"], outcomes, bootstrap)
    assert [one.router_less_it for one in found if one.scorer == "noise"] == pairs
    for one in found:
        assert one.apgr_interval[0] <= one.apgr <= one.apgr_interval[1]
        mixed = outcomes[:, [("small", "medium").index(one.cheap), 2]].mean()
        assert one.accuracy_at_half == pytest.approx(mixed + one.gain_at_half)
    best = {one.cheap: one.apgr for one in found if one.scorer == "oracle"}
    assert all(one.apgr <= best[one.cheap] + 1e-12 for one in found)


def test_tiers_that_do_equally_well_have_no_ranking(bootstrap: Bootstrap, ladder: Ladder) -> None:
    same = np.tile(np.random.default_rng(6).integers(2, size=(ROWS, 1)), 3).astype(np.float64)
    (first, _) = rank({"router": noisy(same, 1.0, 2)}, same, ladder, bootstrap)
    assert np.isnan(first.apgr)
    assert np.isnan(first.apgr_interval).all()
    assert first.gain_at_half == pytest.approx(0.0)


@pytest.fixture
def compared(outcomes: np.ndarray, bootstrap: Bootstrap, ladder: Ladder) -> Comparison:
    """A router that knows the answers, at every dial, among constants whose costs are far apart."""
    labels = Labels(outcomes, outcomes, np.tile([0.001, 0.01, 0.1], (ROWS, 1)), np.ones(ROWS), np.ones(3))
    chosen = np.tile(outcomes.argmax(axis=1)[:, None], (1, len(DIALS)))
    decided = np.ones(len(DIALS), bool)
    judged = Judged(outcomes, outcomes, chosen, decided, labels, np.arange(ROWS), np.array([0.01, 0.1, 1.0]))
    dials = judge(judged, ladder, 200, 0.95, 0).dials
    bought = at_costs(dials, labels, np.arange(ROWS) % 4)
    return Comparison(
        rank({"router": outcomes}, outcomes, ladder, bootstrap), bought, {"minilm": "is absent"}
    )


def test_what_a_cost_buys_rises_with_what_is_known(compared: Comparison, outcomes: np.ndarray) -> None:
    assert [(one.dial, one.value) for one in compared.at_costs] == list(DIALS)
    for one in compared.at_costs:
        assert one.constant <= one.mix <= one.task_oracle + 1e-9
        assert one.task_oracle <= one.query_oracle + 1e-9
        assert one.router == pytest.approx(one.query_oracle)
        assert one.router == pytest.approx(outcomes.max(axis=1).mean())
        assert one.constant in outcomes.mean(axis=0)


def test_the_table_names_scorers_bounds_and_what_was_not_run(compared: Comparison) -> None:
    page = render_comparison(compared)
    for words in (
        "small to large",
        "router less it",
        "upper bounds",
        "best mix",
        "not run: minilm: is absent",
    ):
        assert words in page
    assert f"{compared.rankings[0].apgr:.3f} [" in page
