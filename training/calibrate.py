"""Logits to calibrated probabilities: a scale and an offset per tier (Platt 1999), from held-out rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
PRIOR_DEVIATION = 10.0  # of the shared scale and the offsets: hardly any
MIN_SCALE = 0.05  # a router's ordering is never turned round, nor quite erased, by a handful of rows


@dataclass(frozen=True)
class Calibration:
    """``sigmoid(scale * logit + offset)`` is the calibrated probability; both float64 [K]."""

    scale: Floats
    offset: Floats

    def __call__(self, logits: Floats) -> Floats:
        """Probabilities float64 [N, K] of logits [N, K]."""
        probabilities: Floats = 1 / (1 + np.exp(-np.clip(self.scale * logits + self.offset, -40, 40)))
        return probabilities


def calibrate(logits: Floats, sufficient: Floats) -> Calibration:
    """Fit on held-out logits [N, K] and targets [N, K] in [0, 1], NaN unknown.

    A tier that was always, or never, sufficient gets its smoothed rate for every prompt.
    """
    scale, offset = np.ones(logits.shape[1]), np.zeros(logits.shape[1])
    for k in range(logits.shape[1]):
        known = ~np.isnan(sufficient[:, k])
        x, y = logits[known, k], sufficient[known, k]
        if not known.any():
            continue
        if y.min() == y.max():
            scale[k], offset[k] = 0.0, np.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5))
            continue
        inputs, hard, weight = _hard(x[:, None], y)
        model = LogisticRegression(C=1e4, max_iter=1000).fit(inputs, hard, weight)
        scale[k] = max(float(model.coef_[0, 0]), MIN_SCALE)
        offset[k] = _offset(x * scale[k], y) if scale[k] == MIN_SCALE else float(model.intercept_[0])
    return Calibration(scale, offset)


def calibrate_together(logits: Floats, sufficient: Floats, spread: float = 0.0) -> Calibration:
    """As ``calibrate``, with scales that keep together, so that what a tier has over another keeps its order.

    A scale for each tier, fitted on few prompts or on other prompts each, would turn it.

    Args:
        spread: standard deviation of the prior of a tier's scale around the one that all share; 0 makes them
            one. With thousands of rows the prior no longer matters.
    """
    known = ~np.isnan(sufficient)
    tier = np.nonzero(known)[1]  # [M], of each known target
    x, y = logits[known], sufficient[known]
    if len(np.unique(y)) < 2:
        return calibrate(logits, sufficient)
    tiers = logits.shape[1]
    one_hot = np.eye(tiers)[tier]  # [M, K]
    own = spread / PRIOR_DEVIATION * x[:, None] * one_hot  # [M, K]
    inputs = np.column_stack([x, one_hot, own] if spread else [x, one_hot])  # [M, 1 + K + K]
    inputs, hard, weight = _hard(inputs, y)
    model = LogisticRegression(C=PRIOR_DEVIATION**2, max_iter=1000, fit_intercept=False)
    weights = model.fit(inputs, hard, weight).coef_[0].astype(np.float64)
    scale = np.full(tiers, weights[0])
    if spread:
        scale = scale + spread / PRIOR_DEVIATION * weights[1 + tiers :]
    return Calibration(np.maximum(scale, MIN_SCALE), weights[1 : 1 + tiers])


def _hard(inputs: Floats, targets: Floats) -> tuple[Floats, Floats, Floats | None]:
    """Rows of 0 and 1 for targets between: such a row counts as both, by how much it is of each."""
    if np.isin(targets, (0.0, 1.0)).all():
        return inputs, targets, None
    both = np.concatenate([np.ones(len(targets)), np.zeros(len(targets))])
    return np.concatenate([inputs, inputs]), both, np.concatenate([targets, 1 - targets])


def _offset(logits: Floats, targets: Floats) -> float:
    """The offset that makes the mean probability the mean target, by bisection."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = float(np.mean(1 / (1 + np.exp(-np.clip(logits + middle, -40, 40)))))
        low, high = (middle, high) if mean < targets.mean() else (low, middle)
    return (low + high) / 2
