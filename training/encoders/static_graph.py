"""The static network to an ONNX graph: pooling is linear, so the first layer folds into the token table.

The folded table [V, 64] holds, for each token, its weight times its addend to the hidden layer's input and to
each tier's logit. Two columns a tier carry the wide part past the ReLU, which shifted by so much that it is
positive passes through unchanged: so one table, one sum and one head do the work of both parts.

Quantised, the table is int8 with a step per column. The wide part goes straight to the logits, where a step
would show: its second column holds what rounding the first left out. ONNX Runtime sums int8 rows fastest as
a product of integers with ones, which saturates on no processor.

A decision costs more by the number of nodes than by their arithmetic, so the graph has few:

- The sum becomes a mean in one node. The last column sums the token weights times a factor
  so large that it is the row's length to within 1e-6; ``LpNormalization`` divides by that length, and
  the next product multiplies by the factor again. A row without tokens stays zero.
- A ``Gemm`` and a ``HardSigmoid``, which ONNX Runtime runs as one node, standardise and clip the features;
  a column of ones beside them brings the bias.

V: ids of tokens and pairs, B: prompts, T: tokens, F: features, K: tiers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from router_model.network import PAD, WIDTH, Network
from router_model.training.calibrate import Calibration
from router_model.training.export import model

DOMINANCE = 1000  # of the total of the weights over the longest row
MAX_SHIFT = 32.0  # logits: of a wide part below -32 the tier's probability is 0 to 13 digits
WIDE_COLUMNS = 0.1  # their mean in the embedding, whose likeness the hidden units are to decide

Floats = NDArray[np.float32]
Part = tuple[list[onnx.NodeProto], dict[str, Any]]  # nodes, and their constants by name


@dataclass(frozen=True)
class Folded:
    """The network as the graph computes it.

    Attributes:
        table: float32 [V, 64], the last column the weight times ``dominant``; the pad's row is 0.
        dominant: ``DOMINANCE`` times the length of the longest row, before it was weighted.
        feature_matrix: float32 [F, F + 1], to features standardised into [0, 1] and a column of ones.
        feature_offset: float32 [F + 1].
        known: float32 [F + 1, 64], what the features add to the mean; the last row is the bias.
        head: float32 [64, K], calibrated.
        head_bias: float32 [K].
    """

    table: Floats
    dominant: float
    feature_matrix: Floats
    feature_offset: Floats
    known: Floats
    head: Floats
    head_bias: Floats


@torch.no_grad()
def fold(network: Network, calibration: Calibration) -> Folded:
    """The network and its calibration as one table, two matrices of features and one head."""
    columns = network.table.shape[1]
    hidden = network.hidden.weight.double()  # [H, D + F]
    wide = network.wide.weight.double()  # [V, K]
    deep = torch.zeros(len(wide), len(hidden), dtype=torch.float64)  # [V, H], 0 for pairs
    deep[: len(network.table)] = network.table.double() @ hidden[:, :columns].T
    weight = network.token.weight.double().exp().squeeze(1)  # [V]
    weight[PAD] = 0.0
    factor = torch.from_numpy(calibration.scale)  # [K]
    shift = _shift(network)  # [K]
    shrink = WIDE_COLUMNS / shift  # [K]
    pass_on = torch.diag(1 / shrink)  # [K, K]
    unused = torch.zeros(len(factor), 1, dtype=torch.float64)  # [K, 1], of the total
    head = torch.cat([network.head.weight.double(), pass_on, pass_on, unused], dim=1)  # [K, 64]
    head_bias = network.head.bias.double() - 2 * shift  # [K]
    addend = torch.cat([deep, shrink * wide, torch.zeros_like(wide)], dim=1)  # [V, 63]
    dominant = DOMINANCE * max(1.0, float(addend.norm(dim=1).max()))
    total = torch.zeros(len(addend), 1, dtype=torch.float64)  # [V, 1]
    total[: len(network.table)] = dominant
    table = weight[:, None] * torch.cat([addend, total], dim=1)  # [V, 64]
    feature_matrix, feature_offset, known = _fold_features(network, shift, dominant)
    return Folded(
        table=_float32(table),
        dominant=dominant,
        feature_matrix=_float32(feature_matrix),
        feature_offset=_float32(feature_offset),
        known=_float32(known),
        head=_float32((head * factor[:, None]).T),
        head_bias=_float32(head_bias * factor + torch.from_numpy(calibration.offset)),
    )


def _shift(network: Network) -> torch.Tensor:
    """How far below 0 each tier's wide part can be, float64 [K]: the less, the less rounding it costs."""
    features = network.wide_features.weight.double().abs() @ network.feature_reach.double()  # [K]
    addends = network.wide.weight.double().abs().amax(dim=0)  # [K]
    # Pairs add to the sum and not to the total that divides it, so a mean may pass the largest addend.
    lowest = 4 * addends + features + network.wide_features.bias.double().abs()  # [K]
    return lowest.clamp(0.1, MAX_SHIFT)


