"""A transformer, its head and its calibration to one ONNX graph, in three precisions.

The graph is traced from torch in float32. int8 keeps the weights of matrix products in seven bits, so that
no processor's sums of products saturate; activations are quantised as they come. float16 keeps inputs and
outputs as the contract has them.
"""

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from router_model.errors import ExportError
from router_model.providers import CPU, CUDA
from router_model.session import Session
from router_model.training.calibrate import Calibration
from router_model.training.dataset import Encoded
from router_model.training.encoders.encoder import Exported
from router_model.training.export import FLOAT_TOLERANCE, IR_VERSION, OPSET
from router_model.training.fit import predict

PROVIDERS = {"float32": (CUDA, CPU), "float16": (CUDA,), "int8": (CPU,)}
CHECKED_ROWS = 200  # a pass takes tens of milliseconds a prompt
CHECKED_AT_ONCE = 1  # as on a CPU, where int8 steps are each prompt's own
LEAST_COSINE = 0.98  # of an embedding in less than float32 to the network's


class Whole(nn.Module):
    """Token ids [B, T] and features [B, F] to sufficiency [B, K] and embedding [B, D]."""

    def __init__(self, sentence: nn.Module, head: nn.Module, calibration: Calibration) -> None:
        super().__init__()
        self.sentence = sentence
        self.head = head
        self.register_buffer("scale", torch.from_numpy(calibration.scale).float())  # [K]
        self.register_buffer("offset", torch.from_numpy(calibration.offset).float())  # [K]

    scale: Tensor
    offset: Tensor

    def forward(self, token_ids: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """As the graph's contract has it."""
        embedding = self.sentence(token_ids)  # [B, D]
        logits = self.head(embedding, features)  # [B, K]
        return torch.sigmoid(self.scale * logits + self.offset), embedding


def export(
    sentence: nn.Module, head: nn.Module, calibration: Calibration, encoded: Encoded, precision: str
) -> Exported:
    """The graph, checked on up to 200 rows of ``encoded``.

    Raises:
        ExportError: it differs from the network by more than its precision allows.
    """
    whole = Whole(sentence, head, calibration).eval()
    exact = trace(whole, encoded)
    checks = _check(exact, head, calibration, encoded, "float32")
    if precision == "float32":
        return Exported(exact, precision, checks, PROVIDERS[precision])
    graph = PRECISIONS[precision](exact)
    checks |= _check(graph, head, calibration, encoded, precision)
    return Exported(graph, precision, checks, PROVIDERS[precision])


def trace(whole: Whole, encoded: Encoded) -> bytes:
    """The graph in float32."""
    ids, features = encoded.inputs(np.arange(min(2, len(encoded))))
    arguments = (torch.from_numpy(ids.astype(np.int32)), torch.from_numpy(features))
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's advice to use another, which needs more packages
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            whole,
            arguments,
            str(path),
            input_names=["token_ids", "features"],
            output_names=["sufficiency", "embedding"],
            dynamic_axes={
                "token_ids": {0: "B", 1: "T"},
                "features": {0: "B"},
                "sufficiency": {0: "B"},
                "embedding": {0: "B"},
            },
            opset_version=OPSET,
            dynamo=False,
        )
        return _bytes(onnx.load(path))


def int8(exact: bytes) -> bytes:
    """The graph with the weights of its matrix products in seven bits of int8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # its advice to prepare the graph, which gains nothing here
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            quantize_dynamic(
                onnx.load_model_from_string(exact),
                path,
                op_types_to_quantize=["MatMul"],
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
            )
            return _bytes(onnx.load(path))
    finally:
        logging.disable(logging.NOTSET)


def float16(exact: bytes) -> bytes:
    """The graph in float16 between inputs and outputs that stay as they are."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that float16 rounds to 0
        model = convert_float_to_float16(onnx.load_model_from_string(exact), keep_io_types=True)
    OnnxModel(model).topological_sort()  # it leaves the nodes that it adds at the end
    return _bytes(model)


PRECISIONS = {"int8": int8, "float16": float16}


def _bytes(model: onnx.ModelProto) -> bytes:
    """Without metadata, of which the artifact has its own."""
    del model.metadata_props[:]
    model.ir_version = IR_VERSION
    model.producer_name = "router-model"
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def checked_rows(encoded: Encoded) -> NDArray[np.int64]:
    """Up to 200 rows, evenly spread."""
    return np.linspace(0, len(encoded) - 1, min(len(encoded), CHECKED_ROWS)).astype(np.int64)


def _check(
    graph: bytes, head: nn.Module, calibration: Calibration, encoded: Encoded, precision: str
) -> dict[str, float]:
    """Largest differences to the network's probabilities and embeddings; raises ExportError."""
    rows = checked_rows(encoded)
    embeddings = encoded.block(rows)[0].numpy()  # [N, D]
    session = Session(graph)
    blocks = [rows[start : start + CHECKED_AT_ONCE] for start in range(0, len(rows), CHECKED_AT_ONCE)]
    found = [session.outputs(*encoded.inputs(block)) for block in blocks]
    sufficiency, embedding = (np.concatenate(part) for part in zip(*found, strict=True))
    error = float(np.abs(sufficiency - calibration(predict(head, encoded, rows))).max())
    difference = float(np.abs(embedding - embeddings).max())
    cosine = float(_cosine(embedding, embeddings).min())
    exact = precision == "float32"
    if not (max(error, difference) <= FLOAT_TOLERANCE if exact else cosine >= LEAST_COSINE):
        raise ExportError(
            f"the {precision} graph differs from the network: by {error:.2g} in a probability and by "
            f"{difference:.2g} in an embedding, at a least cosine of {cosine:.4f}; train with --precision "
            "float32, or where that is so already, report this with the versions of torch and onnxruntime"
        )
    return {f"{precision}_error": error, f"{precision}_cosine": cosine}


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    dots = (a.astype(np.float64) * b).sum(axis=1)
    cosine: NDArray[np.float64] = dots / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return cosine
