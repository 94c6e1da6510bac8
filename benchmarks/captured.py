"""A transformer's graph at fixed shapes, a session for each bucket of lengths; CUDA replays it as one graph.

A session with CUDA graphs reads and writes the same memory of the device at each run, and takes no two runs
at once; so this is for one caller, measured by gpu.py, and not what a service's threads share. ONNX Runtime
captures at the first runs and then replays; it refuses, when the session is made, a graph of which it would
compute a part elsewhere (documentation of its CUDA provider, "Using CUDA Graphs").
"""

from collections.abc import Sequence

import numpy as np

from router_model.frame import Frame
from router_model.providers import CUDA, runtime, started
from router_model.tokens import Ids

SIZES = (16, 32, 64, 128, 256, 512)  # of ids, the frame's among them


class Bucket:
    """One prompt of at most ``size`` ids at a time: the rest is padding, which the graph leaves out."""

    def __init__(self, content: bytes, size: int, provider: str) -> None:
        onnxruntime = runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_free_dimension_override_by_name("B", 1)
        options.add_free_dimension_override_by_name("T", size)
        device, settings = ("cuda", {"enable_cuda_graph": "1"}) if provider == CUDA else ("cpu", {})
        self.session = onnxruntime.InferenceSession(content, options, providers=[(provider, settings)])
        started(self.session.get_providers(), [provider], f"bucket of {size}")
        ids, features = self.session.get_inputs()
        sufficiency = self.session.get_outputs()[0]
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        self.ids = value(np.zeros(ids.shape, np.int32), device, 0)
        self.features = value(np.zeros(features.shape, np.float32), device, 0)
        self.sufficiency = value(np.zeros((1, sufficiency.shape[1]), np.float32), device, 0)
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input("token_ids", self.ids)
        self.binding.bind_ortvalue_input("features", self.features)
        self.binding.bind_ortvalue_output("sufficiency", self.sufficiency)

    def run(self, ids: np.ndarray, features: np.ndarray) -> list[float]:
        """Sufficiency [K] of int32 [1, size] and float32 [1, F]."""
        self.ids.update_inplace(ids)
        self.features.update_inplace(features)
        self.session.run_with_iobinding(self.binding)
        row: list[float] = self.sufficiency.numpy()[0].tolist()
        return row


class Captured:
    """In the place of a router's session, for one prompt at a time.

    Raises:
        Exception: of ONNX Runtime, where it cannot capture the graph.
    """

    def __init__(self, content: bytes, frame: Frame, longest: int, provider: str) -> None:
        widest = longest + len(frame.start) + len(frame.end)
        sizes = [size for size in SIZES if size < widest]
        sizes.append(min((size for size in SIZES if size >= widest), default=widest))
        self.frame = frame
        self.buckets = [(np.zeros((1, size), np.int32), Bucket(content, size, provider)) for size in sizes]

    def one(self, token_ids: Ids, features: Sequence[float]) -> list[float]:
        """Sufficiency [K] of one row of tokens uint32 [T] and its features [F]."""
        framed, fill = self.frame.memory(token_ids.size)
        fill(token_ids)
        ids, bucket = next(found for found in self.buckets if found[0].size >= framed.size)
        ids[0, : framed.size] = framed
        ids[0, framed.size :] = 0
        return bucket.run(ids, np.array([features], np.float32))
