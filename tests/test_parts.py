"""Sources in parts: every row once, in order, wherever a file is cut, and the same cuts each time."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import ConfigError, FileError, RecordError
from router_model.serving.batch import parts as parts_module
from router_model.serving.batch.blocks import Objects
from router_model.serving.batch.inputs import Source, sources
from router_model.serving.batch.parts import Part, ordered, parts


def source_of(path: Path) -> Source:
    (source,) = sources([path])
    return source


def rows_of(part: Part) -> list[tuple[str, Any]]:
    """(place, id) of each row."""
    found = []
    for block in part.content.blocks(None):
        assert not isinstance(block, RecordError)
        ids = block.column("id")
        values = ids if isinstance(block, Objects) else ids.to_pylist()
        found += [(block.place(position), value) for position, value in enumerate(values)]
    return found


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.integers(0, 40), max_size=8),
    part=st.integers(1, 50),
    block=st.integers(1, 20),
)
def test_parquet_rows_are_read_once_and_in_order(
    groups: list[int], part: int, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("parts") / "log.parquet"
    schema = pa.schema([("id", pa.int64()), ("prompt", pa.string())])
    first = 0
    with parquet.ParquetWriter(path, schema) as out:
        for rows in groups:
            ids = list(range(first, first + rows))
            out.write_table(pa.table({"id": ids, "prompt": ["x"] * rows}, schema))
            first += rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_module, "PART_ROWS", part)
        patch.setattr(parts_module, "BLOCK_ROWS", block)
        cut = list(parts(source_of(path)))
        again = list(parts(source_of(path)))
        found = [row for one in cut for row in rows_of(one)]
    assert cut == again
    assert found == [(f"{path}:{number + 1}", number) for number in range(first)]
    assert all(sum(1 for _ in rows_of(one)) <= part for one in cut)
    assert ordered(reversed([one.name for one in cut]), [source_of(path)]) == [one.name for one in cut]


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(max_size=30), max_size=60), size=st.integers(50, 500), packed=st.booleans())
def test_text_is_read_once_and_in_order(
    texts: list[str], size: int, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    lines = "".join(json.dumps({"id": text}) + "\n" for text in texts).encode()
    (folder / "log.jsonl").write_bytes(gzip.compress(lines) if packed else lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_module, "PART_BYTES", size)
        found = [row for part in parts(source_of(folder / "log.jsonl")) for row in rows_of(part)]
    path = folder / "log.jsonl"
    assert found == [(f"{path}:{number + 1}", text) for number, text in enumerate(texts)]


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1), min_size=1),
    size=st.integers(50, 500),
)
def test_cells_hold_what_was_written(
    texts: list[str], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("parts") / "log.csv"
    pa_csv.write_csv(pa.table({"id": texts, "n": ["007"] * len(texts)}), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_module, "PART_BYTES", size)
        patch.setattr(parts_module, "CELL_BYTES", 1 << 12)
        found = [value for part in parts(source_of(path)) for _, value in rows_of(part)]
    assert found == texts


def test_sizes_of_parts_add_up_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "PART_ROWS", 10)
    parquet.write_table(pa.table({"id": range(100)}), tmp_path / "log.parquet", row_group_size=7)
    source = source_of(tmp_path / "log.parquet")
    assert sum(part.size for part in parts(source)) == pytest.approx(source.size, rel=0.05)
    (tmp_path / "log.jsonl").write_bytes(b'{"id": 1}\n' * 1000)
    source = source_of(tmp_path / "log.jsonl")
    assert sum(part.size for part in parts(source)) == source.size


def test_names_are_those_below_the_folder_that_was_named(tmp_path: Path) -> None:
    for name in (
        "a/x.jsonl.gz",
        "a/x.csv",
        "a/day=1/y.parquet",
        "a/_temporary/z.jsonl",
        "a/.z.jsonl",
        "b/x.csv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = sources([tmp_path / "a"])
    assert [source.name for source in found] == ["x", "x.jsonl.gz", "day=1/y"]
    assert found[2].keys == {"day": "1"}
    assert [source.name for source in sources([f"{tmp_path}/*/x.csv"])] == ["a/x", "b/x"]
    assert len(sources([tmp_path / "a", tmp_path / "a" / "x.csv"])) == 3
    same = [tmp_path / "a" / "x.csv", tmp_path / "b" / "x.csv"]
    assert [source.name for source in sources(same)] == ["x", "x.csv"]
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x.csv").write_bytes(b"")
    with pytest.raises(ConfigError, match="would have one name"):
        sources([*same, tmp_path / "c" / "x.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="no file there"):
        sources([tmp_path / "empty"])
    with pytest.raises(FileError, match=r"NUL|null"):
        sources(["a\0b"])
