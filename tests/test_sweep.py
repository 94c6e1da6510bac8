"""The line of a scorer: every penalty's point is the policy's own, whoever gives the scores."""

import numpy as np
import pytest

from router_model.data.labels import Labels
from router_model.policy.curve import OperatingPoint, Policy
from router_model.training.curve import penalty_grid
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.sweep import Sweep, sweep

ROWS, COST = 400, np.array([0.001, 0.004, 0.01])


@pytest.fixture(scope="module")
def labels() -> Labels:
    """Three tiers, each better than the last and dearer."""
    outcomes = (np.random.default_rng(0).random((ROWS, 3)) < (0.4, 0.6, 0.8)).astype(np.float64)
    return Labels(outcomes, outcomes, np.tile(COST, (ROWS, 1)), np.ones(ROWS), np.ones(3))


def swept(scores: np.ndarray, labels: Labels) -> Sweep:
    return sweep(scores, COST / COST[-1], labels, Bootstrap(np.arange(ROWS), 300, 0.95))


def test_each_point_is_what_the_policy_gives_at_its_penalty(labels: Labels) -> None:
    scores = labels.outcomes + np.random.default_rng(1).normal(0, 0.5, (ROWS, 3))
    line, relative = swept(scores, labels), COST / COST[-1]
    penalties = penalty_grid(scores, relative)
    policy_of = OperatingPoint("quality", 1.0, "router", 0.0, (1.0, 0.0, 0.0), 1, 1)
    for place in (0, len(penalties) // 2, len(penalties) - 1):
        point = OperatingPoint("quality", 1.0, "router", float(penalties[place]), (), 1, 1)
        chosen = Policy(relative.tolist(), [policy_of], ("quality", 1.0)).choose_batch(
            scores.astype(np.float32), point, ()
        )
        strongest = labels.outcomes[:, -1].mean()
        quality = labels.outcomes[np.arange(ROWS), chosen].mean() / strongest
        assert line.quality[place] == pytest.approx(quality, abs=0.01)
        assert line.cost[place] == pytest.approx(relative[chosen].mean(), abs=0.01)
    assert line.quality[-1] == pytest.approx(labels.outcomes[:, 0].mean() / strongest)  # always the cheapest
    assert line.cost[-1] == pytest.approx(0.1)
    assert (np.diff(line.cost) <= 1e-12).all()
    assert (line.quality_band[:, 0] <= line.quality).all()
    assert (line.quality <= line.quality_band[:, 1]).all()


def test_who_knows_more_runs_higher_and_a_constant_has_nothing_over_the_hull(labels: Labels) -> None:
    noise = np.random.default_rng(2).normal(size=(ROWS, 3))
    oracle, router, chance = (swept(s, labels) for s in (labels.outcomes, labels.outcomes + noise, noise))
    assert oracle.aiq > router.aiq > chance.aiq
    assert (oracle.gain >= -1e-12).all()
    middle = len(router.gain) // 2
    assert router.gain_band[middle, 0] > 0
    constant = swept(np.tile([0.4, 0.6, 0.8], (ROWS, 1)), labels)
    assert constant.gain == pytest.approx(0, abs=0.02)
