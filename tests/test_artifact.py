"""The artifact: what it holds, and that it is read back as it was written."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from router_model.artifact import DIGEST_KEY, MANIFEST_KEY, SEAL_BYTES, Artifact, seal, write
from router_model.errors import ArtifactCorruptError, ArtifactError, ArtifactVersionError, FileError
from router_model.features import FEATURES, FEATURES_VERSION
from router_model.ladder import Ladder
from router_model.manifest import FORMAT, Manifest
from router_model.prompt import PROMPT_VERSION
from router_model.text import MAX_ASCII_CHARACTERS, MAX_OTHER_CHARACTERS
from router_model.wire import metadata_entry

FIELDS = {
    "format", "prompt_version", "features_version", "features", "max_characters", "ladder",
    "tokenizer_sha256", "max_tokens", "pairs", "frame", "providers", "encoder", "precision", "relative_cost",
    "output_tokens", "default_quality", "calibration", "certificate", "guard", "metrics", "data", "versions",
    "curve", "probes", "tokenizer",
}  # fmt: skip


@pytest.fixture(scope="module")
def artifact(artifact_path: Path) -> Artifact:
    return Artifact.read(artifact_path)


@pytest.fixture(scope="module")
def manifest_json(artifact: Artifact) -> dict[str, Any]:
    """The manifest as a stranger to this project reads it."""
    model = onnx.load_from_string(artifact.content)
    return json.loads({entry.key: entry.value for entry in model.metadata_props}[MANIFEST_KEY])


def graph_of(artifact: Artifact) -> bytes:
    """The model without its metadata."""
    entry = metadata_entry(MANIFEST_KEY, artifact.manifest.to_json())
    return artifact.content[:-SEAL_BYTES].removesuffix(entry)


def test_an_artifact_is_read_back_as_it_was_written(artifact: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "copy.onnx"
    write(path, seal(graph_of(artifact), artifact.manifest))
    found = Artifact.read(path)
    assert found.content == artifact.content
    assert found.manifest == artifact.manifest
    assert found.fingerprint == artifact.fingerprint
    assert found.name == str(path)


def test_a_manifest_is_read_back_from_its_json(artifact: Artifact) -> None:
    text = artifact.manifest.to_json()
    assert Manifest.from_json(text) == artifact.manifest
    assert Manifest.from_json(text).to_json() == text


def test_the_manifest_holds_all_that_is_to_be_known(
    artifact: Artifact, manifest_json: dict[str, Any], ladder: Ladder
) -> None:
    assert set(manifest_json) == FIELDS
    assert manifest_json["format"] == 1
    assert (manifest_json["prompt_version"], manifest_json["features_version"]) == (
        PROMPT_VERSION,
        FEATURES_VERSION,
    )
    assert tuple(manifest_json["features"]) == FEATURES
    assert manifest_json["max_characters"] == {"ascii": MAX_ASCII_CHARACTERS, "other": MAX_OTHER_CHARACTERS}
    assert (
        manifest_json["tokenizer_sha256"] == hashlib.sha256(manifest_json["tokenizer"].encode()).hexdigest()
    )
    assert Ladder.from_dict(manifest_json["ladder"]) == ladder == artifact.manifest.ladder
    assert len(manifest_json["relative_cost"]) == len(manifest_json["output_tokens"]) == len(ladder)
    assert manifest_json["relative_cost"][-1] == pytest.approx(1)
    assert manifest_json["data"]["fingerprint"]
    assert {"torch", "onnxruntime"} <= set(manifest_json["versions"])
    assert len(manifest_json["probes"]) >= 3
    assert all(len(probe["sufficiency"]) == len(ladder) for probe in manifest_json["probes"])


def test_the_curve_gives_quality_cost_and_shares_for_each_value_of_both_dials(artifact: Artifact) -> None:
    curve = artifact.manifest.curve
    for dial in ("quality", "budget"):
        values = [point.value for point in curve if point.dial == dial]
        assert values == sorted(set(values))
        assert max(values) == 1
    for point in curve:
        assert sum(point.shares) == pytest.approx(1)
        assert point.quality_interval[0] <= point.quality <= point.quality_interval[1]
        assert point.cost_interval[0] <= point.cost <= point.cost_interval[1]


def test_the_fingerprint_is_the_digest_of_all_bytes_before_the_seal(artifact: Artifact) -> None:
    assert artifact.fingerprint == hashlib.sha256(artifact.content[:-SEAL_BYTES]).hexdigest()
    assert artifact.content.endswith(artifact.fingerprint.encode())
    model = onnx.load_from_string(artifact.content)
    assert [entry.key for entry in model.metadata_props] == [MANIFEST_KEY, DIGEST_KEY]


def test_text_of_every_script_in_a_manifest_survives(artifact: Artifact) -> None:
    manifest = dataclasses.replace(artifact.manifest, guard={"message": "é字\U0001f680\u2028\0 \"'\n"})
    assert Artifact.parse(seal(graph_of(artifact), manifest)).manifest == manifest


def test_a_manifest_that_is_not_finite_is_not_written(artifact: Artifact) -> None:
    with pytest.raises(ValueError, match="JSON"):
        dataclasses.replace(artifact.manifest, metrics={"apgr": float("nan")}).to_json()


def test_what_would_not_be_read_back_is_not_written(artifact: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "router.onnx"
    path.write_bytes(b"what was there")
    bad = dataclasses.replace(artifact.manifest, max_tokens=0)
    with pytest.raises(ArtifactCorruptError, match=r"router\.onnx: "):
        write(path, seal(graph_of(artifact), bad))
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_field_is_named(manifest_json: dict[str, Any]) -> None:
    # Nobody reads the first; a file of format 1 may lack the others.
    for field in sorted(FIELDS - {"max_characters", "frame", "providers", "certificate"}):
        text = json.dumps({key: value for key, value in manifest_json.items() if key != field})
        with pytest.raises(ArtifactCorruptError, match=f"lacks '{field}'; get the file again"):
            Manifest.from_json(text)


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [
        ("format", 1, FORMAT),
        ("prompt_version", PROMPT_VERSION, PROMPT_VERSION),
        ("features_version", FEATURES_VERSION, FEATURES_VERSION),
    ],
)
def test_another_version_is_refused_with_its_cure(
    key: str, first: int, last: int, manifest_json: dict[str, Any]
) -> None:
    for version, cure in ((last + 1, "upgrade router-model"), (first - 1, "train the router again")):
        text = json.dumps({**manifest_json, key: version})
        with pytest.raises(ArtifactVersionError, match=rf"{key} is {version}, .*; {cure}"):
            Manifest.from_json(text)


def test_a_newer_format_is_named_as_such_whatever_else_it_changed() -> None:
    with pytest.raises(ArtifactVersionError, match="upgrade router-model"):
        Manifest.from_json(f'{{"format": {FORMAT + 1}, "everything": "else"}}')


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"absent\.onnx"):
        Artifact.read(tmp_path / "absent.onnx")
    with pytest.raises(FileError, match=str(tmp_path)):
        Artifact.read(tmp_path)


def test_an_onnx_file_of_another_maker_is_no_artifact(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"other\.onnx: not a router artifact; make one with"):
        Artifact.parse(graph_of(artifact), "other.onnx")
