"""Calibration recovers what bent the logits, and never turns an order round."""

import numpy as np
import pytest
import torch

from router_model.training.calibrate import calibrate
from router_model.training.module import masked_loss

RANDOM = np.random.default_rng(0)


def targets_of(logits: np.ndarray) -> np.ndarray:
    return (RANDOM.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)


def test_a_known_scale_and_offset_are_recovered() -> None:
    logits = RANDOM.normal(0, 2, (20_000, 1))
    found = calibrate(logits, targets_of(0.5 * logits + 1.0))
    assert found.scale[0] == pytest.approx(0.5, abs=0.05)
    assert found.offset[0] == pytest.approx(1.0, abs=0.1)


def test_an_order_is_never_turned_round() -> None:
    logits = RANDOM.normal(0, 2, (500, 1))
    found = calibrate(logits, targets_of(-logits))
    assert found.scale[0] > 0
    ordered = found(np.sort(logits, axis=0))[:, 0]
    assert (np.diff(ordered) >= 0).all()


def test_one_class_gives_its_smoothed_rate() -> None:
    found = calibrate(RANDOM.normal(0, 2, (99, 1)), np.ones((99, 1)))
    assert found(np.array([[-5.0], [5.0]]))[:, 0] == pytest.approx([0.995, 0.995])


def test_unknown_targets_are_left_out() -> None:
    logits = RANDOM.normal(0, 2, (5000, 1))
    targets = targets_of(logits)
    targets[::2] = np.nan
    assert calibrate(logits, targets).scale[0] == pytest.approx(1.0, abs=0.15)


def test_a_target_that_is_unknown_gives_no_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    nan = float("nan")
    masked_loss(logits, torch.tensor([[1.0, nan, 0.0], [nan, nan, nan]])).backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [[True, False, True], [False, False, False]]
