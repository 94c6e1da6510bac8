"""What a tier's answer to a request is worth or costs, predicted from logs of other requests.

It only steadies the doubly robust value: the weights keep that right where this model is wrong. A router's
own probabilities are no substitute: one that learnt from the same log has seen the very rows.

N: requests, C: covariates, K: tiers.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from router_model.data.split import folds

Floats = NDArray[np.float64]
FOLDS = 5
MIN_ROWS = 20  # of a tier, to learn more from than their mean
# Variance of the noise over that of each coefficient: what outcomes of 0 or 1 need, a tenth of whose variance
# the covariates explain. It predicts as well as a penalty by cross-validation, in a tenth of the time.
PENALTY = 20.0


def predict_rewards(inputs: Floats, rewards: Floats, groups: NDArray[np.int64], seed: int) -> Floats:
    """Cross-fitted predictions of every tier's reward, float64 [N, K], within the range of those seen.

    Ridge regression a tier, on the rows of other groups; the tier's mean where these are fewer than 20, and
    the mean of all tiers where there are none.

    Args:
        inputs: float64 [N, C], as ``training.propensity.covariates`` gives them.
        rewards: float64 [N, K]; NaN where the log shows none.
        groups: int64 [N].
        seed: of the folds.

    Raises:
        DataError: fewer than two groups.
    """
    fold_of = folds(groups, max(2, min(FOLDS, len(np.unique(groups)))), seed)
    known = ~np.isnan(rewards)
    predicted = np.empty_like(rewards)
    for fold in np.unique(fold_of):
        out, rest = fold_of == fold, fold_of != fold
        overall = rewards[rest][known[rest]].mean() if known[rest].any() else 0.0
        for tier in range(rewards.shape[1]):
            rows = rest & known[:, tier]
            predicted[out, tier] = _predict(inputs[rows], rewards[rows, tier], inputs[out], overall)
    return predicted


def _predict(seen: Floats, rewards: Floats, asked: Floats, otherwise: float) -> Floats | float:
    if not len(rewards):
        return otherwise
    if len(rewards) < MIN_ROWS:
        return float(rewards.mean())
    predicted: Floats = Ridge(PENALTY, solver="cholesky").fit(seen, rewards).predict(asked)
    return np.clip(predicted, rewards.min(), rewards.max())
