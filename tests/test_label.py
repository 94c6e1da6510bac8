"""Labelling a log: the same decisions as one by one, in order, and nothing half written."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from router_model.errors import DialError, FileError, RecordError
from router_model.router import Router
from router_model.serving.batch.label import BLOCK_ROWS, label

MESSAGES = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": [{"type": "text", "text": "Prove the lemma."}]},
]
ROWS: list[dict[str, Any]] = [
    {"id": "one", "prompt": "hello thanks"},
    {"id": 2, "prompt": ""},
    {"prompt": "日本語のテキスト 😀"},
    {"id": None, "messages": MESSAGES},
    {"id": 2.5, "prompt": None, "messages": MESSAGES, "outcomes": {"model-s": 1}},
    {"id": "\ud800", "prompt": "lone \ud800 surrogate"},
    {"id": "long", "prompt": "word " * 5000},
]


def file_of(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def command(
    artifact: Path, *arguments: str | Path, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    whole = [sys.executable, "-m", "router_model.cli", "label", str(artifact), *map(str, arguments)]
    return subprocess.run(whole, capture_output=True, input=given)


def test_rows_are_labelled_as_the_router_routes_them_one_by_one(router: Router, tmp_path: Path) -> None:
    source, target = file_of(tmp_path / "log.jsonl", ROWS), tmp_path / "labels.jsonl"
    done = label(router, source, target, quality=0.9)
    assert [row["id"] for row in rows_of(target)][:3] == ["one", 2, f"{source}:3"]
    for row, found in zip(ROWS, rows_of(target), strict=True):
        alone = router.route(row.get("messages") or row["prompt"], quality=0.9)
        assert (found["tier"], found["model"]) == (alone.tier, alone.model)
        assert found["sufficiency"] == pytest.approx(alone.sufficiency, abs=1e-5)
        assert found["expected_quality"] == pytest.approx(alone.expected_quality, abs=1e-5)
        assert found["expected_cost_usd"] == pytest.approx(alone.expected_cost_usd)
        assert found["truncated"] == alone.truncated
    assert (done.rows, done.bad_rows) == (len(ROWS), 0)
    assert sum(done.tiers.values()) == len(ROWS)
    assert done.expected_cost_usd == pytest.approx(sum(row["expected_cost_usd"] for row in rows_of(target)))


def test_order_is_kept_over_several_blocks(router: Router, log_path: Path, tmp_path: Path) -> None:
    rows = [row | {"id": number} for number, row in enumerate(rows_of(log_path) * 6)]
    assert len(rows) > 2 * BLOCK_ROWS
    progress: list[int] = []
    target = tmp_path / "labels.jsonl"
    label(router, file_of(tmp_path / "log.jsonl", rows), target, rows_done=progress.append)
    found = rows_of(target)
    assert [row["id"] for row in found] == list(range(len(rows)))
    assert progress == [BLOCK_ROWS, 2 * BLOCK_ROWS, len(rows)]
    strip = [{key: value for key, value in row.items() if key != "id"} for row in found]
    assert [row["tier"] for row in strip[:400]] == [row["tier"] for row in strip[400:800]]


def test_the_dial_decides(router: Router, log_path: Path, tmp_path: Path) -> None:
    costs = [
        label(router, log_path, tmp_path / "labels.jsonl", **{dial: value}).expected_cost_usd  # type: ignore[arg-type]
        for dial, value in (("budget", 0.05), ("quality", 0.9), ("quality", 1.0))
    ]
    assert costs == sorted(costs)
    assert costs[0] < costs[2]


def test_gzip_is_read_and_written(router: Router, tmp_path: Path) -> None:
    plain = file_of(tmp_path / "log.jsonl", ROWS[:3])
    packed, target = tmp_path / "log.jsonl.gz", tmp_path / "labels.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    label(router, packed, target)
    label(router, plain, tmp_path / "labels.jsonl")
    found = [json.loads(line) for line in gzip.decompress(target.read_bytes()).splitlines()]
    assert [row | {"id": 0} for row in found] == [
        row | {"id": 0} for row in rows_of(tmp_path / "labels.jsonl")
    ]


def test_standard_input_to_standard_output(artifact_path: Path, router: Router, tmp_path: Path) -> None:
    source, target = file_of(tmp_path / "log.jsonl", ROWS), tmp_path / "labels.jsonl"
    done = command(artifact_path, "-", given=source.read_bytes())
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    label(router, source, target)
    expected = [
        row | {"id": str(row["id"]).replace(str(source), "standard input")} for row in rows_of(target)
    ]
    assert [row | {"id": str(row["id"])} for row in found] == expected
    assert done.stderr.decode().startswith(f"{len(ROWS)} rows labelled, 0 skipped: ")


BAD = {
    "not JSON": b'{"prompt": ',
    "not UTF-8": b'{"prompt": "\xff"}',
    "a list": b"[1]",
    "no prompt": b'{"id": 1}',
    "a number as prompt": b'{"prompt": 7}',
    "messages of numbers": b'{"messages": [1]}',
    "no messages": b'{"messages": []}',
    "an id that is no name": b'{"prompt": "a", "id": [1]}',
    "an id that is no number": b'{"prompt": "a", "id": NaN}',
    "an endless id": b'{"prompt": "a", "id": 1e999}',
    "nesting": b'{"prompt": "a", "id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_stops_and_leaves_what_was_there_or_is_skipped(
    name: str, router: Router, tmp_path: Path
) -> None:
    source, target = tmp_path / "log.jsonl", tmp_path / "labels.jsonl"
    source.write_bytes(b'{"prompt": "before"}\n' + BAD[name] + b'\n\n{"prompt": "after"}\n')
    target.write_text("what was there")
    with pytest.raises(RecordError) as caught:
        label(router, source, target)
    assert str(caught.value).startswith(f"{source}:2: ")
    assert "\n" not in str(caught.value)
    assert target.read_text() == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.jsonl", "log.jsonl"]

    done = label(router, source, target, skip_bad=True)
    assert (done.rows, done.bad_rows) == (2, 1)
    assert [row["id"] for row in rows_of(target)] == [f"{source}:1", f"{source}:4"]


def test_a_file_may_be_labelled_onto_itself(router: Router, tmp_path: Path) -> None:
    path = file_of(tmp_path / "log.jsonl", ROWS[:2])
    label(router, path, path)
    assert [set(row) >= {"id", "tier"} for row in rows_of(path)] == [True, True]


def test_an_empty_log_gives_an_empty_file(router: Router, tmp_path: Path) -> None:
    target = tmp_path / "labels.jsonl"
    assert label(router, file_of(tmp_path / "log.jsonl", []), target).rows == 0
    assert target.read_bytes() == b""


def test_files_that_cannot_be_read_or_written_are_named(router: Router, tmp_path: Path) -> None:
    source = file_of(tmp_path / "log.jsonl", ROWS[:1])
    with pytest.raises(FileError, match="nowhere"):
        label(router, tmp_path / "nowhere.jsonl", tmp_path / "labels.jsonl")
    with pytest.raises(FileError, match="nowhere"):
        label(router, source, tmp_path / "nowhere" / "labels.jsonl")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(source.read_bytes())[:-4])
    with pytest.raises(FileError, match="cut short"):
        label(router, tmp_path / "cut.gz", tmp_path / "labels.jsonl")
    assert not (tmp_path / "labels.jsonl").exists()


def test_a_wrong_dial_is_refused_before_a_row_is_read(router: Router, tmp_path: Path) -> None:
    with pytest.raises(DialError, match="quality=2"):
        label(router, tmp_path / "missing.jsonl", tmp_path / "labels.jsonl", quality=2.0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_ends_in_one_line(artifact_path: Path, log_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        whole = [sys.executable, "-m", "router_model.cli", "label", str(artifact_path), str(log_path)]
        done = subprocess.run(whole, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.decode() == "router-model: standard output: No space left on device\n"


def test_a_reader_that_leaves_early_ends_it_quietly(artifact_path: Path, log_path: Path) -> None:
    whole = [sys.executable, "-m", "router_model.cli", "label", str(artifact_path), "-"]
    with subprocess.Popen(
        whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(log_path.read_bytes())
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
