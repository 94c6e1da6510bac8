"""A network to an ONNX graph: pooling is linear, so the first layer folds into the token table.

The folded table A [V, 128] holds, for each token, its addend to the hidden layer's input, to each tier's
logit, and to the negative of each logit: past the ReLU, relu(x) - relu(-x) gives the wide part back, so
that one table, one product and one head do the work of both. Quantised, A is int8 with a step per column
and the token weights are 1 to 127, so that neither saturates where VNNI is missing.

A decision costs more by the number of nodes than by their arithmetic, so the graph has few:

- The weighted sum becomes a mean in one node. The last column sums the token weights times a factor
  so large that it is the row's length to within 1e-6; ``LpNormalization`` divides by that length, and
  the next product multiplies by the factor again. A row without tokens stays zero.
- A ``Gemm`` and a ``HardSigmoid``, which ONNX Runtime runs as one node, standardise and clip the features;
  a column of ones beside them brings the bias.

V: vocabulary, B: prompts, T: tokens, F: features, K: tiers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from router_model.errors import ExportError
from router_model.network import PAD, WIDTH, Network
from router_model.session import Session
from router_model.training.calibrate import Calibration
from router_model.training.dataset import Encoded
from router_model.training.fit import predict

OPSET, IR_VERSION = 17, 8  # of 2022: read by every ONNX Runtime from 1.12
MAX_WEIGHT = 127  # above, products of uint8 and int8 may saturate on processors without VNNI
DOMINANCE = 1000  # of the total of the weights over the longest row
FLOAT_TOLERANCE = 1e-4
INT8_TOLERANCE = 0.02
ORDER_TOLERANCE = 0.005  # of APGR
CHECKED_ROWS = 2000
BLOCK_ROWS = 128

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Folded:
    """The network as the graph computes it.

    Attributes:
        table: float32 [V, 127]; the graph's last column is the total of the weights.
        weight: float32 [V], of each token in the mean; 0 for the pad.
        dominant: the factor of the total, ``DOMINANCE`` times the length of the table's longest row.
        feature_matrix: float32 [F, F + 1], to features standardised into [0, 1] and a column of ones.
        feature_offset: float32 [F + 1].
        known: float32 [F + 1, 128], what the features add to the mean; the last row is the bias.
        head: float32 [128, K], calibrated.
        head_bias: float32 [K].
    """

    table: Floats
    weight: Floats
    dominant: float
    feature_matrix: Floats
    feature_offset: Floats
    known: Floats
    head: Floats
    head_bias: Floats


@dataclass(frozen=True)
class Exported:
    """A checked graph.

    Attributes:
        graph: the ONNX model's bytes, without metadata.
        precision: "int8", or "float32" where int8 lost too much.
        checks: the largest differences that were found.
    """

    graph: bytes
    precision: str
    checks: dict[str, float]


def export(
    network: Network, calibration: Calibration, encoded: Encoded, ranked: list[tuple[int, int]]
) -> Exported:
    """Export and check on up to 2,000 rows of ``encoded``.

    Args:
        ranked: pairs of tiers whose ordering of prompts int8 must keep.

    Raises:
        ExportError: the float graph differs from the network by more than 1e-4.
    """
    folded = fold(network, calibration)
    rows = np.linspace(0, len(encoded) - 1, min(len(encoded), CHECKED_ROWS)).astype(np.int64)
    expected = calibration(predict(network, encoded, rows))
    graph = float_graph(folded)
    exact = run(graph, encoded, rows)
    float_error = float(np.abs(exact - expected).max())
    if not float_error <= FLOAT_TOLERANCE:
        raise ExportError(
            f"the float graph differs from the network by {float_error:.2g}, above {FLOAT_TOLERANCE:g}; "
            "report this with the versions of torch and onnxruntime"
        )
    small = int8_graph(folded)
    rounded = run(small, encoded, rows)
    checks = {
        "float_error": float_error,
        "int8_error": float(np.abs(rounded - exact).max()),
        "int8_order": max(order_loss(exact, rounded, pair) for pair in ranked),
    }
    kept = checks["int8_error"] <= INT8_TOLERANCE and checks["int8_order"] <= ORDER_TOLERANCE
    return Exported(small, "int8", checks) if kept else Exported(graph, "float32", checks)


def order_loss(exact: NDArray[np.float64], rounded: NDArray[np.float64], pair: tuple[int, int]) -> float:
    """How much APGR the rounded ordering loses, were the exact probabilities the truth: [N, K], [N, K]."""
    cheap, dear = pair
    gain = exact[:, dear] - exact[:, cheap]
    total = gain.sum()
    if abs(total) < 1e-9:
        return 0.0
    areas = []
    for scores in (gain, rounded[:, dear] - rounded[:, cheap]):
        recovered = np.cumsum(gain[np.argsort(-scores, kind="stable")]) / total
        areas.append(float(recovered.mean()))
    return areas[0] - areas[1]


@torch.no_grad()
def fold(network: Network, calibration: Calibration) -> Folded:
    """The network and its calibration as one table, two matrices of features and one head."""
    columns = network.table.shape[1]
    hidden = network.hidden.weight.double()  # [H, D + F]
    wide = network.wide.weight.double()  # [V, K]
    deep = network.table.double() @ hidden[:, :columns].T  # [V, H]
    weight = network.token.weight.double().exp().squeeze(1)  # [V]
    weight[PAD] = 0.0
    identity = torch.eye(network.head.out_features, dtype=torch.float64)  # [K, K]
    unused = torch.zeros(len(identity), 1, dtype=torch.float64)  # [K, 1], of the total
    head = torch.cat([network.head.weight.double(), identity, -identity, unused], dim=1)  # [K, 128]
    factor = torch.from_numpy(calibration.scale)  # [K]
    offset = torch.from_numpy(calibration.offset)  # [K]
    table = torch.cat([deep, wide, -wide], dim=1)  # [V, 127]
    dominant = DOMINANCE * max(1.0, float(table.norm(dim=1).max()))
    feature_matrix, feature_offset, known = _fold_features(network, dominant)
    return Folded(
        table=_float32(table),
        weight=_float32(weight),
        dominant=dominant,
        feature_matrix=_float32(feature_matrix),
        feature_offset=_float32(feature_offset),
        known=_float32(known),
        head=_float32((head * factor[:, None]).T),
        head_bias=_float32(network.head.bias.double() * factor + offset),
    )


def _fold_features(network: Network, dominant: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``feature_matrix``, ``feature_offset`` and ``known``: a reach below the mean is 0, as far above 1."""
    columns, features = network.table.shape[1], len(network.feature_mean)
    reach = network.feature_reach.double()  # [F]
    slope = torch.where(reach > 0, 1 / (2 * network.feature_scale.double() * reach), 0.0)  # [F]
    matrix = torch.zeros(features, features + 1, dtype=torch.float64)  # [F, F + 1]
    matrix[:, :features] = torch.diag(slope)
    offset = torch.cat([0.5 - network.feature_mean.double() * slope, torch.ones(1, dtype=torch.float64)])
    wide = network.wide_features.weight.double()  # [K, F]
    weights = torch.cat([network.hidden.weight.double()[:, columns:], wide, -wide])  # [127, F]
    wide_bias = network.wide_features.bias.double()  # [K]
    bias = torch.cat([network.hidden.bias.double(), wide_bias, -wide_bias]) - weights @ reach  # [127]
    known = torch.zeros(features + 1, WIDTH, dtype=torch.float64)  # [F + 1, 128]
    known[:features, :-1] = (2 * weights * reach).T
    known[-1, :-1] = bias
    known[-1, -1] = -2 * dominant  # so that the total ends at the ReLU
    return matrix, offset, known


