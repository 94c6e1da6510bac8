"""Logs to record sets: the same rows whatever the packing, the processes and the kills in between."""

import dataclasses
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.cli import main
from router_model.data import blocks as blocks_module
from router_model.data.blocks import Rows, blocks
from router_model.data.columns import columns
from router_model.data.convert import Convert
from router_model.data.ingest import ingest
from router_model.data.readers import Reading, read_records
from router_model.data.records import checked_fields
from router_model.errors import ConfigError, DataError, FileError, RecordError
from router_model.lines import Lines

ROWS: list[dict[str, Any]] = [
    {"id": "a", "prompt": "one", "outcomes": {"s": 0.0, "l": 1.0}, "cost_usd": {"s": 0.1}, "task": "t"},
    {"messages": [{"role": "user", "content": "zwei"}], "model": "s", "outcome": 1, "propensity": 0.5},
    {"prompt": "三", "model_a": "s", "model_b": "l", "winner": "tie", "meta": {"deep": [1, {"x": None}]}},
    {"prompt": "", "best_tier": "small", "feedback": {"thumb": "up", "stars": 4}, "timestamp": "2026-01-01"},
    {"prompt": "p", "model": "s", "answer": "said", "reference": "known", "latency_ms": 3, "session": "q"},
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[Any]:
    return list(read_records(path))


def packed(path: Path, packing: str) -> Path:
    content = path.read_bytes()
    if packing == "gzip":
        path.write_bytes(gzip.compress(content))
    elif packing == "zstd":
        path.write_bytes(pa.compress(content, "zstd", asbytes=True))
    return path


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_records_read_back_equal(tmp_path: Path, ending: str) -> None:
    log, out = write(tmp_path / "log", ROWS), tmp_path / f"records{ending}"
    done = ingest([log], out)
    assert (done.tally.rows, done.tally.records, done.formats) == (5, 5, {str(log): "record"})
    assert read(out) == read(log)
    assert read(out)[1].id == f"{log}:2"
    assert set(os.listdir(tmp_path)) == {"log", out.name}


@pytest.mark.parametrize("packing", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("shape", ["lines", "crlf", "array", "objects", "csv", "parquet"])
def test_the_packing_and_the_shape_of_a_log_do_not_matter(tmp_path: Path, packing: str, shape: str) -> None:
    rows = [
        {"id": f"r{k}", "prompt": f'say, "{k}"\nplease', "outcomes": {"s": 0.5}, "task": "t"}
        for k in range(9)
    ]
    log = tmp_path / "log"
    lines = [json.dumps(row) for row in rows]
    table = ["id,prompt,outcomes,task"]
    table += [
        ",".join(
            '"' + (text if isinstance(text, str) else json.dumps(text)).replace('"', '""') + '"'
            for text in row.values()
        )
        for row in rows
    ]
    text = {
        "lines": "\n".join(lines),
        "crlf": "\r\n\r\n".join(lines),
        "array": json.dumps(rows, indent=2),
        "objects": "\n".join(json.dumps(row, indent=2) for row in rows),
        "csv": "\n".join(table),
        "parquet": "",
    }
    log.write_text(text[shape], newline="")
    if shape == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), log)
    else:
        packed(log, packing)
    ingest([log], tmp_path / "records.jsonl")
    assert [(r.id, r.request, r.outcomes, r.task) for r in read(tmp_path / "records.jsonl")] == [
        (row["id"], row["prompt"], row["outcomes"], row["task"]) for row in rows
    ]


def test_a_log_is_opened_by_its_uri(tmp_path: Path) -> None:
    log = write(tmp_path / "log", ROWS)
    done = ingest([log.as_uri()], tmp_path / "records.jsonl")
    assert done.tally.records == 5
    with pytest.raises(FileError, match=r"nope://x/y: .*; give a path, or a URI"):
        ingest(["nope://x/y"], tmp_path / "other.jsonl")


