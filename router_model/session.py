"""The graph at work: one ONNX Runtime session on one thread."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.errors import ArtifactError, one_line

# name -> (element type, dimensions), as every router's graph has them
INPUTS = {"token_ids": ("tensor(int32)", 2), "features": ("tensor(float)", 2)}
OUTPUTS = {"sufficiency": ("tensor(float)", 2), "embedding": ("tensor(float)", 2)}


class Session:
    """Token ids and features to sufficiency; safe to share between threads.

    Raises:
        ArtifactError: ONNX Runtime does not load the graph, or it has other inputs and outputs.
    """

    def __init__(self, content: bytes, name: str = "artifact") -> None:
        # From 1.29 on it reports to its maker, and keeps an id under ~/.cache, unless told before it starts.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # A decision is too short to share: a second thread would cost more to wake than it saves.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Otherwise bytes that spell another format inside a valid ONNX file are read as that one.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no base class but Exception
            raise ArtifactError(f"{name}: ONNX Runtime does not load the graph: {one_line(error)}") from None
        _check(session.get_inputs(), INPUTS, name)
        _check(session.get_outputs(), OUTPUTS, name)
        self._session = session

    def sufficiency(self, token_ids: NDArray[np.int32], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [B, K] of int32 [B, T], padded with 0, and float32 [B, F]."""
        outputs = self._session.run(["sufficiency"], {"token_ids": token_ids, "features": features})
        result: NDArray[np.float32] = outputs[0]
        return result

    def embedding(self, token_ids: NDArray[np.int32], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [B, D]: the last hidden layer, of which likeness between prompts can be measured."""
        outputs = self._session.run(["embedding"], {"token_ids": token_ids, "features": features})
        result: NDArray[np.float32] = outputs[0]
        return result


def _check(found: list[Any], expected: dict[str, tuple[str, int]], name: str) -> None:
    shapes = {value.name: (value.type, len(value.shape)) for value in found}
    if shapes != expected:
        raise ArtifactError(f"{name}: the graph has {shapes} where a router has {expected}")
