"""The judge: figures at each dial, pairs of tiers and constants, from labels worked out by hand."""

import dataclasses
import json

import numpy as np
import pytest

from router_model.data.labels import Labels
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.policy.curve import OperatingPoint
from router_model.training.evaluation.judge import DIALS, Evaluation, Judged, judge
from router_model.training.evaluation.table import render

PRICES = np.array([0.001, 0.01, 0.1])


def labels_of(outcomes: np.ndarray) -> Labels:
    return Labels(
        outcomes=outcomes,
        sufficient=(outcomes >= 0.5).astype(np.float64),
        cost_usd=np.tile(PRICES, (len(outcomes), 1)),
        input_tokens=np.ones(len(outcomes)),
        output_tokens=np.ones(3),
    )


def judged_of(outcomes: np.ndarray, probabilities: np.ndarray, chosen: np.ndarray) -> Judged:
    """The same choice at every dial, decided by the router at all dials but the first."""
    return Judged(
        probabilities=probabilities,
        scores=probabilities,
        chosen=np.tile(chosen[:, None], (1, len(DIALS))),
        by_router=np.arange(len(DIALS)) > 0,
        labels=labels_of(outcomes),
        groups=np.arange(len(outcomes)),
        relative_cost=PRICES / PRICES[-1],
    )


@pytest.fixture(scope="module")
def outcomes() -> np.ndarray:
    """A quarter needs each tier, and a quarter fails at all: [400, 3]."""
    return np.repeat([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]], 100, axis=0).astype(np.float64)


@pytest.fixture(scope="module")
def oracle(outcomes: np.ndarray, ladder: Ladder) -> Evaluation:
    """The cheapest sufficient tier for every row, and the cheapest where none is."""
    return judge(judged_of(outcomes, outcomes, outcomes.argmax(axis=1)), ladder, 300, 0.95, 0)


def test_an_oracle_has_the_strongest_tiers_quality_at_its_own_cost(oracle: Evaluation) -> None:
    dial = oracle.dials[1]
    assert dial.accuracy == pytest.approx(0.75)
    assert dial.quality == pytest.approx(1.0)
    paid = (2 * 0.001 + 0.01 + 0.1) / 4
    assert dial.cost == pytest.approx(paid / 0.1)
    assert dial.cost_usd_per_1000 == pytest.approx(1000 * paid)
    assert dial.shares == {"small": 0.5, "medium": 0.25, "large": 0.25}


def test_the_gain_is_over_the_mix_of_the_same_cost(oracle: Evaluation) -> None:
    paid = (2 * 0.001 + 0.01 + 0.1) / 4
    mixed = 0.5 + 0.25 * (paid - 0.01) / 0.09  # of medium and large
    assert oracle.dials[1].gain_over_mix == pytest.approx(0.75 - mixed)
    assert oracle.dials[1].gain_over_mix_interval[0] > 0


def test_a_constant_gains_nothing_over_the_mix(outcomes: np.ndarray, ladder: Ladder) -> None:
    constant = judge(judged_of(outcomes, outcomes, np.full(400, 1)), ladder, 300, 0.95, 0)
    for dial in constant.dials:
        assert dial.gain_over_mix == pytest.approx(0.0)
        assert dial.gain_over_mix_interval == pytest.approx((0.0, 0.0))
        assert dial.cost_interval == pytest.approx((0.1, 0.1))


def test_every_dial_is_judged_and_says_who_decided(oracle: Evaluation) -> None:
    assert [(dial.dial, dial.value) for dial in oracle.dials] == list(DIALS)
    assert [dial.by_router for dial in oracle.dials] == [False] + [True] * (len(DIALS) - 1)
    assert (oracle.rows, oracle.groups, oracle.confidence) == (400, 400, 0.95)


def test_intervals_hold_their_figures(oracle: Evaluation) -> None:
    for dial in oracle.dials:
        assert dial.accuracy_interval[0] < dial.accuracy < dial.accuracy_interval[1]
        assert dial.cost_interval[0] < dial.cost < dial.cost_interval[1]
    for pair in oracle.pairs:
        assert pair.apgr_interval[0] <= pair.apgr <= pair.apgr_interval[1]


def test_pairs_rank_each_cheaper_tier_against_the_strongest(oracle: Evaluation) -> None:
    assert [(pair.cheap, pair.dear) for pair in oracle.pairs] == [("small", "large"), ("medium", "large")]
    # Of the 400, 200 gain by large over small, all ranked first: recovered by half the prompts.
    assert oracle.pairs[0].apgr == pytest.approx(0.75)
    assert oracle.pairs[0].cpt50 == pytest.approx(0.25)
    assert oracle.pairs[1].apgr == pytest.approx(0.875)
    assert oracle.pairs[1].cpt80 == pytest.approx(0.2)


