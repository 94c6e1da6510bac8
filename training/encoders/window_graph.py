"""The window network to an ONNX graph: the static graph, and a table of rows for each place of a window.

Units are ReLU(A[i] + B[i + 1] + C[i + 2]), with the bias in A; a unit's three columns share a step, which so
passes the ReLU and is undone in the head. The graph reads the tokens in order, and makes the bag of them.

V: vocabulary, B: prompts, T: tokens, P: pairs, U: units, K: tiers.
"""

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from router_model.bag import MULTIPLIER, PAIR_IDS, PAIRED_HEAD
from router_model.network import EMPTY, PAD
from router_model.training.calibrate import Calibration
from router_model.training.encoders.static_graph import (
    Part,
    decision,
    float_sum,
    fold,
    int8_sum,
    joined,
)
from router_model.training.encoders.window_network import PLACES, WindowNetwork

Floats = NDArray[np.float32]
TABLES = ("first", "second", "third")


def graphs(network: WindowNetwork, calibration: Calibration) -> tuple[bytes, bytes]:
    """The graph in float32 and in int8."""
    folded = fold(network, calibration)
    bag, decided = _bag(network.vocabulary), decision(folded, "window_logits")
    tables, weight, head = _fold_windows(network, calibration)
    step = np.maximum(np.abs(tables).max(axis=(0, 1)), 1e-12) / 127  # [U]
    small = np.rint(tables / step).astype(np.int8)  # [3, V, U]
    return (
        joined(folded, bag, float_sum(folded, "bag"), _windows(tables, weight, head), decided),
        joined(folded, bag, int8_sum(folded, "bag"), _windows(small, weight, head * step[:, None]), decided),
    )


@torch.no_grad()
def _fold_windows(network: WindowNetwork, calibration: Calibration) -> tuple[Floats, Floats, Floats]:
    """Rows of each place [3, V, U], weights of tokens [V], both 0 of the pad, and the head [U, K]."""
    tables = torch.stack(network.place_tables())  # [3, V, U]
    weight = network.token.weight.double()[: network.vocabulary].exp().squeeze(1)  # [V]
    weight[PAD] = 0.0
    head = network.window_head.weight.double().T * torch.from_numpy(calibration.scale)  # [U, K]
    return tables.numpy(), weight.float().numpy(), head.float().numpy()


def _bag(vocabulary: int) -> Part:
    """From "token_ids" [B, T] to "bag" [B, T + P], as ``WindowNetwork.bag``."""
    nodes = [
        helper.make_node("Slice", ["token_ids", "at_0", "at_head", "along"], ["head_ids"]),  # [B, P + 1]
        helper.make_node("Slice", ["head_ids", "at_0", "at_end", "along"], ["left"]),  # [B, P]
        helper.make_node("Slice", ["head_ids", "at_1", "at_head", "along"], ["right"]),  # [B, P]
        helper.make_node("Mul", ["left", "multiplier"], ["spread"]),  # [B, P]
        helper.make_node("Add", ["spread", "right"], ["whole_hash"]),  # [B, P]
        helper.make_node("Mod", ["whole_hash", "pair_ids"], ["hash"]),  # [B, P]
        helper.make_node("Add", ["hash", "vocabulary"], ["every_pair"]),  # [B, P]
        helper.make_node("Clip", ["right", "no_token", "a_token"], ["is_pair"]),  # [B, P]
        helper.make_node("Mul", ["every_pair", "is_pair"], ["pairs"]),  # [B, P]
        helper.make_node("Concat", ["token_ids", "pairs"], ["every_id"], axis=1),  # [B, T + P]
        helper.make_node("Shape", ["every_id"], ["all_ids"], start=1),  # [1], T + P
        helper.make_node("TopK", ["every_id", "all_ids"], ["falling", "places"], axis=1),  # [B, T + P]
        helper.make_node("Slice", ["falling", "at_0", "at_1", "along"], ["largest"]),  # [B, 1]
        helper.make_node("Slice", ["falling", "at_0", "at_end", "along"], ["larger"]),  # [B, T + P - 1]
        helper.make_node("Slice", ["falling", "at_1", "past_end", "along"], ["others"]),  # [B, T + P - 1]
        helper.make_node("Equal", ["others", "larger"], ["repeated"]),  # [B, T + P - 1]
        helper.make_node("Where", ["repeated", "no_token", "others"], ["each_once"]),  # [B, T + P - 1]
        helper.make_node("Concat", ["largest", "each_once"], ["bag"], axis=1),  # [B, T + P]
    ]
    return nodes, {
        "along": np.array([1], np.int64),
        "at_0": np.array([0], np.int64),
        "at_1": np.array([1], np.int64),
        "at_head": np.array([PAIRED_HEAD], np.int64),
        "at_end": np.array([-1], np.int64),
        "past_end": np.array([np.iinfo(np.int64).max], np.int64),
        "multiplier": np.array(MULTIPLIER % PAIR_IDS, np.int32),  # the same hash, and no overflow
        "pair_ids": np.array(PAIR_IDS, np.int32),
        "vocabulary": np.array(vocabulary, np.int32),
        "no_token": np.array(0, np.int32),
        "a_token": np.array(1, np.int32),
    }


