"""Artifacts that lie about answers' lengths."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from router_model.artifact import Artifact, seal
from router_model.errors import ArtifactError, ArtifactVersionError
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.train import train
from tests.attacks.test_artifact import resealed
from tests.conftest import write_rows
from tests.test_lengths import told


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory, ladder: Ladder, quick: TrainConfig) -> Artifact:
    """Of a router that knows lengths."""
    folder = tmp_path_factory.mktemp("lengths")
    train([write_rows(folder / "log.jsonl", told(300))], ladder, folder / "router.onnx", quick)
    return Artifact.read(folder / "router.onnx")


FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "no lengths in a file of their format": lambda m: m.pop("lengths"),
    "lengths in a file of format 1": lambda m: m.__setitem__("format", 1),
    "lengths that are a list": lambda m: m.__setitem__("lengths", [1, 2, 3]),
    "lengths that are true": lambda m: m.__setitem__("lengths", True),
    "no lengths at all": lambda m: m.__setitem__("lengths", {}),
    "a negative offset": lambda m: m["lengths"]["offset"].__setitem__(0, -1.0),
    "a scale that is not finite": lambda m: m["lengths"]["scale"].__setitem__(0, float("inf")),
    "a scale of a number too large": lambda m: m["lengths"]["scale"].__setitem__(0, 1e300),
    "a scale that is a string": lambda m: m["lengths"].__setitem__("scale", "one"),
    "offsets of two tiers": lambda m: m["lengths"]["offset"].pop(),
    "probes of another number": lambda m: m["lengths"]["probes"].pop(),
    "probes of two tiers": lambda m: m["lengths"]["probes"][0].pop(),
    "probes that come out otherwise": lambda m: m["lengths"]["probes"][0].__setitem__(0, 12345.0),
    "weights that are a list": lambda m: m["lengths"].__setitem__("weights", [1]),
    "weights without numbers": lambda m: m["lengths"].__setitem__("weights", {}),
    "weights of another name": lambda m: m["lengths"].__setitem__("weights", {"per_vibe": [1, 1, 1]}),
    "negative weights": lambda m: m["lengths"].__setitem__(
        "weights", {"per_character": [0, 0, 0], "per_answer": [0, 0, -1], "per_token": [0, 0, 0]}
    ),
}


@pytest.mark.parametrize("name", list(FORGERIES))
def test_forged_lengths_under_a_valid_seal_are_refused(name: str, artifact: Artifact) -> None:
    content = resealed(artifact, FORGERIES[name])
    with pytest.raises(ArtifactError) as caught:
        Router(Artifact.parse(content, "forged.onnx"))
    assert str(caught.value).startswith("forged.onnx: ")
    assert "\n" not in str(caught.value)


def graph(artifact: Artifact) -> onnx.ModelProto:
    model = onnx.load_model_from_string(artifact.content)
    del model.metadata_props[:]
    return model


def load(model: onnx.ModelProto, artifact: Artifact) -> Router:
    return Router(Artifact.parse(seal(model.SerializeToString(), artifact.manifest), "forged.onnx"))


def test_a_graph_without_the_lengths_that_its_manifest_tells_is_refused(artifact: Artifact) -> None:
    model = graph(artifact)
    kept = [value for value in model.graph.output if value.name != "output_tokens"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    with pytest.raises(ArtifactError, match=r"^forged\.onnx: graph and manifest differ"):
        load(model, artifact)


def test_a_graph_with_lengths_that_its_manifest_does_not_tell_is_refused(artifact: Artifact) -> None:
    def silent(manifest: dict[str, Any]) -> None:
        del manifest["lengths"]
        manifest["format"] = 1

    with pytest.raises(ArtifactError, match="graph and manifest differ"):
        Router(Artifact.parse(resealed(artifact, silent)))


def with_bias(artifact: Artifact, value: float) -> onnx.ModelProto:
    """The graph with every tier's length moved to ``value``."""
    model = graph(artifact)
    for tensor in model.graph.initializer:
        if tensor.name == "length_head_bias":
            tensor.CopyFrom(numpy_helper.from_array(np.full(3, value, np.float32), tensor.name))
    return model


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e9, 1e9])
def test_lengths_that_are_no_lengths_are_found_at_start_up(value: float, artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"^forged\.onnx: the answers' lengths"):
        load(with_bias(artifact, value), artifact)


def test_lengths_of_other_tiers_than_the_ladders_are_refused(artifact: Artifact) -> None:
    model = graph(artifact)
    model.graph.node.append(helper.make_node("Concat", ["output_tokens"] * 2, ["twice"], axis=1))
    for value in list(model.graph.output):
        if value.name == "output_tokens":
            model.graph.output.remove(value)
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = {"output_tokens": "once", "twice": "output_tokens"}.get(name, name)
    model.graph.output.append(helper.make_tensor_value_info("output_tokens", TensorProto.FLOAT, ["B", 6]))
    with pytest.raises(ArtifactError, match="other tiers"):
        load(model, artifact)


def test_a_reader_of_the_format_before_names_the_cure(artifact: Artifact) -> None:
    assert json.loads(artifact.manifest.to_json())["format"] == 3
    newer = resealed(artifact, lambda m: m.__setitem__("format", 4))
    with pytest.raises(ArtifactVersionError, match="upgrade router-model"):
        Artifact.parse(newer)


def test_any_cut_through_a_file_with_lengths_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    for share in (0.3, 0.9, 0.9999):
        path = tmp_path / "cut.onnx"
        path.write_bytes(artifact.content[: int(share * len(artifact.content))])
        with pytest.raises(ArtifactError):
            Router.load(path)
