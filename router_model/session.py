"""The graph at work: one ONNX Runtime session, on one thread unless told otherwise."""

from collections.abc import Callable, Sequence
from functools import partial
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.bag import Bag, Pairs
from router_model.errors import ArtifactError, one_line
from router_model.frame import Frame
from router_model.providers import CPU, runtime, started
from router_model.tokens import Ids

# name -> (element type, dimensions), as every router's graph has them
INPUTS = {"token_ids": ("tensor(int32)", 2), "features": ("tensor(float)", 2)}
OUTPUTS = {"sufficiency": ("tensor(float)", 2), "embedding": ("tensor(float)", 2)}
OUTPUT_TOKENS = {"output_tokens": ("tensor(float)", 2)}  # of graphs that know how long answers will be


class Session:
    """Token ids and features to sufficiency; safe to share between threads.

    Args:
        content: an ONNX model.
        name: of the file, for messages.
        pairs: the graph reads bags of tokens and pairs: ``one`` makes them, the others are given them.
        frame: the graph reads tokens in a frame: as with pairs.
        providers: of ONNX Runtime that the graph is to run on, the first that comes first.
        threads: of ONNX Runtime, for one call.

    Attributes:
        provider: the one that it runs on.
        tells_lengths: whether the graph has the output ``output_tokens``.

    Raises:
        ArtifactError: ONNX Runtime does not load the graph or start a provider, or the graph has other inputs
            and outputs.
    """

    def __init__(
        self,
        content: bytes,
        name: str = "artifact",
        pairs: Pairs | None = None,
        frame: Frame | None = None,
        providers: Sequence[str] = (CPU,),
        threads: int = 1,
    ) -> None:
        onnxruntime = runtime()
        options = onnxruntime.SessionOptions()
        # A static decision is too short to share: a second thread would cost more to wake than it saves.
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Otherwise bytes that spell another format inside a valid ONNX file are read as that one.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(content, options, providers=list(providers))
        except Exception as error:  # ONNX Runtime's errors share no base class but Exception
            raise ArtifactError(f"{name}: ONNX Runtime does not load the graph: {one_line(error)}") from None
        inputs, outputs = session.get_inputs(), session.get_outputs()
        _check(inputs, INPUTS, name)
        self.tells_lengths = any(value.name in OUTPUT_TOKENS for value in outputs)
        _check(outputs, OUTPUTS | OUTPUT_TOKENS if self.tells_lengths else OUTPUTS, name)
        self.provider = started(session.get_providers(), providers, name)
        self._session = session
        self._pairs = pairs
        self._frame = frame
        self._run = session.run_with_iobinding
        self._columns = (_columns(inputs, "features", name), _columns(outputs, "sufficiency", name))
        if self.tells_lengths and _columns(outputs, "output_tokens", name) != self._columns[1]:
            raise ArtifactError(f"{name}: the graph's output_tokens are of other tiers than its sufficiency")
        self._idle: list[_Seat] = []

    def one(self, token_ids: Ids, features: Sequence[float]) -> list[float]:
        """Sufficiency [K] of one row of tokens uint32 [T] and its features [F]; T is 0 in a frame only.

        Where the graph tells lengths, its output tokens [K] follow in the same list.

        Feeding arrays to ONNX Runtime costs more than this graph's arithmetic. So it reads and writes in
        place, in a seat that one call at a time takes; list operations hand seats out without a lock.
        """
        try:
            seat = self._idle.pop()
        except IndexError:
            seat = _Seat(self._session, self._pairs, self._frame, *self._columns, self.tells_lengths)
        fill, binding = seat.rows.get(token_ids.size) or seat.bind(token_ids.size)
        fill(token_ids)
        seat.write_features(seat.features, 0, *features)
        self._run(binding)
        row = seat.read_outputs()
        self._idle.append(seat)
        return row

    def sufficiency(self, token_ids: Ids, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [B, K] of uint32 [B, T], padded with 0, and float32 [B, F]."""
        return self._output("sufficiency", token_ids, features)

    def embedding(self, token_ids: Ids, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [B, D], of which likeness between prompts can be measured."""
        return self._output("embedding", token_ids, features)

    def outputs(
        self, token_ids: Ids, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both of the above at the price of one."""
        feed = {"token_ids": token_ids.view(np.int32), "features": features}
        sufficiency, embedding = self._session.run(["sufficiency", "embedding"], feed)
        return sufficiency, embedding

    def sufficiency_and_lengths(
        self, token_ids: Ids, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Sufficiency and output tokens, float32 [B, K] both, of a graph that tells lengths."""
        feed = {"token_ids": token_ids.view(np.int32), "features": features}
        sufficiency, output_tokens = self._session.run(["sufficiency", "output_tokens"], feed)
        return sufficiency, output_tokens

    def _output(self, name: str, token_ids: Ids, features: NDArray[np.float32]) -> NDArray[np.float32]:
        feed = {"token_ids": token_ids.view(np.int32), "features": features}
        result: NDArray[np.float32] = self._session.run([name], feed)[0]
        return result


class _Seat:
    """Memory bound to a session's inputs and output, for one row.

    Attributes:
        rows: for each number of tokens that came, what writes them, and the binding.
        features: float32 [1, F].
        write_features: packs F numbers into ``features``.
        read_outputs: the outputs as a list, [K] or [2 K].
    """

    __slots__ = (
        "_frame", "_outputs", "_pairs", "_session", "features", "read_outputs", "rows", "write_features",
    )  # fmt: skip

    def __init__(
        self,
        session: Any,
        pairs: Pairs | None,
        frame: Frame | None,
        features: int,
        tiers: int,
        tells_lengths: bool,
    ) -> None:
        self._session = session
        self._pairs = pairs
        self._frame = frame
        # One block of memory for all outputs, so that one call reads them.
        self._outputs = np.zeros((1 + tells_lengths, 1, tiers), np.float32)
        self.read_outputs: Callable[[], list[float]] = self._outputs.reshape(-1).tolist
        self.features = np.zeros((1, features), np.float32)
        self.write_features: Callable[..., None] = Struct(f"{features}f").pack_into
        self.rows: dict[int, tuple[Callable[[Ids], None], Any]] = {}

    def bind(self, size: int) -> tuple[Callable[[Ids], None], Any]:
        """Memory for so many tokens, kept in ``rows``."""
        if self._pairs:
            bag = Bag(self._pairs, size)
            ids = bag.ids
            fill: Callable[[Ids], None] = bag.fill
        elif self._frame:
            ids, fill = self._frame.memory(size)
        else:
            ids = np.zeros(size, np.uint32)  # as nanotoken gives them; those of a vocabulary fit int32
            fill = partial(np.copyto, ids)
        ids = ids[np.newaxis]
        binding = self._session.io_binding()
        for name, kind, array in (("token_ids", np.int32, ids), ("features", np.float32, self.features)):
            binding.bind_input(name, "cpu", 0, kind, array.shape, array.ctypes.data)
        for name, output in zip(("sufficiency", "output_tokens"), self._outputs, strict=False):
            binding.bind_output(name, "cpu", 0, np.float32, output.shape, output.ctypes.data)
        row = self.rows[size] = fill, binding
        return row


def _check(found: list[Any], expected: dict[str, tuple[str, int]], name: str) -> None:
    shapes = {value.name: (value.type, len(value.shape)) for value in found}
    if shapes != expected:
        raise ArtifactError(f"{name}: the graph has {shapes} where a router has {expected}")


def _columns(values: list[Any], wanted: str, name: str) -> int:
    """The fixed second dimension of an input or output."""
    columns = next(value.shape[1] for value in values if value.name == wanted)
    if not isinstance(columns, int) or columns < 1:
        raise ArtifactError(f"{name}: the graph's {wanted} has {columns!r} columns; it needs a fixed number")
    return columns