def _windows(tables: NDArray[np.float32] | NDArray[np.int8], weight: Floats, head: Floats) -> Part:
    """From "token_ids" [B, T] to "window_logits" [B, K]."""
    nodes = [
        helper.make_node("Pad", ["token_ids", "two_more"], ["longer"]),  # [B, T + 2]
        helper.make_node("Slice", ["longer", "at_1", "at_end", "along"], ["next_ids"]),  # [B, T]
        helper.make_node("Slice", ["longer", "at_2", "past_end", "along"], ["after_ids"]),  # [B, T]
        *_rows("first", "token_ids", tables),  # [B, T, U]
        *_rows("second", "next_ids", tables),  # [B, T, U]
        *_rows("third", "after_ids", tables),  # [B, T, U]
        helper.make_node("Sum", ["first", "second", "third"], ["line_units"]),  # [B, T, U]
        helper.make_node("Relu", ["line_units"], ["units"]),  # [B, T, U]
        helper.make_node("Gather", ["weight", "token_ids"], ["weights"]),  # [B, T]
        helper.make_node("Unsqueeze", ["weights", "one"], ["weights_row"]),  # [B, 1, T]
        helper.make_node("MatMul", ["weights_row", "units"], ["unit_row"]),  # [B, 1, U]
        helper.make_node("Squeeze", ["unit_row", "one"], ["unit_sum"]),  # [B, U]
        helper.make_node("ReduceSum", ["weights", "one"], ["weight_sum"]),  # [B, 1]
        helper.make_node("Max", ["weight_sum", "least"], ["weight_total"]),  # [B, 1]
        helper.make_node("Div", ["unit_sum", "weight_total"], ["windows"]),  # [B, U]
        helper.make_node("Gemm", ["windows", "window_head", "head_bias"], ["window_logits"]),  # [B, K]
    ]
    return nodes, {
        "two_more": np.array([0, 0, 0, PLACES - 1], np.int64),
        "at_2": np.array([2], np.int64),
        "weight": weight,
        "least": np.array(EMPTY, np.float32),
        "window_head": head,
        **{f"{name}_table": table for name, table in zip(TABLES, tables, strict=True)},
    }


def _rows(name: str, ids: str, tables: NDArray[np.float32] | NDArray[np.int8]) -> list[onnx.NodeProto]:
    """From ``ids`` [B, T] to ``name`` float32 [B, T, U]."""
    if tables.dtype == np.float32:
        return [helper.make_node("Gather", [f"{name}_table", ids], [name])]
    return [
        helper.make_node("Gather", [f"{name}_table", ids], [f"{name}_steps"]),
        helper.make_node("Cast", [f"{name}_steps"], [name], to=TensorProto.FLOAT),
    ]
