import numpy as np
import pytest

from router_model.errors import DataError
from router_model.training.evaluation.outcome_model import predict_rewards

ROWS = 300
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(ROWS, 4))
TRUE = np.stack([INPUTS[:, 0], 10 - INPUTS[:, 1]], axis=1)  # [N, 2]
SEEN = np.where(RANDOM.random((ROWS, 2)) < 0.5, TRUE, np.nan)


def test_it_learns_each_tiers_reward_from_the_rows_that_show_it() -> None:
    predicted = predict_rewards(INPUTS, SEEN, np.arange(ROWS), 0)
    for tier in range(2):
        assert np.corrcoef(predicted[:, tier], TRUE[:, tier])[0, 1] > 0.95
        assert np.nanmin(SEEN[:, tier]) <= predicted[:, tier].min()
        assert predicted[:, tier].max() <= np.nanmax(SEEN[:, tier])


def test_a_group_is_predicted_without_its_own_rewards() -> None:
    groups = np.arange(ROWS) // 3
    changed = SEEN.copy()
    changed[:3] = 1e6
    before, after = (predict_rewards(INPUTS, rewards, groups, 0) for rewards in (SEEN, changed))
    np.testing.assert_array_equal(before[:3], after[:3])
    assert (before[3:] != after[3:]).any()


def test_few_rows_give_a_mean_and_none_the_mean_of_all() -> None:
    rewards = np.full((40, 3), np.nan)
    rewards[:, 0] = 1.0
    rewards[:10, 1] = 3.0
    predicted = predict_rewards(INPUTS[:40], rewards, np.arange(40), 0)
    np.testing.assert_allclose(predicted[:, 0], 1.0)
    np.testing.assert_allclose(predicted[:, 1], 3.0)
    assert (predicted[:, 2] > 1).all()
    assert (predicted[:, 2] < 3).all()
    assert (predict_rewards(INPUTS[:4], np.full((4, 2), np.nan), np.arange(4), 0) == 0).all()


def test_one_group_cannot_be_predicted_from_others() -> None:
    with pytest.raises(DataError, match="cannot be split"):
        predict_rewards(INPUTS, SEEN, np.zeros(ROWS, np.int64), 0)
