"""Deletion by tenant and session: the right rows, the others as they were, in one step."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from router_model.cli import main
from router_model.data.privacy.hashing import hashed_name, read_hash_key

LINES = [
    '{"prompt": "a",  "tenant": "acme", "session": "1"}',
    '{"prompt": "b", "tenant": "other", "session": "acme"}',
    '{"prompt": "c", "tenant": 7, "session": "2"}',
    '{"prompt": "acme"}',
]


def forget(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["forget", *map(str, arguments), "--json"])


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--tenant", "acme"], [1, 2, 3]),
        (["--session", "acme"], [0, 2, 3]),
        (["--tenant", "acme", "--tenant", "7", "--session", "9"], [1, 3]),
        (["--tenant", "other", "--session", "1"], [2, 3]),
    ],
)
def test_the_rows_go_and_the_others_stay_byte_for_byte(
    tmp_path: Path, pack: bool, options: list[str], left: list[int]
) -> None:
    path = tmp_path / "log.jsonl"
    content = "".join(f"{line}\n" for line in LINES).encode()
    path.write_bytes(gzip.compress(content) if pack else content)
    done = forget(path, "--out", path, *options)
    assert json.loads(done.stdout) == {"rows": 4, "deleted": 4 - len(left)}
    assert done.exit_code == 0
    written = gzip.decompress(path.read_bytes()) if pack else path.read_bytes()
    assert written.decode().splitlines() == [LINES[number] for number in left]


def test_parquet_keeps_its_schema_and_the_order(tmp_path: Path) -> None:
    source, out = tmp_path / "log.parquet", tmp_path / "out.parquet"
    table = pa.table({"n": range(3000), "tenant": [f"t{n % 3}" for n in range(3000)], "prompt": ["x"] * 3000})
    pq.write_table(table, source)
    assert json.loads(forget(source, "--out", out, "--tenant", "t1").stdout) == {
        "rows": 3000,
        "deleted": 1000,
    }
    left = pq.read_table(out)
    assert left.schema == table.schema
    assert left.column("n").to_pylist() == [n for n in range(3000) if n % 3 != 1]


def test_no_match_ends_with_status_1_unless_it_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(LINES[0] + "\n")
    assert forget(path, "--out", path, "--tenant", "nobody").exit_code == 1
    assert forget(path, "--out", path, "--tenant", "nobody", "--missing-ok").exit_code == 0
    assert forget(path, "--out", path).exit_code == 2
    assert path.read_text() == LINES[0] + "\n"


def test_a_bad_line_stops_the_work_and_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(LINES[0] + "\n{broken\n")
    before = path.read_bytes()
    done = forget(path, "--out", path, "--tenant", "acme")
    assert done.exit_code == 1
    assert "log.jsonl:2" in done.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_hashed_set_is_deleted_from_by_name_with_its_key(tmp_path: Path) -> None:
    source, path, key = tmp_path / "log.jsonl", tmp_path / "hashed.jsonl", tmp_path / "key"
    source.write_text("".join(f"{line}\n" for line in LINES))
    CliRunner().invoke(
        main, ["redact", str(source), "--out", str(path), "--hash-prompts", "--key-file", str(key)]
    )
    done = forget(path, "--out", path, "--tenant", "acme", "--key-file", key)
    assert json.loads(done.stdout) == {"rows": 4, "deleted": 1}
    assert hashed_name(read_hash_key(key), "tenant", "acme") not in path.read_text()
