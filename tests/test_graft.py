"""Tiers put into graphs: known ones say what they said, new ones what their readouts say."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from router_model.errors import ExportError
from router_model.router import Router
from router_model.session import Session
from router_model.training.frozen import Reading, encode_for, read_by
from router_model.training.graft import Column, graft, known_logits
from router_model.training.readout import Readout, probability

TEXTS = ["hello there", "prove the theorem of the integral manifold", "draft a budget plan", "song 3", ""]


def readout(seed: int, tiers: int, columns: int) -> Readout:
    chance = np.random.default_rng(seed)
    return Readout(chance.normal(0, 0.5, tiers), chance.normal(0, 0.1, columns), 0.3)


@pytest.fixture(scope="module")
def whole(router: Router) -> bytes:
    return router.artifact.graph


@pytest.fixture(scope="module")
def other(whole: bytes) -> bytes:
    """The same graph, whose end is not the product that a new tier could be a column of."""
    model = onnx.load_model_from_string(whole)
    for node in model.graph.node:
        node.output[:] = ["plain" if name == "sufficiency" else name for name in node.output]
    model.graph.node.append(helper.make_node("Identity", ["plain"], ["sufficiency"]))
    return bytes(model.SerializeToString())


def said(graph: bytes, router: Router) -> Reading:
    from router_model.prompt import read

    return read_by(graph, encode_for(router.artifact, [read(text) for text in TEXTS]))


@pytest.mark.parametrize("kind", ["whole", "other"])
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 100),
    columns=st.lists(st.sampled_from([0, 1, 2, "new", "new too"]), min_size=2, max_size=5, unique=True),
)
def test_every_column_says_what_it_should(
    kind: str, seed: int, columns: list[int | str], router: Router, request: pytest.FixtureRequest
) -> None:
    graph = request.getfixturevalue(kind)
    before = said(graph, router)
    logits, width = known_logits(graph, before), before.embedding.shape[1]
    new = {"new": readout(seed, 3, width), "new too": readout(seed + 1, 3, width)}
    placed: list[Column] = [new[column] if isinstance(column, str) else column for column in columns]
    after = said(graft(graph, placed, [1.0] * len(placed)), router)
    assert np.array_equal(after.embedding, before.embedding)
    for place, column in enumerate(placed):
        expected = (
            probability(column.logits(logits, before.embedding))
            if isinstance(column, Readout)
            else before.sufficiency[:, column]
        )
        assert np.abs(after.sufficiency[:, place] - expected).max() < 1e-3


@pytest.mark.parametrize("kind", ["whole", "other"])
def test_a_graph_is_grafted_again_and_again(
    kind: str, router: Router, request: pytest.FixtureRequest
) -> None:
    graph = request.getfixturevalue(kind)
    width = said(graph, router).embedding.shape[1]
    for tiers in (3, 4, 5):
        graph = graft(graph, [*range(tiers), readout(tiers, tiers, width)], [1.0] * (tiers + 1))
    assert said(graph, router).sufficiency.shape == (len(TEXTS), 6)


def test_a_column_costs_no_node(whole: bytes, router: Router) -> None:
    width = said(whole, router).embedding.shape[1]
    before = onnx.load_model_from_string(whole)
    after = onnx.load_model_from_string(graft(whole, [0, 1, 2, readout(0, 3, width)], [1.0] * 4))
    assert [node.op_type for node in after.graph.node] == [node.op_type for node in before.graph.node]
    table = {one.name: one.raw_data for one in before.graph.initializer}["table"]
    assert {one.name: one.raw_data for one in after.graph.initializer}["table"] == table


def test_what_is_no_router_is_refused() -> None:
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", ["x"], ["y"])
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph([node], "other", [value], [result]))
    with pytest.raises(ExportError, match="takes no new tier"):
        graft(model.SerializeToString(), [0, 1], [1.0, 1.0])


def test_the_graph_alone_is_a_session(whole: bytes) -> None:
    assert Session(whole).provider
    assert b"router_model.manifest" not in whole
