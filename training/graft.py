"""Tiers put into a trained graph, or taken out of it: the encoder stays, byte for byte.

Where the graph ends in one product with the embedding, as the static encoder's does, a new tier is one
more column of that product, and a decision costs what it did. Any other graph gets a few nodes behind its
outputs.

N, B: prompts, D: columns of the embedding, K: tiers before, M: new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from router_model.errors import ExportError, one_line
from router_model.training.frozen import Reading
from router_model.training.lengths_graph import LENGTH_COLUMNS
from router_model.training.readout import SATURATED, Floats, Readout, logit

Column = int | Readout  # a tier that the graph has, by its position, or a new one


@dataclass(frozen=True)
class _Head:
    """The product that gives the logits: ``embedding @ weight + bias``, initializers by name."""

    weight: onnx.TensorProto
    bias: onnx.TensorProto


def graft(content: bytes, columns: Sequence[Column], lengths: Sequence[float]) -> bytes:
    """The graph with ``columns`` as its tiers, without metadata.

    Args:
        content: an artifact, or its graph.
        columns: L of them.
        lengths: mean answer of each, in tokens [L]; it counts where the column is new.

    Raises:
        ExportError: ``content`` is no graph of a router.
    """
    try:
        model = onnx.load_model_from_string(content)
        del model.metadata_props[:]
        head = _head(model.graph)
        if head:
            _widen(head, columns)
        else:
            _append(model.graph, columns)
        _keep_lengths(model.graph, columns, lengths)
        for value in model.graph.output:
            if value.name != "embedding":
                value.type.tensor_type.shape.dim[1].dim_value = len(columns)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
    except (KeyError, ValueError, StopIteration, IndexError, onnx.checker.ValidationError) as error:
        raise ExportError(f"the router's graph takes no new tier: {one_line(error)}") from None


def known_logits(content: bytes, reading: Reading) -> Floats:
    """The logits [N, K] that a readout mixes once it is in the graph, of what the graph says of N prompts.

    Where they are a product with the embedding they are exact, however near to 0 or 1 a probability is.
    """
    head = _head(onnx.load_model_from_string(content).graph)
    if head is None:
        return logit(reading.sufficiency)
    weight, bias = (numpy_helper.to_array(part).astype(np.float64) for part in (head.weight, head.bias))
    logits: Floats = reading.embedding @ weight + bias
    return logits


def _head(graph: onnx.GraphProto) -> _Head | None:
    """The last product, where it is of the embedding alone and nothing else reads its parts."""
    made_by = {name: node for node in graph.node for name in node.output}
    end = made_by["sufficiency"]
    product = made_by.get(end.input[0]) if end.op_type == "Sigmoid" else None
    if product is None or product.op_type != "Gemm" or product.attribute or product.input[0] != "embedding":
        return None
    read = [name for node in graph.node for name in node.input]
    stored = {tensor.name: tensor for tensor in graph.initializer}
    alone = all(read.count(name) == 1 for name in product.input[1:])
    if not (alone and read.count(end.input[0]) == 1 and {*product.input[1:]} <= stored.keys()):
        return None
    weight, bias = (stored[name] for name in product.input[1:])
    return _Head(weight, bias) if len(bias.dims) == 1 else None


def _widen(head: _Head, columns: Sequence[Column]) -> None:
    weight = numpy_helper.to_array(head.weight).astype(np.float64)  # [D, K]
    bias = numpy_helper.to_array(head.bias).astype(np.float64)  # [K]
    wider, more = np.empty((len(weight), len(columns))), np.empty(len(columns))
    for place, column in enumerate(columns):
        if isinstance(column, Readout):
            wider[:, place] = weight @ column.mix + column.direction
            more[place] = bias @ column.mix + column.bias
        else:
            wider[:, place], more[place] = weight[:, column], bias[column]
    _store(head.weight, wider)
    _store(head.bias, more)


def _keep_lengths(graph: onnx.GraphProto, columns: Sequence[Column], lengths: Sequence[float]) -> None:
    """The head of answers' lengths, where there is one, gives known tiers' as it did, new ones' as told."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for name in LENGTH_COLUMNS:
        if name in stored:
            values = numpy_helper.to_array(stored[name]).astype(np.float64)  # [..., K]
            given = np.zeros((*values.shape[:-1], len(columns)))
            for place, column in enumerate(columns):
                if not isinstance(column, Readout):
                    given[..., place] = values[..., column]
                elif values.ndim == 1:
                    given[place] = lengths[place]
            _store(stored[name], given)


def _store(tensor: onnx.TensorProto, values: NDArray[np.float64]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))


def _append(graph: onnx.GraphProto, columns: Sequence[Column]) -> None:
    """Nodes from the probabilities and the embedding to those of ``columns``."""
    name = _prefix(graph)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{name}known" if one == "sufficiency" else one for one in names]
    new = [column for column in columns if isinstance(column, Readout)]
    known = next(v for v in graph.output if v.name == "sufficiency").type.tensor_type.shape.dim[1].dim_value
    place = iter(range(known, known + len(new)))
    order = [next(place) if isinstance(column, Readout) else column for column in columns]
    if new:
        constants = {
            "low": np.array(SATURATED, np.float32),
            "high": np.array(1 - SATURATED, np.float32),
            "one": np.array(1, np.float32),
            "mix": np.array([readout.mix for readout in new], np.float32).T,  # [K, M]
            "direction": np.array([readout.direction for readout in new], np.float32).T,  # [D, M]
            "bias": np.array([readout.bias for readout in new], np.float32),  # [M]
        }
        nodes = [
            ("Clip", ["known", "low", "high"], "inside"),  # [B, K]
            ("Sub", ["one", "inside"], "outside"),
            ("Div", ["inside", "outside"], "odds"),
            ("Log", ["odds"], "logits"),
            ("Gemm", ["logits", "mix", "bias"], "mixed"),  # [B, M]
            ("Gemm", ["embedding", "direction", "mixed"], "added"),  # [B, M]
            ("Sigmoid", ["added"], "new"),
        ]
        for kind, inputs, output in nodes:
            own = [one if one == "embedding" else name + one for one in inputs]
            graph.node.append(helper.make_node(kind, own, [name + output]))
        graph.initializer.extend(
            numpy_helper.from_array(value, name + key) for key, value in constants.items()
        )
        graph.node.append(helper.make_node("Concat", [f"{name}known", f"{name}new"], [f"{name}all"], axis=1))
    graph.initializer.append(numpy_helper.from_array(np.array(order, np.int64), f"{name}order"))
    joined = f"{name}all" if new else f"{name}known"
    graph.node.append(helper.make_node("Gather", [joined, f"{name}order"], ["sufficiency"], axis=1))


def _prefix(graph: onnx.GraphProto) -> str:
    """One that no name of the graph has, for a graph may be grafted again and again."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    return next(p for n in range(len(taken) + 1) if not any(t.startswith(p := f"grafted{n}_") for t in taken))