def _fold_features(
    network: Network, shift: torch.Tensor, dominant: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``feature_matrix``, ``feature_offset`` and ``known``: a reach below the mean is 0, as far above 1."""
    columns, features = network.table.shape[1], len(network.feature_mean)
    reach = network.feature_reach.double()  # [F]
    slope = torch.where(reach > 0, 1 / (2 * network.feature_scale.double() * reach), 0.0)  # [F]
    matrix = torch.zeros(features, features + 1, dtype=torch.float64)  # [F, F + 1]
    matrix[:, :features] = torch.diag(slope)
    offset = torch.cat([0.5 - network.feature_mean.double() * slope, torch.ones(1, dtype=torch.float64)])
    shrink = WIDE_COLUMNS / shift  # [K]
    wide = shrink[:, None] * network.wide_features.weight.double()  # [K, F]
    weights = torch.cat(
        [network.hidden.weight.double()[:, columns:], wide, torch.zeros_like(wide)]
    )  # [63, F]
    wide_bias = shrink * network.wide_features.bias.double() + WIDE_COLUMNS  # [K]
    rest_bias = torch.full_like(wide_bias, WIDE_COLUMNS)  # [K]
    bias = torch.cat([network.hidden.bias.double(), wide_bias, rest_bias]) - weights @ reach  # [63]
    known = torch.zeros(features + 1, WIDTH, dtype=torch.float64)  # [F + 1, 64]
    known[:features, :-1] = (2 * weights * reach).T
    known[-1, :-1] = bias
    known[-1, -1] = -2 * dominant  # so that the total ends at the ReLU
    return matrix, offset, known


def float_graph(folded: Folded) -> bytes:
    """The graph in float32: exact, and four times the size."""
    return joined(folded, float_sum(folded, "token_ids"), decision(folded, "head_bias"))


def int8_graph(folded: Folded) -> bytes:
    """The graph with the table in int8, summed in integers."""
    return joined(folded, int8_sum(folded, "token_ids"), decision(folded, "head_bias"))


def float_sum(folded: Folded, ids: str) -> Part:
    """From ``ids`` [B, T] to "sum" [B, 64], its last column the total."""
    nodes = [
        helper.make_node("Gather", ["table", ids], ["rows"]),  # [B, T, 64]
        helper.make_node("ReduceSum", ["rows", "one"], ["sum"], keepdims=0),  # [B, 64]
    ]
    return nodes, {"table": folded.table, "one": np.array([1], np.int64)}


def int8_sum(folded: Folded, ids: str) -> Part:
    """As ``float_sum``, with the table in int8, summed in integers."""
    tiers = len(folded.head_bias)
    first, rest = slice(-1 - 2 * tiers, -1 - tiers), slice(-1 - tiers, -1)
    table, step = quantised(folded.table)  # [V, 64], [64]
    table[:, rest], step[rest] = quantised(folded.table[:, first] - table[:, first] * step[first])
    # A text of light tokens alone has a mean all the same.
    table[:, -1] = np.where(folded.table[:, -1] > 0, np.maximum(table[:, -1], 1), 0)
    nodes = [
        helper.make_node("Gather", ["table", ids], ["rows"]),  # int8 [B, T, 64]
        helper.make_node("Clip", [ids, "none", "one_token"], ["present"]),  # int32 [B, T]
        helper.make_node("Cast", ["present"], ["ones"], to=TensorProto.UINT8),  # uint8 [B, T]
        helper.make_node("Unsqueeze", ["ones", "one"], ["ones_row"]),  # uint8 [B, 1, T]
        helper.make_node("MatMulInteger", ["ones_row", "rows"], ["integer_row"]),  # int32 [B, 1, 64]
        helper.make_node("Squeeze", ["integer_row", "one"], ["integer"]),  # int32 [B, 64]
        helper.make_node("DequantizeLinear", ["integer", "step"], ["sum"], axis=1),  # [B, 64]
    ]
    return nodes, {
        "table": table,
        "step": step,
        "none": np.array(0, np.int32),
        "one_token": np.array(1, np.int32),
        "one": np.array([1], np.int64),
    }


def quantised(table: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Rows [V, N] in steps of each column, and the steps [N]."""
    step = np.maximum(np.abs(table).max(axis=0), 1e-12) / 127  # [N]
    return np.rint(table / step).astype(np.int8), step


def decision(folded: Folded, bias: str) -> Part:
    """From "sum" [B, 64] and "features" to the outputs; ``bias`` [K] or [B, K] is added to the logits."""
    nodes = [
        helper.make_node("LpNormalization", ["sum"], ["mean"], p=2),  # [B, 64], over the factor
        helper.make_node("Gemm", ["features", "feature_matrix", "feature_offset"], ["line"]),  # [B, F + 1]
        helper.make_node("HardSigmoid", ["line"], ["clipped"], alpha=1.0, beta=0.0),  # [B, F + 1]
        helper.make_node("Gemm", ["clipped", "known", "mean"], ["joined"], beta=folded.dominant),  # [B, 64]
        helper.make_node("Relu", ["joined"], ["embedding"]),  # [B, 64]
        helper.make_node("Gemm", ["embedding", "head", bias], ["logits"]),  # [B, K]
        helper.make_node("Sigmoid", ["logits"], ["sufficiency"]),  # [B, K]
    ]
    return nodes, {
        "feature_matrix": folded.feature_matrix,
        "feature_offset": folded.feature_offset,
        "known": folded.known,
        "head": folded.head,
        "head_bias": folded.head_bias,
    }


def joined(folded: Folded, *parts: Part) -> bytes:
    """The graph of all nodes in turn."""
    nodes = [node for part, _ in parts for node in part]
    constants = {name: value for _, part in parts for name, value in part.items()}
    width, tiers = folded.head.shape
    return model(nodes, constants, len(folded.feature_matrix), tiers, width)


def _float32(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor.float().numpy()
    return array