def test_a_zstandard_file_that_was_cut_short_is_named(tmp_path: Path) -> None:
    log = packed(write(tmp_path / "log", [{"prompt": f"{k * k}"} for k in range(9999)]), "zstd")
    log.write_bytes(log.read_bytes()[:-500])
    with pytest.raises(FileError, match="log: cut short or damaged"):
        ingest([log], tmp_path / "records.jsonl", on_error="skip")
    assert not (tmp_path / "records.jsonl").exists()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    lines=st.lists(
        st.sampled_from([b'{"prompt": "a"}', b"", b" ", b"broken", b"[]", b"\xff", b'{"prompt": 1}', b"3 4"])
    ),
    ending=st.sampled_from([b"\n", b"\r\n"]),
    size=st.integers(1, 40),
)
def test_blocks_hold_what_the_reader_reads_wherever_they_are_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ending: bytes, size: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(b'{"prompt": "first"}\n' + ending.join(lines))
    reading = Reading(skip_bad=True)
    expected = [record.id for record in read_records(path, reading)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "BLOCK_BYTES", size)
        placed = [placed for block in blocks(path) for placed in block.rows()]
    refused = [(where, str(row)) for where, row in placed if isinstance(row, RecordError)]
    assert all(message.startswith(f"{where}: ") for where, message in refused)
    done = Convert(list, stop=False)(("record", Rows(placed)))
    assert [fields["id"] for fields in done.encoded] == expected
    assert sum(reason.count for reason in done.tally.refused.values()) == reading.bad


def test_several_processes_write_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 3000)
    rows = [ROWS[k % 5] | {"id": f"r{k}"} for k in range(500)]
    rows[123]["prompt"] = rows[401]["prompt"] = 7
    logs = [write(tmp_path / "one", rows[:200]), packed(write(tmp_path / "two", rows[200:]), "gzip")]
    one = ingest(logs, tmp_path / "one.parquet", on_error="skip", workers=1)
    three = ingest(logs, tmp_path / "three.parquet", on_error="skip", workers=3)
    assert dataclasses.replace(one, out="") == dataclasses.replace(three, out="")
    assert one.tally.records == 498
    assert pq.read_table(tmp_path / "one.parquet").equals(pq.read_table(tmp_path / "three.parquet"))
    with pytest.raises(RecordError, match=r"one:124: field 'prompt' is int"):
        ingest(logs, tmp_path / "stopped.parquet", workers=3)
    assert not (tmp_path / "stopped.parquet").exists()


def test_broken_rows_and_what_is_dropped_are_counted_by_reason(tmp_path: Path) -> None:
    rows = [{"call_type": "aembedding", "response_cost": 0.1}] * 5
    rows += [{"call_type": "completion", "response_cost": 0.1, "messages": "hi", "model": "m"}, [], 3, []]
    log = write(tmp_path / "log", rows)
    tally = ingest([log], tmp_path / "out.jsonl", on_error="skip").tally
    assert (tally.rows, tally.records) == (9, 1)
    ((reason, dropped),) = tally.dropped.items()
    assert reason == "a call that asks for no text (call_type)"
    assert (dropped.count, dropped.examples) == (5, [f"{log}:{k}" for k in (1, 2, 3)])
    lists = tally.refused["a row is list; give one JSON object a line"]
    assert (lists.count, lists.examples) == (2, [f"{log}:7", f"{log}:9"])


def test_a_bad_record_of_a_row_that_holds_several_takes_no_other_with_it(tmp_path: Path) -> None:
    good = {"type": "GENERATION", "model": "m", "input": "hi", "traceId": "t", "startTime": "2026-01-01"}
    observations = [good | {"id": "a"}, good | {"id": "b", "costDetails": {"total": -1}}, good | {"id": "c"}]
    log = write(tmp_path / "log", [{"observations": observations, "timestamp": "2026-01-01"}])
    tally = ingest([log], tmp_path / "out.jsonl", on_error="skip").tally
    assert [record.id for record in read(tmp_path / "out.jsonl")] == ["a", "c"]
    assert [reason.examples for reason in tally.refused.values()] == [[f"{log}:1#2"]]
    with pytest.raises(FileError, match=r"absent: .*; give a file that can be read"):
        ingest([tmp_path / "absent"], tmp_path / "out.jsonl", format="record")


def test_a_step_changes_rows_or_leaves_them_out_before_they_are_written(tmp_path: Path) -> None:
    def redact(row: dict[str, Any]) -> dict[str, Any] | None:
        return None if row.get("best_tier") else row | {"prompt": "[redacted]"}

    log = write(tmp_path / "log", [row for row in ROWS if "prompt" in row])
    tally = ingest([log], tmp_path / "out.jsonl", steps=[redact], workers=1).tally
    assert {record.request for record in read(tmp_path / "out.jsonl")} == {"[redacted]"}
    assert tally.dropped["left out by redact"].count == 1
    assert b"one" not in (tmp_path / "out.jsonl").read_bytes()


