"""What training goes on from: written from a fitted network, and fitted to other tiers and prompts."""

import numpy as np
import torch
from numpy.typing import NDArray

from router_model.base import Base
from router_model.learned import Learned
from router_model.network import Network
from router_model.training.calibrate import Calibration

Floats = NDArray[np.float64]
LOOSENESS = 0.3  # variance of a coefficient's prior, around the start's own, on logits of deviation 1
TINY = 1e-6
NEWTON_STEPS = 30


@torch.no_grad()
def keep_learned(network: Network, calibration: Calibration, base: Base, source: str) -> Learned:
    """What ``network`` learnt on ``base``, with its calibration folded in; ``source`` says from what."""
    columns = network.table.shape[1]
    varied = network.feature_reach > 0  # [F]
    scale = torch.from_numpy(calibration.scale)  # [K]
    hidden = network.hidden.weight.clone()  # [H, D + F]
    hidden[:, columns:] *= varied
    says = hidden.norm(dim=1) * network.head.weight.norm(dim=0)  # [H]
    order = says.argsort(descending=True, stable=True)  # [H]
    bias = (network.head.bias + network.wide_features.bias) * scale + torch.from_numpy(calibration.offset)
    return Learned(
        token=_float32(network.token.weight[:, 0]),
        wide=_float32(network.wide.weight * scale),
        wide_features=_float32(network.wide_features.weight * scale[:, None] * varied),
        hidden=_float32(hidden[order]),
        hidden_bias=_float32(network.hidden.bias[order]),
        head=_float32(network.head.weight[:, order] * scale[:, None]),
        bias=_float32(bias),
        feature_mean=_float32(network.feature_mean),
        feature_deviation=_float32(network.feature_scale * varied),
        base=base.digest(),
        source=source,
    )


@torch.no_grad()
def refit_logits(network: Network, logits: NDArray[np.float64], targets: NDArray[np.float64]) -> None:
    """Make each tier's logit the linear combination of all tiers' that suits the targets best.

    A few hundred rows tell so much and hardly more: which of what was learnt elsewhere holds here, what is
    turned round, and what to forget. Without it, a start that is wrong for these prompts does harm.

    Args:
        logits: float64 [N, K], of the network as it is.
        targets: float64 [N, K], NaN unknown; a tier that was always, or never, sufficient stays as it is.
    """
    deviation = logits.std(axis=0) + TINY  # [K]
    mix, offset = np.eye(logits.shape[1]), np.zeros(logits.shape[1])  # [K, K], [K]
    for k, column in enumerate(targets.T):
        known = ~np.isnan(column)
        if len(np.unique(column[known])) < 2:
            continue
        weights = _near(logits[known] / deviation, column[known], mix[k] * deviation)
        mix[k], offset[k] = weights[:-1] / deviation, weights[-1]
    combined = torch.from_numpy(mix).float()  # [K, K]
    bias = combined @ (network.head.bias + network.wide_features.bias)  # [K]
    network.head.bias.copy_(bias + torch.from_numpy(offset).float())
    network.wide_features.bias.zero_()
    network.head.weight.copy_(combined @ network.head.weight)
    network.wide_features.weight.copy_(combined @ network.wide_features.weight)
    network.wide.weight.copy_(network.wide.weight @ combined.T)


def _near(inputs: Floats, targets: Floats, prior: Floats) -> Floats:
    """Logistic regression with a normal prior around ``prior``: [N, K], [N], [K] -> [K + 1].

    The intercept comes last. By Newton's method, in steps of at most 1: where a start is sure and wrong, a
    whole one would go too far.
    """
    known = np.column_stack([inputs, np.ones(len(inputs))])  # [N, K + 1]
    centre = np.append(prior, 0.0)
    precision = np.diag(np.append(np.full(len(prior), 1 / LOOSENESS), TINY))
    weights = centre.copy()
    for _ in range(NEWTON_STEPS):
        said = 1 / (1 + np.exp(-np.clip(known @ weights, -40, 40)))  # [N]
        slope = known.T @ (said - targets) + precision @ (weights - centre)
        step = np.linalg.solve((known.T * (said * (1 - said))) @ known + precision, slope)
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < TINY:
            break
    return weights


def _float32(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().numpy()
    return array