def test_constants_have_their_tiers_figures(oracle: Evaluation) -> None:
    assert [constant.accuracy for constant in oracle.constants] == [0.25, 0.5, 0.75]
    assert [constant.cost for constant in oracle.constants] == pytest.approx([0.01, 0.1, 1.0])
    assert [constant.brier for constant in oracle.constants] == [0.0, 0.0, 0.0]


def test_scores_order_prompts_where_they_differ_from_probabilities(
    outcomes: np.ndarray, ladder: Ladder
) -> None:
    told = judged_of(outcomes, np.full((400, 3), 0.5), np.zeros(400, np.int64))
    by_scores = dataclasses.replace(told, scores=outcomes)
    assert judge(by_scores, ladder, 200, 0.95, 0).pairs[0].apgr == pytest.approx(0.75)
    assert judge(told, ladder, 200, 0.95, 0).pairs[0].apgr == pytest.approx(0.5, abs=0.1)


def test_choices_are_those_of_the_curves_policy(outcomes: np.ndarray) -> None:
    curve = [
        OperatingPoint("quality", 1.0, "router", 0.0, (0.5, 0.25, 0.25), 1.0, 0.3),
        OperatingPoint("budget", 0.1, "fixed", 0.0, (0.0, 1.0, 0.0), 0.6, 0.1),
    ]
    texts = [f"prompt {row}" for row in range(400)]
    judged = Judged.by_curve((0.01, 0.1, 1.0), curve, outcomes, labels_of(outcomes), np.arange(400), texts)
    quality = DIALS.index(("quality", 0.95))
    budget = DIALS.index(("budget", 0.5))
    assert judged.chosen[:, quality].tolist() == outcomes.argmax(axis=1).tolist()
    assert set(judged.chosen[:, budget]) == {1}
    assert judged.by_router.tolist() == [dial == "quality" for dial, _ in DIALS]


def test_the_regret_of_the_oracle_is_nothing(oracle: Evaluation) -> None:
    for dial in oracle.dials:
        assert (dial.regret, dial.regret_interval) == (0.0, (0.0, 0.0))


def test_regret_is_what_the_oracle_has_more(outcomes: np.ndarray, ladder: Ladder) -> None:
    constant = judge(judged_of(outcomes, outcomes, np.full(400, 1)), ladder, 300, 0.95, 0)
    for dial in constant.dials:
        assert dial.regret == pytest.approx(0.25)
        assert dial.regret == pytest.approx(constant.oracle.accuracy - dial.accuracy)
        assert dial.regret_interval[0] < 0.25 < dial.regret_interval[1]


def test_the_oracle_takes_the_cheapest_of_the_best_tiers(outcomes: np.ndarray, ladder: Ladder) -> None:
    found = judge(judged_of(outcomes, outcomes, np.zeros(400, np.int64)), ladder, 300, 0.95, 0).oracle
    paid = (2 * 0.001 + 0.01 + 0.1) / 4
    assert found.accuracy == pytest.approx(0.75)
    assert found.cost == pytest.approx(paid / 0.1)
    assert found.cost_usd_per_1000 == pytest.approx(1000 * paid)
    assert found.accuracy_interval[0] < 0.75 < found.accuracy_interval[1]
    assert found.cost_interval[0] < paid / 0.1 < found.cost_interval[1]


def test_probabilities_that_are_the_truth_have_no_risk(oracle: Evaluation) -> None:
    assert [(constant.aurc, constant.excess_aurc) for constant in oracle.constants] == [(0.0, 0.0)] * 3


def test_tiers_that_do_equally_well_have_no_ranking_and_still_a_table(ladder: Ladder) -> None:
    same = np.tile([[0.0], [1.0]], (30, 3))
    found = judge(judged_of(same, same, np.zeros(60, np.int64)), ladder, 200, 0.95, 0)
    assert np.isnan(found.pairs[0].apgr)
    assert "nan" in render(found)


def test_the_table_names_every_tier_dial_and_pair(oracle: Evaluation) -> None:
    page = render(oracle)
    for words in ("quality=0.95", "budget=0.5", "always medium", "small to large", "fixed by the guard"):
        assert words in page
    for words in ("query oracle", "regret", "AIQ", "hull of constants", "AURC", "E-AURC", "P(medium)"):
        assert words in page
    assert "400 rows in 400 groups, 95% intervals" in page


def test_an_evaluation_is_small_and_plain(oracle: Evaluation) -> None:
    text = json.dumps(dataclasses.asdict(oracle))
    assert json.loads(text)["aiq"]["router"] == oracle.aiq.router
    assert len(text) < 16_000


def test_no_row_that_knows_every_tier_is_refused(ladder: Ladder) -> None:
    none = np.zeros((0, 3))
    with pytest.raises(DataError, match="no row tells how every tier"):
        judge(judged_of(none, none, np.zeros(0, np.int64)), ladder, 200, 0.95, 0)