def float_graph(folded: Folded) -> bytes:
    """The graph in float32: exact, and four times the size."""
    nodes = [
        helper.make_node("Gather", ["table", "token_ids"], ["rows"]),  # [B, T, 128]
        helper.make_node("Gather", ["weight", "token_ids"], ["weights"]),  # [B, T]
        helper.make_node("Unsqueeze", ["weights", "one"], ["weights_row"]),  # [B, 1, T]
        helper.make_node("MatMul", ["weights_row", "rows"], ["sum_row"]),  # [B, 1, 128]
        helper.make_node("Squeeze", ["sum_row", "one"], ["sum"]),  # [B, 128]
    ]
    total = np.full((len(folded.table), 1), folded.dominant, np.float32)
    constants = {"table": np.hstack([folded.table, total]), "weight": folded.weight}
    return _graph(nodes, constants, folded)


def int8_graph(folded: Folded) -> bytes:
    """The graph with the table in int8 and the token weights in uint8, multiplied in integers."""
    weight_step = float(folded.weight.max()) / MAX_WEIGHT
    weight = np.clip(np.rint(folded.weight / weight_step), 1, MAX_WEIGHT)  # [V]
    # What rounding adds to a token's weight its row gives back, so that their product stays what it was;
    # on real prompts this takes the largest error from 0.06 to 0.007.
    given_back = (folded.weight / (weight * weight_step))[:, None]  # [V, 1]
    table = np.hstack([folded.table, np.full_like(given_back, folded.dominant)]) * given_back  # [V, 128]
    weight[PAD] = 0
    step = np.maximum(np.abs(table).max(axis=0), 1e-12) / 127  # [128]
    nodes = [
        helper.make_node("Gather", ["table", "token_ids"], ["rows"]),  # int8 [B, T, 128]
        helper.make_node("Gather", ["weight", "token_ids"], ["weights"]),  # uint8 [B, T]
        helper.make_node("Unsqueeze", ["weights", "one"], ["weights_row"]),  # uint8 [B, 1, T]
        helper.make_node("MatMulInteger", ["weights_row", "rows"], ["integer_row"]),  # int32 [B, 1, 128]
        helper.make_node("Squeeze", ["integer_row", "one"], ["integer"]),  # int32 [B, 128]
        helper.make_node("DequantizeLinear", ["integer", "step"], ["sum"], axis=1),  # [B, 128]
    ]
    constants = {
        "table": np.rint(table / step).astype(np.int8),
        "weight": weight.astype(np.uint8),
        "step": step.astype(np.float32),
    }
    return _graph(nodes, constants, folded)


