"""Hostile logs and folders of labels: labelling says no in one line, or goes on, and stays in its place."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from router_model.errors import FileError, RouterModelError
from router_model.serving.batch import parts as parts_module
from router_model.serving.batch.label import label
from router_model.serving.batch.labeller import Settings

SKIP = Settings(on_error="skip")

COLUMNS: dict[str, Any] = {
    "numbers": pa.array([1, 2, 3]),
    "nothing": pa.nulls(3),
    "bytes": pa.array([b"hello", b"\xff", None]),
    "lists": pa.array([["hello"], [], None]),
    "structs": pa.array([{"role": "user", "content": "hi"}, {"role": "user", "content": None}, None]),
    "dictionary": pa.array(["hi", "hi", None]).dictionary_encode(),
    "view": pa.array(["hi", None, "x" * 100], pa.string_view()),
    "large": pa.array(["hi", "x" * 3_000_000, None], pa.large_string()),
}


@pytest.mark.parametrize("column", ["prompt", "messages"])
@pytest.mark.parametrize("name", COLUMNS)
def test_prompts_of_any_type_are_labelled_or_refused_row_by_row(
    name: str, column: str, artifact_path: Path, tmp_path: Path
) -> None:
    source = tmp_path / "log.parquet"
    parquet.write_table(pa.table({column: COLUMNS[name], "id": range(3)}), source)
    for target in ("labels.parquet", "labels.jsonl", "labels.csv"):
        done = label(artifact_path, [source], tmp_path / target, SKIP)
        assert done.tally.rows == 3
        assert done.rows + done.bad_rows == 3
        assert not done.failed
    if done.bad_rows:
        with pytest.raises(RouterModelError, match=r"^.*log\.parquet:[123]: [^\n]*$"):
            label(artifact_path, [source], tmp_path / "stopped")


def test_names_of_files_columns_and_keys_are_data(artifact_path: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    odd = logs / 'a="b",c\n=d' / "x y'%20;&.jsonl"
    odd.parent.mkdir(parents=True)
    odd.write_text(json.dumps({"prompt": "hi", 'a"b\nc,': 1, "": 2, "__proto__": {}}) + "\n")
    (logs / "loop").symlink_to(logs)
    for target in ("labels", "labels.csv", "labels.jsonl", "labels.parquet"):
        done = label(artifact_path, [logs], tmp_path / target)
        assert done.rows == 1
    assert sorted(os.listdir(tmp_path)) == ["labels", "labels.csv", "labels.jsonl", "labels.parquet", "logs"]


def test_notes_that_were_altered_are_refused_and_lead_nowhere(artifact_path: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "log.jsonl", tmp_path / "labels"
    source.write_text('{"prompt": "hi"}\n')
    outside = tmp_path / "outside.parquet"
    outside.write_bytes(b"mine")
    label(artifact_path, [source], target)
    note = target / "_label" / "log-00000.json"
    whole = json.loads(note.read_text())
    for altered in (
        "",
        "[]",
        "{}",
        "9" * 5000,
        "[" * 100_000,
        json.dumps(whole | {"counts": {}}),
        json.dumps(whole | {"size": "many"}),
        json.dumps(whole | {"source": {"path": "x"}}),
        json.dumps(whole | {"tally": {"rows": None}}),
    ):
        note.write_text(altered)
        with pytest.raises(FileError, match=r"log-00000.json: cannot be read; delete it") as caught:
            label(artifact_path, [source], target)
        assert "\n" not in str(caught.value)
    moved = whole | {"source": whole["source"] | {"size": 1}}
    (target / "_label" / "..").mkdir(exist_ok=True)
    note.write_text(json.dumps(moved))
    assert label(artifact_path, [source], target).resumed_rows == 0
    assert outside.read_bytes() == b"mine"


def test_long_rows_are_read_few_at_a_time(
    artifact_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [os.urandom(100_000).hex() for _ in range(60)]
    source = tmp_path / "log.parquet"
    parquet.write_table(pa.table({"prompt": rows}), source)
    held: list[int] = []
    read = parts_module.Table

    def watched(*arguments: Any) -> Any:
        held.append(arguments[2].num_rows)
        return read(*arguments)

    monkeypatch.setattr(parts_module, "Table", watched)
    assert label(artifact_path, [source], tmp_path / "labels").rows == 60
    assert max(held) * 200_000 <= 2 * parts_module.BLOCK_BYTES
