"""The head of lengths as four more nodes of a router's graph, behind its embedding.

ONNX Runtime makes two of them, a product with what follows it being one; a decision costs by their number.

D: columns of the embedding, H: hidden units, K: tiers.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from router_model.errors import ExportError
from router_model.session import Session
from router_model.training.dataset import Encoded
from router_model.training.export import BLOCK_ROWS
from router_model.training.lengths import LengthHead

TOLERANCE = 1e-3  # of a length, between numpy's float32 and ONNX Runtime's
CHECKED_ROWS = 200
LENGTH_COLUMNS = ("length_head", "length_head_bias")  # of which the last axis is the tiers


def with_lengths(graph: bytes, head: LengthHead, encoded: Encoded) -> bytes:
    """``graph`` with the output ``output_tokens`` float32 [B, K], checked on rows of ``encoded``.

    Raises:
        ExportError: the graph gives other lengths than ``head``.
    """
    model = onnx.load_model_from_string(graph)
    arrays = {
        "length_hidden": head.hidden,
        "length_hidden_bias": head.hidden_bias,
        "length_head": head.head,
        "length_head_bias": head.head_bias,
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
        for name, array in arrays.items()
    )
    model.graph.node.extend(
        [
            helper.make_node("Gemm", ["embedding", "length_hidden", "length_hidden_bias"], ["length_line"]),
            helper.make_node("Tanh", ["length_line"], ["length_units"]),  # [B, H]
            helper.make_node("Gemm", ["length_units", "length_head", "length_head_bias"], ["length_sum"]),
            helper.make_node("Relu", ["length_sum"], ["output_tokens"]),  # [B, K]
        ]
    )
    tiers = len(head.head_bias)
    model.graph.output.append(helper.make_tensor_value_info("output_tokens", TensorProto.FLOAT, ["B", tiers]))
    onnx.checker.check_model(model)
    made = bytes(model.SerializeToString())
    _check(made, head, encoded)
    return made


def _check(graph: bytes, head: LengthHead, encoded: Encoded) -> None:
    session, step = Session(graph), 1 if encoded.frame else BLOCK_ROWS
    count = min(CHECKED_ROWS, len(encoded))
    for start in range(0, count, step):
        inputs = encoded.inputs(np.arange(start, min(start + step, count)))
        _, found = session.sufficiency_and_lengths(*inputs)
        expected = head(session.embedding(*inputs))
        off = float((np.abs(found - expected) / (1 + expected)).max())
        if not off <= TOLERANCE:
            raise ExportError(
                f"the graph's lengths differ from the head's by {off:.2g} of them, above {TOLERANCE:g}; "
                "report this with the versions of torch and onnxruntime"
            )
