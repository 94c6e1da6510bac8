"""What the export of every encoder shares: the graph's contract, and the checks that it has to pass.

N, B: prompts, T: tokens, F: features, K: tiers, D: columns of the embedding.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from router_model.errors import ExportError
from router_model.session import Session
from router_model.training.calibrate import Calibration
from router_model.training.dataset import Encoded
from router_model.training.encoders.encoder import Exported
from router_model.training.fit import predict

OPSET, IR_VERSION = 17, 8  # of 2022: read by every ONNX Runtime from 1.12
FLOAT_TOLERANCE = 1e-4
INT8_TOLERANCE = 0.02
ORDER_TOLERANCE = 0.005  # of APGR
CHECKED_ROWS = 2000
BLOCK_ROWS = 128


def model(
    nodes: Sequence[onnx.NodeProto], constants: Mapping[str, Any], features: int, tiers: int, width: int
) -> bytes:
    """A router's graph of ``nodes``, from token_ids [B, T] and features [B, F] to the outputs.

    Args:
        constants: arrays by the name that nodes give them.
        features: F.
        tiers: K, columns of sufficiency.
        width: D, columns of embedding.
    """
    graph = helper.make_graph(
        nodes,
        "router",
        inputs=[
            helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["B", "T"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["B", features]),
        ],
        outputs=[
            helper.make_tensor_value_info("sufficiency", TensorProto.FLOAT, ["B", tiers]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", width]),
        ],
        initializer=[numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(
        graph,
        producer_name="router-model",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def export(
    exact: bytes,
    small: bytes,
    network: nn.Module,
    calibration: Calibration,
    encoded: Encoded,
    ranked: Sequence[tuple[int, int]],
) -> Exported:
    """The int8 graph ``small`` where it says what the float32 graph ``exact`` says, or else that.

    Raises:
        ExportError: ``exact`` differs from the network by more than 1e-4.
    """
    rows = np.linspace(0, len(encoded) - 1, min(len(encoded), CHECKED_ROWS)).astype(np.int64)
    expected = calibration(predict(network, encoded, rows))
    found = run(exact, encoded, rows)
    float_error = float(np.abs(found - expected).max())
    if not float_error <= FLOAT_TOLERANCE:
        raise ExportError(
            f"the float graph differs from the network by {float_error:.2g}, above {FLOAT_TOLERANCE:g}; "
            "report this with the versions of torch and onnxruntime"
        )
    rounded = run(small, encoded, rows)
    checks = {
        "float_error": float_error,
        "int8_error": float(np.abs(rounded - found).max()),
        "int8_order": max(order_loss(found, rounded, pair) for pair in ranked),
    }
    kept = checks["int8_error"] <= INT8_TOLERANCE and checks["int8_order"] <= ORDER_TOLERANCE
    return Exported(small, "int8", checks) if kept else Exported(exact, "float32", checks)


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


def embeddings(graph: bytes, encoded: Encoded) -> NDArray[np.float32]:
    """The embedding float32 [N, D] of every row, as ONNX Runtime computes it."""
    session, step = Session(graph), 1 if encoded.frame else BLOCK_ROWS
    order = np.argsort(encoded.ids.lengths, kind="stable")  # blocks of like length have little padding
    blocks = [order[start : start + step] for start in range(0, len(order), step)]
    found = np.concatenate([session.embedding(*encoded.inputs(rows)) for rows in blocks])
    return found[np.argsort(order)]


def run(graph: bytes, encoded: Encoded, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sufficiency float64 [len(rows), K] as ONNX Runtime computes it."""
    session, step = (
        Session(graph),
        1 if encoded.frame else BLOCK_ROWS,
    )  # a transformer's as a router takes them
    starts = range(0, len(rows), step)
    blocks = [session.sufficiency(*encoded.inputs(rows[start : start + step])) for start in starts]
    return np.concatenate(blocks).astype(np.float64)
