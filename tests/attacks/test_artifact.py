"""Altered, cut, forged and foreign artifacts."""

import hashlib
import json
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from router_model.artifact import DIGEST_KEY, MANIFEST_KEY, SEAL_BYTES, Artifact, seal
from router_model.errors import ArtifactCorruptError, ArtifactError, ArtifactVersionError, TokenizerError
from router_model.manifest import Manifest
from router_model.network import WIDTH
from router_model.router import Router
from router_model.wire import metadata, metadata_entry

FLIPS_IN_EACH_PART = 60


def parts(content: bytes) -> dict[str, range]:
    """The parts of an artifact as ranges of positions."""
    places = metadata(memoryview(content))
    low, high = places[MANIFEST_KEY]
    tokenizer = content.index(b'"tokenizer":', low)
    return {
        "graph": range(low - 64),
        "manifest frame": range(low - 40, low),
        "manifest": range(low, tokenizer),
        "tokenizer": range(tokenizer, high),
        "digest frame": range(len(content) - SEAL_BYTES, places[DIGEST_KEY][0]),
        "digest": range(*places[DIGEST_KEY]),
    }


@pytest.mark.parametrize(
    "part", ["graph", "manifest frame", "manifest", "tokenizer", "digest frame", "digest"]
)
def test_one_flipped_bit_in_any_part_is_refused(part: str, artifact_path: Path, tmp_path: Path) -> None:
    content = artifact_path.read_bytes()
    chance = random.Random(part)
    positions = parts(content)[part]
    altered_path = tmp_path / "altered.onnx"
    for position in chance.sample(positions, min(FLIPS_IN_EACH_PART, len(positions))):
        altered = bytearray(content)
        altered[position] ^= 1 << chance.randrange(8)
        altered_path.write_bytes(altered)
        with pytest.raises(
            ArtifactError, match=r"altered\.onnx: .*copy the file again|not a router artifact"
        ):
            Router.load(altered_path)


def test_a_flip_of_every_byte_of_the_seal_is_refused(artifact_path: Path) -> None:
    content = artifact_path.read_bytes()
    for position in range(len(content) - SEAL_BYTES, len(content)):
        altered = bytearray(content)
        altered[position] ^= 0x20
        with pytest.raises(ArtifactError):
            Artifact.parse(bytes(altered))


@pytest.mark.parametrize("kept", [0, 1, 63, 64, 65, 1000, 0.5, 0.9, 0.999, -SEAL_BYTES, -64, -1])
def test_a_truncated_file_is_refused(kept: float, artifact_path: Path) -> None:
    content = artifact_path.read_bytes()
    end = int(kept * len(content)) if isinstance(kept, float) else kept
    with pytest.raises(ArtifactError):
        Artifact.parse(content[:end])


@pytest.mark.parametrize("tail", [b"\0", b"\n", b"router_model.sha256", metadata_entry("extra", "value")])
def test_appended_bytes_are_refused(tail: bytes, artifact_path: Path) -> None:
    with pytest.raises(ArtifactCorruptError):
        Artifact.parse(artifact_path.read_bytes() + tail)


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_random_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError):
        Artifact.parse(content)


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_random_bytes_under_a_valid_seal_are_refused(artifact_path: Path, graph: bytes) -> None:
    manifest = Artifact.read(artifact_path).manifest
    with pytest.raises(ArtifactError):
        Router(Artifact.parse(seal(graph, manifest)))


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "router.onnx"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArtifactError, match="not a router artifact"):
        Router.load(path)
    assert not (tmp_path / "ran").exists()


def test_weights_in_another_file_are_refused_and_the_file_is_not_read(
    artifact_path: Path, tmp_path: Path
) -> None:
    artifact = Artifact.read(artifact_path)
    model = onnx.load_from_string(artifact.content)
    del model.metadata_props[:]
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(1 << 20))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", str(secret)
    with pytest.raises(ArtifactCorruptError, match="another file"):
        Artifact.parse(seal(model.SerializeToString(), artifact.manifest))


