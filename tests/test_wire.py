"""Protocol Buffers' wire format: what onnx writes is walked, and weights in other files are found."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from router_model.errors import ArtifactCorruptError
from router_model.wire import MAX_DEPTH, fields, metadata, metadata_entry, refuse_external_data


def relu(inside: list[onnx.NodeProto] | None = None) -> onnx.ModelProto:
    """A small model, with nodes before its own if wished."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    nodes = [*(inside or []), helper.make_node("Relu", ["x"], ["y"])]
    graph = helper.make_graph(
        nodes, "small", [value], [out], [numpy_helper.from_array(np.ones(2, np.float32), "w")]
    )
    return helper.make_model(graph)


def external() -> TensorProto:
    """A tensor whose numbers are in another file."""
    tensor = TensorProto(
        name="far", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "far.bin"
    return tensor


def in_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(external())


def in_location_alone(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="far", data_location=TensorProto.EXTERNAL))


def in_entries_alone(model: onnx.ModelProto) -> None:
    tensor = external()
    tensor.ClearField("data_location")
    model.graph.initializer.append(tensor)


def in_sparse_values(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(external())


def in_sparse_indices(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().indices.CopyFrom(external())


def in_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_list_of_tensors(model: onnx.ModelProto) -> None:
    attribute = model.graph.node[0].attribute.add()
    attribute.name, attribute.type = "many", AttributeProto.TENSORS
    attribute.tensors.append(external())


def in_sparse_attribute(model: onnx.ModelProto) -> None:
    attribute = model.graph.node[0].attribute.add()
    attribute.sparse_tensor.values.CopyFrom(external())


def in_subgraph(model: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [external()])
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch))


def in_function_node(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=external())
    model.functions.append(helper.make_function("own", "F", [], ["c"], [node], []))


def in_function_default(model: onnx.ModelProto) -> None:
    default = helper.make_attribute("value", external())
    model.functions.append(helper.make_function("own", "F", [], ["c"], [], [], [], [default]))


def in_training_graph(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(external())


PLACES: list[Callable[[onnx.ModelProto], None]] = [
    in_initializer,
    in_location_alone,
    in_entries_alone,
    in_sparse_values,
    in_sparse_indices,
    in_constant,
    in_list_of_tensors,
    in_sparse_attribute,
    in_subgraph,
    in_function_node,
    in_function_default,
    in_training_graph,
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_weights_in_another_file_are_found_wherever_they_stand(
    place: Callable[[onnx.ModelProto], None],
) -> None:
    model = relu()
    refuse_external_data(memoryview(model.SerializeToString()))
    place(model)
    with pytest.raises(ArtifactCorruptError, match="another file"):
        refuse_external_data(memoryview(model.SerializeToString()))


def test_weights_in_another_file_are_found_in_a_graph_split_over_two_fields() -> None:
    first, second = relu(), onnx.ModelProto()
    second.graph.initializer.append(external())
    joined = first.SerializeToString() + second.SerializeToString()
    assert onnx.load_from_string(joined).graph.initializer[-1].name == "far"
    with pytest.raises(ArtifactCorruptError, match="another file"):
        refuse_external_data(memoryview(joined))


def test_subgraphs_that_nest_too_deeply_are_refused() -> None:
    node = helper.make_node("Relu", ["x"], ["z"])
    for _ in range(MAX_DEPTH):
        node = helper.make_node("If", ["x"], ["z"], then_branch=helper.make_graph([node], "b", [], []))
    with pytest.raises(ArtifactCorruptError, match="nests deeper"):
        refuse_external_data(memoryview(relu([node]).SerializeToString()))


def test_fields_cover_every_byte_of_a_message_in_order() -> None:
    content = relu().SerializeToString()
    numbers, position = [], 0
    for number, _, start, end in fields(memoryview(content), 0, len(content)):
        assert position < start <= end
        numbers.append(number)
        position = end
    assert position == len(content)
    assert {1, 7, 8} <= set(numbers)  # ir_version, graph, opset_import


@given(st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=5))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_metadata_entries_are_read_as_onnx_reads_them(entries: dict[str, str]) -> None:
    content = relu().SerializeToString() + b"".join(metadata_entry(key, entries[key]) for key in entries)
    model = onnx.load_from_string(content)
    assert {entry.key: entry.value for entry in model.metadata_props} == entries
    found = metadata(memoryview(content))
    assert {key: content[slice(*found[key])].decode() for key in found} == entries
    helper.set_model_props(model, entries)
    assert metadata(memoryview(model.SerializeToString())).keys() == entries.keys()


def test_a_metadata_key_that_stands_twice_is_refused() -> None:
    content = metadata_entry("key", "one") + metadata_entry("key", "two")
    with pytest.raises(ArtifactCorruptError, match="'key' stands twice"):
        metadata(memoryview(content))


CUT = {
    "a key without an end": b"\x80",
    "a number without an end": b"\x08\xff",
    "a number of eleven bytes": b"\x08" + b"\xff" * 10 + b"\x01",
    "a length past the end": b"\x3a\x05abc",
    "a length near 2**64": b"\x3a" + b"\xff" * 9 + b"\x01",
    "eight bytes past the end": b"\x09\0\0\0",
    "four bytes past the end": b"\x0d\0\0",
    "a group": b"\x0b\x0c",
    "an unknown wire type": b"\x0f",
}


@pytest.mark.parametrize("name", list(CUT))
def test_bytes_that_are_no_message_are_refused(name: str) -> None:
    with pytest.raises(ArtifactCorruptError, match="byte "):
        refuse_external_data(memoryview(CUT[name]))


@pytest.mark.parametrize("content", [b"", b"\x72\x00", b"\x3a\x00", b"\x3a\x02\x2a\x00"])
def test_empty_messages_hold_no_weights_and_no_metadata(content: bytes) -> None:
    refuse_external_data(memoryview(content))
    assert metadata(memoryview(content)) == {}


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from(b"\x3a\x2a\x0a\x72\x6a\x70\x02\x05\x00\x80"), max_size=80)
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_random_bytes_are_walked_or_refused(content: bytes | list[int]) -> None:
    raw = memoryview(bytes(content))
    with suppress(ArtifactCorruptError):
        refuse_external_data(raw)
    with suppress(ArtifactCorruptError):
        assert all(0 < low <= high <= len(raw) for low, high in metadata(raw).values())