def run(graph: bytes, encoded: Encoded, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sufficiency float64 [len(rows), K] as ONNX Runtime computes it."""
    session = Session(graph)
    blocks = []
    for start in range(0, len(rows), BLOCK_ROWS):
        ids, features = encoded.block(rows[start : start + BLOCK_ROWS])
        blocks.append(session.sufficiency(ids.int().numpy(), features.numpy()))
    return np.concatenate(blocks).astype(np.float64)


def _graph(pooling: list[onnx.NodeProto], constants: dict[str, Any], folded: Folded) -> bytes:
    """Pooling nodes that give "sum" [B, 128], its last column the total, then what both precisions share."""
    factor = folded.dominant
    nodes = [
        *pooling,
        helper.make_node("LpNormalization", ["sum"], ["mean"], p=2),  # [B, 128], over the factor
        helper.make_node("Gemm", ["features", "feature_matrix", "feature_offset"], ["line"]),  # [B, F + 1]
        helper.make_node("HardSigmoid", ["line"], ["clipped"], alpha=1.0, beta=0.0),  # [B, F + 1]
        helper.make_node("Gemm", ["clipped", "known", "mean"], ["joined"], beta=factor),  # [B, 128]
        helper.make_node("Relu", ["joined"], ["embedding"]),  # [B, 128]
        helper.make_node("Gemm", ["embedding", "head", "head_bias"], ["logits"]),  # [B, K]
        helper.make_node("Sigmoid", ["logits"], ["sufficiency"]),  # [B, K]
    ]
    constants = {
        **constants,
        "feature_matrix": folded.feature_matrix,
        "feature_offset": folded.feature_offset,
        "known": folded.known,
        "head": folded.head,
        "head_bias": folded.head_bias,
        "one": np.array([1], np.int64),
    }
    features, width = len(folded.feature_matrix), len(folded.head)
    graph = helper.make_graph(
        nodes,
        "router",
        inputs=[
            helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["B", "T"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["B", features]),
        ],
        outputs=[
            helper.make_tensor_value_info("sufficiency", TensorProto.FLOAT, ["B", folded.head.shape[1]]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", width]),
        ],
        initializer=[numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="router-model",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _float32(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor.float().numpy()
    return array
