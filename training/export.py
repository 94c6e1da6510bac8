"""A network to an ONNX graph: pooling is linear, so the first layer folds into the token table.

The folded table A [V, 128] holds, for each token, its addend to the hidden layer's input, to each tier's
logit, and to the negative of each logit: past the ReLU, relu(x) - relu(-x) gives the wide part back, so
that one table, one product and one head do the work of both. Quantised, A is int8 with a step per column
and the token weights are 1 to 127, so that neither saturates where VNNI is missing.

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
from router_model.network import EMPTY, PAD, Network
from router_model.session import Session
from router_model.training.calibrate import Calibration
from router_model.training.dataset import Encoded
from router_model.training.fit import predict

OPSET, IR_VERSION = 17, 8  # of 2022: read by every ONNX Runtime from 1.12
MAX_WEIGHT = 127  # above, products of uint8 and int8 may saturate on processors without VNNI
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
        table: float32 [V, 128].
        weight: float32 [V], of each token in the mean; 0 for the pad.
        feature_low: float32 [F], to which features are raised.
        feature_high: float32 [F], to which they are lowered.
        feature_matrix: float32 [F, 128].
        bias: float32 [128].
        head: float32 [128, K], calibrated.
        head_bias: float32 [K].
    """

    table: Floats
    weight: Floats
    feature_low: Floats
    feature_high: Floats
    feature_matrix: Floats
    bias: Floats
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
    """The network and its calibration as one table, one matrix of features and one head."""
    columns = network.table.shape[1]
    scale = network.feature_scale.double()  # [F]
    mean = network.feature_mean.double()  # [F]
    hidden = network.hidden.weight.double()  # [H, D + F]
    wide = network.wide.weight.double()  # [V, K]
    deep = network.table.double() @ hidden[:, :columns].T  # [V, H]
    hidden_features = hidden[:, columns:] / scale  # [H, F]
    wide_features = network.wide_features.weight.double() / scale  # [K, F]
    matrix = torch.cat([hidden_features, wide_features, -wide_features])  # [128, F]
    wide_bias = network.wide_features.bias.double()  # [K]
    bias = torch.cat([network.hidden.bias.double(), wide_bias, -wide_bias]) - matrix @ mean  # [128]
    weight = network.token.weight.double().exp().squeeze(1)  # [V]
    weight[PAD] = 0.0
    identity = torch.eye(network.head.out_features, dtype=torch.float64)  # [K, K]
    head = torch.cat([network.head.weight.double(), identity, -identity], dim=1)  # [K, 128]
    factor = torch.from_numpy(calibration.scale)  # [K]
    offset = torch.from_numpy(calibration.offset)  # [K]
    return Folded(
        table=_float32(torch.cat([deep, wide, -wide], dim=1)),  # [V, 128]
        weight=_float32(weight),
        feature_low=_float32(mean - network.feature_reach * scale),
        feature_high=_float32(mean + network.feature_reach * scale),
        feature_matrix=_float32(matrix.T),
        bias=_float32(bias),
        head=_float32((head * factor[:, None]).T),
        head_bias=_float32(network.head.bias.double() * factor + offset),
    )


def float_graph(folded: Folded) -> bytes:
    """The graph in float32: exact, and four times the size."""
    nodes = [
        helper.make_node("Gather", ["table", "token_ids"], ["rows"]),  # [B, T, 128]
        helper.make_node("Gather", ["weight", "token_ids"], ["weights"]),  # [B, T]
        helper.make_node("Unsqueeze", ["weights", "one"], ["weights_row"]),  # [B, 1, T]
        helper.make_node("MatMul", ["weights_row", "rows"], ["sum_row"]),  # [B, 1, 128]
        helper.make_node("Squeeze", ["sum_row", "one"], ["sum"]),  # [B, 128]
        helper.make_node("ReduceSum", ["weights", "one"], ["total"]),  # [B, 1]
    ]
    constants = {
        "table": folded.table,
        "weight": folded.weight,
        "least": np.float32(EMPTY),
    }
    return _graph(nodes, constants, folded)


def int8_graph(folded: Folded) -> bytes:
    """The graph with the table in int8 and the token weights in uint8, multiplied in integers."""
    weight_step = float(folded.weight.max()) / MAX_WEIGHT
    weight = np.clip(np.rint(folded.weight / weight_step), 1, MAX_WEIGHT)  # [V]
    # What rounding adds to a token's weight its row gives back, so that their product stays what it was;
    # on real prompts this takes the largest error from 0.06 to 0.007.
    table = folded.table * (folded.weight / (weight * weight_step))[:, None]  # [V, 128]
    weight[PAD] = 0
    step = np.maximum(np.abs(table).max(axis=0), 1e-12) / 127  # [128]
    nodes = [
        helper.make_node("Gather", ["table", "token_ids"], ["rows"]),  # int8 [B, T, 128]
        helper.make_node("Gather", ["weight", "token_ids"], ["weights"]),  # uint8 [B, T]
        helper.make_node("Unsqueeze", ["weights", "one"], ["weights_row"]),  # uint8 [B, 1, T]
        helper.make_node("MatMulInteger", ["weights_row", "rows"], ["integer_row"]),  # int32 [B, 1, 128]
        helper.make_node("Squeeze", ["integer_row", "one"], ["integer"]),  # int32 [B, 128]
        helper.make_node("Cast", ["integer"], ["steps"], to=TensorProto.FLOAT),  # [B, 128]
        helper.make_node("Mul", ["steps", "step"], ["sum"]),  # [B, 128]
        helper.make_node("Cast", ["weights"], ["weights_float"], to=TensorProto.FLOAT),  # [B, T]
        helper.make_node("ReduceSum", ["weights_float", "one"], ["total"]),  # [B, 1]
    ]
    constants = {
        "table": np.rint(table / step).astype(np.int8),
        "weight": weight.astype(np.uint8),
        "step": step.astype(np.float32),
        "least": np.float32(1.0),
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
    """Pooling nodes that give "sum" [B, 128] and "total" [B, 1], then what both precisions share."""
    nodes = [
        *pooling,
        helper.make_node("Max", ["total", "least"], ["divisor"]),  # [B, 1]
        helper.make_node("Div", ["sum", "divisor"], ["pooled"]),  # [B, 128]
        helper.make_node("Max", ["features", "feature_low"], ["raised"]),  # [B, F]
        helper.make_node("Min", ["raised", "feature_high"], ["clipped"]),  # [B, F]
        helper.make_node("Gemm", ["clipped", "feature_matrix", "bias"], ["known"]),  # [B, 128]
        helper.make_node("Add", ["pooled", "known"], ["joined"]),  # [B, 128]
        helper.make_node("Relu", ["joined"], ["embedding"]),  # [B, 128]
        helper.make_node("Gemm", ["embedding", "head", "head_bias"], ["logits"]),  # [B, K]
        helper.make_node("Sigmoid", ["logits"], ["sufficiency"]),  # [B, K]
    ]
    constants = {
        **constants,
        "feature_low": folded.feature_low,
        "feature_high": folded.feature_high,
        "feature_matrix": folded.feature_matrix,
        "bias": folded.bias,
        "head": folded.head,
        "head_bias": folded.head_bias,
        "one": np.array([1], np.int64),
    }
    features, width = folded.feature_matrix.shape
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