def test_a_log_without_records_writes_nothing(tmp_path: Path) -> None:
    for name, rows in (("empty", []), ("embeddings", [{"call_type": "aembedding", "spend": 1}])):
        with pytest.raises(DataError, match="no record in"):
            ingest([write(tmp_path / name, rows)], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_wrong_name_is_refused_at_once(tmp_path: Path) -> None:
    log = write(tmp_path / "log", ROWS)
    with pytest.raises(ConfigError, match=r"give a name that ends in \.parquet"):
        ingest([log], tmp_path / "out.csv")
    with pytest.raises(ConfigError, match="no such format; give one of otel, litellm"):
        ingest([log], tmp_path / "out.jsonl", format="bogus")


def test_texts_that_utf8_cannot_hold_and_times_of_several_kinds_have_a_place_in_a_column() -> None:
    rows = [
        {"prompt": "half \ud800", "timestamp": 0, "answer": {"\udc00": "x"}},
        {"prompt": "b", "timestamp": "x"},
    ]
    table = columns([checked_fields(row, "log:1") for row in rows]).to_pylist()
    assert [row["prompt"] for row in table] == ["half ?", "b"]
    assert [row["timestamp"] for row in table] == ["1970-01-01T00:00:00+00:00", "x"]
    assert table[0]["answer"] == [("?", "x")]


def test_only_one_process_writes_a_record_set_at_a_time(tmp_path: Path) -> None:
    from router_model.data.output import writer

    with writer(tmp_path / "out.jsonl"), pytest.raises(FileError, match="another process is writing it"):
        ingest([write(tmp_path / "log", ROWS)], tmp_path / "out.jsonl")


def test_the_command_tells_what_was_read_dropped_and_why(tmp_path: Path) -> None:
    log, out = write(tmp_path / "log", [*ROWS, []]), tmp_path / "out.parquet"
    run = CliRunner().invoke
    assert run(main, ["ingest", str(log), "--out", str(out)]).exit_code == 1
    done = run(main, ["ingest", str(log), "--out", str(out), "--on-error", "skip"])
    assert done.exit_code == 0
    assert f"refused 1: a row is list; give one JSON object a line (first: {log}:6)" in done.stdout
    assert f"{out}: 5 records of 6 rows" in done.stdout
    done = run(main, ["ingest", str(log), "--out", str(out), "--on-error", "skip", "--json"])
    assert json.loads(done.stdout)["tally"]["records"] == 5
    assert run(main, ["ingest", str(log), "--out", "out.csv"]).exit_code == 2


def test_the_command_redacts_before_it_writes(tmp_path: Path) -> None:
    said = {"prompt": "I am ada@example.com", "model": "s", "answer": "Noted: ada@example.com"}
    log, out = write(tmp_path / "log", [said]), tmp_path / "records.jsonl"
    found = CliRunner().invoke(main, ["ingest", str(log), "--out", str(out), "--redact"])
    assert found.exit_code == 0, found.output
    assert [record.prompt.text for record in read(out)] == ["I am <EMAIL>"]
    assert "ada@" not in out.read_text()


def test_a_killed_run_leaves_the_old_file_no_process_and_a_second_run_writes_every_row(
    tmp_path: Path,
) -> None:
    rows = [{"id": f"r{k}", "prompt": f"prompt {k} " * 60, "outcomes": {"s": 1.0}} for k in range(30_000)]
    log, out, whole = write(tmp_path / "log", rows), tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    ingest([log], whole)
    out.write_bytes(b"old")
    command = [
        sys.executable,
        "-m",
        "router_model.cli",
        "ingest",
        str(log),
        "--out",
        str(out),
        "--workers",
        "2",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    partial = tmp_path / ".out.jsonl.partial"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 1e6) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert out.read_bytes() == b"old"
    assert 1e6 < partial.stat().st_size < whole.stat().st_size
    while _running(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _running(process.pid)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    assert out.read_bytes() == whole.read_bytes()
    assert len(read(out)) == len(rows)
    assert not partial.exists()


def _running(session: int) -> bool:
    """Whether a process of a session of its own is left."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_that_is_killed_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    log = write(tmp_path / "log", ROWS)
    with pytest.raises(DataError, match="a worker process was ended from outside"):
        ingest([log], tmp_path / "out.jsonl", steps=[_die], workers=2)
    assert sorted(os.listdir(tmp_path)) == ["log"]


def _die(row: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return row


def test_a_line_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_model.jsonl.MAX_LINE_BYTES", 1000)
    monkeypatch.setattr("router_model.lines.MAX_LINE_BYTES", 1000)
    block = Lines("log", 6, b'{"prompt": "' + b"a" * 1000 + b'"}')
    done = Convert(list, stop=False)(("record", block))
    assert str(done.error) == "log:7: the line is longer than 1000 bytes; split it or leave it out"