def test_weights_in_another_file_inside_a_constant_are_refused(artifact_path: Path) -> None:
    artifact = Artifact.read(artifact_path)
    model = onnx.load_from_string(artifact.content)
    del model.metadata_props[:]
    tensor = TensorProto(
        name="hidden", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    model.graph.node.append(helper.make_node("Constant", [], ["hidden"], value=tensor))
    with pytest.raises(ArtifactCorruptError, match="another file"):
        Artifact.parse(seal(model.SerializeToString(), artifact.manifest))


def test_a_graph_of_another_shape_is_refused(artifact_path: Path) -> None:
    artifact = Artifact.read(artifact_path)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", [value], [out])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(ArtifactError, match="where a router has"):
        Router(Artifact.parse(seal(model.SerializeToString(), artifact.manifest)))


def resealed(artifact: Artifact, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The artifact with a changed manifest under a valid digest."""
    value = json.loads(artifact.manifest.to_json())
    change(value)
    return forged(artifact, json.dumps(value))


def forged(artifact: Artifact, text: str) -> bytes:
    """The artifact with any text for its manifest under a valid digest."""
    model = onnx.load_from_string(artifact.content)
    del model.metadata_props[:]
    return sealed(model.SerializeToString(), artifact.manifest, text)


def sealed(graph: bytes, manifest: Manifest, text: str) -> bytes:
    class Forged(Manifest):
        def to_json(self) -> str:
            return text

    return seal(graph, Forged(**vars(manifest)))


def seventeen_tiers(manifest: dict[str, Any]) -> None:
    tiers = [{**manifest["ladder"]["tiers"][0], "name": f"t{k}", "models": [f"m{k}"]} for k in range(17)]
    manifest["ladder"]["tiers"] = tiers


def other_tokenizer_with_its_hash(manifest: dict[str, Any], tokenizer: str) -> None:
    manifest["tokenizer"] = tokenizer
    manifest["tokenizer_sha256"] = hashlib.sha256(tokenizer.encode("utf-8", "surrogatepass")).hexdigest()


FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a missing field": lambda m: m.pop("curve"),
    "no ladder": lambda m: m.pop("ladder"),
    "a number that is not finite": lambda m: m["relative_cost"].__setitem__(0, float("nan")),
    "infinity in the curve": lambda m: m["curve"][0].__setitem__("penalty", float("inf")),
    "a string for a number": lambda m: m.__setitem__("max_tokens", "512"),
    "true for a number": lambda m: m.__setitem__("max_tokens", True),
    "a window of no tokens": lambda m: m.__setitem__("max_tokens", 0),
    "a negative window": lambda m: m.__setitem__("max_tokens", -5),
    "too many costs": lambda m: m["relative_cost"].append(1.0),
    "an unknown rule": lambda m: m["curve"][0].__setitem__("rule", "exec"),
    "an unknown dial": lambda m: m["curve"][0].__setitem__("dial", "vibes"),
    "an unknown key in a point": lambda m: m["curve"][0].__setitem__("surprise", 1),
    "an empty curve": lambda m: m.__setitem__("curve", []),
    "a default dial of 7": lambda m: m.__setitem__("default_quality", 7.0),
    "one tier": lambda m: m["ladder"].__setitem__("tiers", m["ladder"]["tiers"][:1]),
    "a list for the manifest's guard": lambda m: m.__setitem__("guard", []),
    "another tokenizer": lambda m: m.__setitem__("tokenizer", "{}"),
    "probes of two tiers": lambda m: m["probes"][0].__setitem__("sufficiency", [0.5, 0.5]),
    "probes that come out otherwise": lambda m: m["probes"][0].__setitem__("sufficiency", [0.1, 0.2, 0.3]),
    "no probes": lambda m: m.__setitem__("probes", []),
    "no hash of the tokenizer": lambda m: m.pop("tokenizer_sha256"),
    "a tokenizer that is not Unicode": lambda m: other_tokenizer_with_its_hash(m, "\ud800"),
    "a number that is not finite among the metrics": lambda m: m["metrics"].__setitem__("x", float("nan")),
    "infinity in the guard": lambda m: m["guard"].__setitem__("x", float("-inf")),
    "a number beyond floating point": lambda m: m.__setitem__("default_quality", 10**400),
    "a number of five thousand digits": lambda m: m["curve"][0].__setitem__("penalty", 10**4000),
    "a negative penalty": lambda m: m["curve"][0].__setitem__("penalty", -1.0),
    "a negative cost": lambda m: m["relative_cost"].__setitem__(0, -0.1),
    "a negative length": lambda m: m["output_tokens"].__setitem__(0, -1),
    "a share above one": lambda m: m["curve"][0].__setitem__("shares", [2.0, 0.0, 0.0]),
    "a dial above one": lambda m: m["curve"][0].__setitem__("value", 1.5),
    "a note that is no text": lambda m: m["curve"][0].__setitem__("note", ["why"]),
    "a dial that is a list": lambda m: m["curve"][0].__setitem__("dial", []),
    "probes that are an object": lambda m: m.__setitem__("probes", {"prompt": "hello"}),
    "a probe that is a string": lambda m: m.__setitem__("probes", ["hello"]),
    "a curve that is a string": lambda m: m.__setitem__("curve", "flat"),
    "a ladder that is a list": lambda m: m.__setitem__("ladder", []),
    "seventeen tiers": seventeen_tiers,
    "prices that fall": lambda m: m["ladder"]["tiers"].reverse(),
    "a price that is not finite": lambda m: m["ladder"]["tiers"][2].__setitem__(
        "input_usd_per_million", float("inf")
    ),
    "a price beyond floating point": lambda m: m["ladder"]["tiers"][2].__setitem__(
        "input_usd_per_million", 10**400
    ),
    "a model that stands twice": lambda m: m["ladder"]["tiers"][0].__setitem__("models", ["model-l"]),
    "features of other names": lambda m: m.__setitem__("features", ["length"]),
}


@pytest.mark.parametrize("name", list(FORGERIES))
def test_a_forged_manifest_under_a_valid_seal_is_refused(name: str, artifact_path: Path) -> None:
    content = resealed(Artifact.read(artifact_path), FORGERIES[name])
    with pytest.raises(ArtifactError) as caught:
        Router(Artifact.parse(content, "forged.onnx"))
    assert str(caught.value).startswith("forged.onnx: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["format", "prompt_version", "features_version"])
def test_a_newer_version_is_refused_with_the_cure(key: str, artifact_path: Path) -> None:
    content = resealed(Artifact.read(artifact_path), lambda m: m.__setitem__(key, m[key] + 9))
    with pytest.raises(ArtifactVersionError, match="upgrade router-model"):
        Artifact.parse(content)


def test_a_manifest_that_nests_deeply_is_refused(artifact_path: Path) -> None:
    artifact = Artifact.read(artifact_path)

    class Deep(Manifest):
        def to_json(self) -> str:
            return "[" * 200_000 + "]" * 200_000

    with pytest.raises(ArtifactCorruptError):
        Artifact.parse(seal(b"", Deep(**vars(artifact.manifest))))


BROKEN = {
    "a list": "[]",
    "a string": '"manifest"',
    "null": "null",
    "nothing": "",
    "two objects": "{manifest}{}",
    "an object that is not closed": '{"format": 1',
    "a key that stands twice": '{"format": 2, {inside}}',
    "a key that stands twice further in": '{"guard": {"a": 1, "a": 2}, {inside}}',
    "a number too large for floating point": '{"extra": 1e999, {inside}}',
    "a number of too many digits": '{"extra": {digits}, {inside}}',
    "deep nesting beside what belongs": '{"extra": {deep}, {inside}}',
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_manifest_that_is_no_plain_object_is_refused(name: str, artifact_path: Path) -> None:
    artifact = Artifact.read(artifact_path)
    manifest = artifact.manifest.to_json()
    text = BROKEN[name].replace("{manifest}", manifest).replace("{inside}", manifest[1:-1])
    text = text.replace("{digits}", "9" * 10_000).replace("{deep}", "[" * 200_000 + "]" * 200_000)
    with pytest.raises(ArtifactCorruptError, match=r"^forged\.onnx: [^\n]*$"):
        Artifact.parse(forged(artifact, text), "forged.onnx")


def replaced(value: Any, chance: random.Random) -> Any:
    """A copy of a JSON value with one of its leaves or branches replaced."""
    if isinstance(value, dict | list) and value and chance.random() < 0.9:
        copy = value.copy()
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        copy[key] = replaced(value[key], chance)
        return copy
    return chance.choice([None, True, -1, 0, 10**400, 1.5, float("nan"), "x", "\ud800", [], {}, [[]], [{}]])


def test_any_value_replaced_in_a_manifest_is_harmless_or_refused(artifact_path: Path) -> None:
    manifest = Artifact.read(artifact_path).manifest
    value = json.loads(manifest.to_json())
    chance, refused = random.Random(0), 0
    for _ in range(300):
        try:
            Artifact.parse(sealed(b"", manifest, json.dumps(replaced(value, chance))))
        except ArtifactError:
            refused += 1
    assert 100 < refused < 300


@pytest.mark.parametrize("huge", [10**8, 2**32 - 1])
def test_a_tokenizer_with_huge_ids_is_refused_and_does_not_end_the_process(
    huge: int, artifact_path: Path
) -> None:
    artifact = Artifact.read(artifact_path)
    tokenizer = json.loads(artifact.manifest.tokenizer_json)
    tokenizer["model"]["vocab"]["hello"] = huge
    content = resealed(artifact, lambda m: other_tokenizer_with_its_hash(m, json.dumps(tokenizer)))
    with pytest.raises(TokenizerError, match="eight digits"):
        Router(Artifact.parse(content))


def test_bytes_that_spell_another_format_are_read_as_onnx(router: Router, artifact_path: Path) -> None:
    artifact = Artifact.read(artifact_path)
    model = onnx.load_from_string(artifact.content)
    del model.metadata_props[:]
    unknown_field = b"\xa2\x06\x06\x00ORTM\x00"  # ONNX Runtime tells its own format by bytes 4 to 8
    content = seal(unknown_field + model.SerializeToString(), artifact.manifest)
    assert content[4:8] == b"ORTM"
    assert Router(Artifact.parse(content)).route("hello").sufficiency == router.route("hello").sufficiency


REFUSED_EARLY = """
import sys
from router_model import Router
from router_model.errors import ArtifactError

try:
    Router.load(sys.argv[1])
except ArtifactError:
    print("onnxruntime" in sys.modules)
"""


def test_weights_in_another_file_are_refused_before_onnx_runtime_is_even_imported(
    artifact_path: Path, tmp_path: Path
) -> None:
    artifact = Artifact.read(artifact_path)
    model = onnx.load_from_string(artifact.content)
    del model.metadata_props[:]
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    path = tmp_path / "far.onnx"
    path.write_bytes(seal(model.SerializeToString(), artifact.manifest))
    command = [sys.executable, "-c", REFUSED_EARLY, str(path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


def test_two_manifests_are_refused(artifact_path: Path) -> None:
    artifact = Artifact.read(artifact_path)
    model = onnx.load_from_string(artifact.content)
    del model.metadata_props[:]
    doubled = model.SerializeToString() + metadata_entry(MANIFEST_KEY, artifact.manifest.to_json())
    with pytest.raises(ArtifactCorruptError, match="twice"):
        Artifact.parse(seal(doubled, artifact.manifest))


def test_plain_onnx_runtime_and_onnx_read_the_artifact(artifact_path: Path) -> None:
    import onnxruntime

    model = onnx.load(str(artifact_path))
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(str(artifact_path), providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map[MANIFEST_KEY])["format"] == 1
    ids, features = np.array([[2054, 2003, 0]], np.int32), np.zeros((1, 7), np.float32)
    sufficiency, embedding = session.run(None, {"token_ids": ids, "features": features})
    assert sufficiency.shape == (1, 3)
    assert embedding.shape == (1, WIDTH)
