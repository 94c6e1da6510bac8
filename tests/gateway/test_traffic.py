"""The traffic log: what it keeps, that readers read it, and that kills, full disks and floods do no harm."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from router_model.data.ingest import ingest
from router_model.data.privacy.redaction import redact
from router_model.data.readers import read_records
from router_model.data.records import Record, parse_record, to_row
from router_model.data.told import Told
from router_model.errors import FileError, GatewayConfigError, RecordError
from router_model.features import featurize
from router_model.prompt import read
from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.call import Asked, Call, Endpoint
from router_model.serving.gateway.config.traffic import Traffic
from router_model.serving.gateway.feedback import Feedback
from router_model.serving.gateway.keys import Caller
from router_model.serving.gateway.traffic import TrafficLog
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.words import WordsKept

ADA = Caller("ada-key", "acme", frozenset())
MORNING = datetime(2026, 3, 1, 8, tzinfo=UTC).timestamp()
ENTRY = Entry(
    request_id="r1", time=MORNING, caller=ADA, endpoint="chat", tier="small", provider="near", model="gpt-s",
    status=200, usage=Usage(100, 20), cost_usd=0.25, strongest_usd=1.0, seconds=0.5, first_byte_seconds=0.1,
    propensity=0.875, explored=True, session="talk 1",
)  # fmt: skip
CONVERSATION = [{"role": "user", "content": "Mail ada@example.com,\u2028please"}]


def call(body: dict[str, Any], endpoint: Endpoint = "chat") -> Call:
    return Call(endpoint, json.dumps(body).encode(), body, Asked("auto"), False, frozenset(), 1, 0)


CALL = call({"model": "auto", "messages": CONVERSATION})


def log(folder: Path, words: str = "whole", **more: Any) -> TrafficLog:
    """A log that flushes at once."""
    kept = WordsKept(words, redact, lambda field, text: f"{field} of {len(text)}")  # type: ignore[arg-type]
    config = Traffic(folder="", words=words, flush_seconds=0.01, **more)  # type: ignore[arg-type]
    return TrafficLog(config, folder, kept, models={"small": "small-8b"})


def written(folder: Path, *items: tuple[Entry, Call], words: str = "whole", **more: Any) -> list[Path]:
    opened = log(folder, words, **more)
    opened.open()
    for entry, of in items:
        opened.add(entry, of)
    opened.close()
    return sorted(folder.glob("date=*/part-*.parquet"))


def records(folder: Path) -> list[Record]:
    return [r for part in sorted(folder.glob("date=*/part-*.parquet")) for r in read_records(part)]


def until(true: Callable[[], Any]) -> None:
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_row_is_a_record_with_its_choice_its_propensity_and_what_it_cost(tmp_path: Path) -> None:
    (part,) = written(tmp_path, (ENTRY, CALL))
    assert part.parent.name == "date=2026-03-01"
    (record,) = read_records(part)
    assert record.id == "r1"
    assert record.request == CONVERSATION
    assert (record.model, record.propensity) == ("small-8b", 0.875)
    assert record.cost_usd == {"small-8b": 0.25}
    assert record.output_tokens == {"small-8b": 20}
    assert record.latency_ms == {"small-8b": 500}
    assert (record.input_tokens, record.session, record.tenant) == (100, "talk 1", "acme")
    assert record.timestamp == "2026-03-01T08:00:00+00:00"
    assert record.meta["tier"] == "small"
    assert record.meta["explored"] is True
    assert record.meta["provider_model"] == "gpt-s"


@pytest.mark.parametrize(
    "entry",
    [
        replace(ENTRY, status=502, cost_usd=0.0, usage=Usage(0, 0)),
        replace(ENTRY, cached="exact", cost_usd=0.0, usage=Usage(0, 0)),
        replace(ENTRY, cached="semantic", cost_usd=0.0, usage=Usage(0, 0)),
    ],
)
def test_a_failure_and_an_answer_of_the_cache_say_nothing_of_what_a_model_costs(
    tmp_path: Path, entry: Entry
) -> None:
    written(tmp_path, (entry, CALL))
    (record,) = records(tmp_path)
    assert (record.cost_usd, record.latency_ms, record.output_tokens) == ({}, {}, {})
    assert record.input_tokens is None  # not 0, which would be a prompt that costs nothing
    assert record.model == ("small-8b" if entry.cached == "exact" else None)


def test_rows_of_two_days_stand_under_their_dates(tmp_path: Path) -> None:
    parts = written(tmp_path, (ENTRY, CALL), (replace(ENTRY, time=MORNING + 86_400, request_id="r2"), CALL))
    assert [part.parent.name for part in parts] == ["date=2026-03-01", "date=2026-03-02"]
    assert [record.id for record in records(tmp_path)] == ["r1", "r2"]


def test_redacted_keeps_the_text_without_its_secrets(tmp_path: Path) -> None:
    written(tmp_path, (replace(ENTRY, session="bob@example.com"), CALL), words="redacted")
    (record,) = records(tmp_path)
    assert record.request == [{"role": "user", "content": "Mail <EMAIL>,\u2028please"}]
    assert record.session == "<EMAIL>"


@pytest.mark.parametrize("words", ["off", "hashed"])
def test_off_and_hashed_keep_no_word(tmp_path: Path, words: str) -> None:
    (part,) = written(tmp_path, (ENTRY, CALL), words=words)
    (row,) = parquet.ParquetFile(part).read().to_pylist()
    assert (row["prompt"], row["messages"]) == (None, None)
    assert row["prompt_hash"] == ("prompt of 28" if words == "hashed" else None)
    assert bool(row["features"]) == (words == "hashed")
    assert row["session"] == ("session of 6" if words == "hashed" else None)
    assert "example" not in str(row)
    with pytest.raises(RecordError):
        list(read_records(part))


@pytest.mark.parametrize(
    ("body", "endpoint", "request_"),
    [
        ({"prompt": "once"}, "completions", "once"),
        ({"prompt": ["once", "twice"]}, "completions", "once\ntwice"),
        ({"prompt": [1, 2, 3]}, "completions", ""),
        ({"input": "hi"}, "responses", "hi"),
        (
            {"input": "hi", "instructions": "be brief"},
            "responses",
            [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        ),
        (
            {
                "system": "be brief",
                "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            },
            "messages",
            [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            ],
        ),
        ({"messages": []}, "chat", ""),
        ({"messages": "hi"}, "chat", "hi"),
        ({"messages": [None]}, "chat", ""),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "chat", [{"role": "user", "content": "?"}]),
    ],
)
def test_every_shape_of_body_is_a_record(
    tmp_path: Path, body: dict[str, Any], endpoint: Endpoint, request_: Any
) -> None:
    written(tmp_path, (ENTRY, call(body, endpoint)))
    (record,) = records(tmp_path)
    assert record.request == request_


def test_of_a_long_request_the_log_keeps_what_the_router_reads(tmp_path: Path) -> None:
    long = call({"messages": [{"role": "user", "content": "first " + "x" * 400_000 + " last"}]})
    written(tmp_path, (ENTRY, long))
    (record,) = records(tmp_path)
    assert isinstance(record.request, str)
    assert record.request.startswith("first x")
    assert record.request.endswith("x last")
    assert len(record.request) < 3000


@pytest.mark.parametrize("words", ["whole", "redacted"])
def test_training_sees_of_a_long_request_what_the_router_saw(tmp_path: Path, words: str) -> None:
    used = {"type": "function", "id": "1", "function": {"name": "look", "arguments": "{}"}}
    said = [
        {"role": "system", "content": "You are an agent."},
        *[
            {"role": "assistant", "content": "", "tool_calls": [used]},
            {"role": "tool", "tool_call_id": "1", "content": "line of a file; " * 2000},
        ]
        * 10,
        {"role": "user", "content": "Go on."},
    ]
    written(tmp_path, (ENTRY, call({"messages": said})), words=words)
    (record,) = records(tmp_path)
    assert isinstance(record.request, str)
    assert record.prompt == read({"messages": said})
    again = parse_record(to_row(record), "ingested")
    assert again.prompt == record.prompt
    assert featurize(again.prompt)[0] > 12


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["messages", "prompt", "input", "system"]), json_values), max_size=8
    )
)
def test_whatever_a_body_holds_its_row_is_there_and_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    items = [(replace(ENTRY, request_id=str(number)), call(body)) for number, body in enumerate(bodies)]
    written(folder, *items)
    assert [record.id for record in records(folder)] == [str(number) for number in range(len(bodies))]


def test_parts_end_after_so_many_rows(tmp_path: Path) -> None:
    opened = log(tmp_path, part_rows=10)
    opened.open()
    for part in range(3):
        for number in range(10):
            opened.add(replace(ENTRY, request_id=f"{part}-{number}"), CALL)
        until(lambda part=part: len(list(tmp_path.glob("date=*/part-*"))) == part + 1)  # type: ignore[misc]
    opened.close()
    assert len(records(tmp_path)) == 30


def test_a_part_ends_after_so_long_though_nothing_comes(tmp_path: Path) -> None:
    opened = log(tmp_path, part_seconds=0.05)
    opened.open()
    opened.add(ENTRY, CALL)
    until(lambda: list(tmp_path.glob("date=*/part-*")))
    opened.close()
    assert len(records(tmp_path)) == 1


def test_a_full_queue_drops_and_counts_and_nobody_waits(tmp_path: Path) -> None:
    opened = log(tmp_path, queue=10)
    for _ in range(25):
        opened.add(ENTRY, CALL)
    opened.open()
    opened.close()
    assert opened.counts() == {"written": 10, "dropped": 15, "refused": 0}
    assert len(records(tmp_path)) == 10


def test_bodies_that_wait_take_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_model.serving.gateway.traffic.QUEUED_BYTES", 10 * len(CALL.raw))
    opened = log(tmp_path)
    for _ in range(25):
        opened.add(ENTRY, CALL)
    opened.open()
    until(lambda: opened.counts()["written"] == 10)
    opened.add(ENTRY, CALL)
    opened.close()
    assert opened.counts() == {"written": 11, "dropped": 15, "refused": 0}


def test_several_workers_write_side_by_side(tmp_path: Path) -> None:
    workers = [log(tmp_path, part_rows=5) for _ in range(3)]
    for worker in workers:
        worker.open()
    for number in range(60):
        workers[number % 3].add(replace(ENTRY, request_id=str(number)), CALL)
    for worker in workers:
        worker.close()
    assert sorted(int(record.id) for record in records(tmp_path)) == list(range(60))


CHILD = """
import sys, time
from msgspec.structs import replace
from pathlib import Path
import json
from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.call import Asked, Call
from router_model.serving.gateway.config.traffic import Traffic
from router_model.serving.gateway.keys import OPEN
from router_model.serving.gateway.traffic import TrafficLog
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.words import WordsKept

body = {"prompt": "hello"}
call = Call("completions", json.dumps(body).encode(), body, Asked("auto"), False, frozenset(), 1, 0)
entry = Entry("r", time.time(), OPEN, "completions", "small", "near", "m", 200, Usage(1, 1), 0.1)
log = TrafficLog(Traffic(folder="", words="whole", part_rows=150), Path(sys.argv[1]), WordsKept("whole"))
log.open()
for number in range(10**9):
    log.add(replace(entry, request_id=str(number), time=time.time()), call)
    print(number, time.time(), flush=True)
    time.sleep(0.005)
"""


def test_a_kill_loses_at_most_the_last_second_and_doubles_nothing(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    told: list[tuple[int, float]] = []
    while len(told) < 500 or not list((tmp_path / "journal").glob("*.jsonl")):
        number, when = child.stdout.readline().split()
        told.append((int(number), float(when)))
    os.kill(child.pid, signal.SIGKILL)
    killed = time.time()
    told += [(int(line.split()[0]), float(line.split()[1])) for line in child.stdout.read().splitlines()]
    child.wait()
    child.stdout.close()
    assert list((tmp_path / "journal").glob("*.jsonl")), "no journal was left, so that nothing is shown"
    assert list(tmp_path.glob("date=*/part-*"))

    following = log(tmp_path)
    following.open()
    following.close()
    found = [int(record.id) for record in records(tmp_path)]
    assert len(found) == len(set(found))
    assert {number for number, when in told if when < killed - 1.0} <= set(found)
    assert not list((tmp_path / "journal").glob("*.jsonl"))


def test_a_journal_is_stored_once_though_its_writer_died_after_the_part(tmp_path: Path) -> None:
    (part,) = written(tmp_path, (ENTRY, CALL))
    rows = parquet.ParquetFile(part).read().to_pylist()
    journal = tmp_path / "journal" / f"{part.stem.removeprefix('part-')}.jsonl"
    journal.write_text("".join(json.dumps(row) + "\n" for row in rows))
    written(tmp_path)
    assert [record.id for record in records(tmp_path)] == ["r1"]
    assert not journal.exists()


@pytest.mark.parametrize(
    "torn",
    [b'{"id": "r2", "timest', b"\x00\xff\n", b"[]\n", b'{"id": 3, "timestamp": []}\n', b"[" * 99_999 + b"\n"],
)
def test_of_a_damaged_journal_the_whole_rows_are_kept(tmp_path: Path, torn: bytes) -> None:
    (part,) = written(tmp_path, (ENTRY, CALL))
    rows = parquet.ParquetFile(part).read().to_pylist()
    (tmp_path / "journal" / "dead-0.jsonl").write_bytes(json.dumps(rows[0]).encode() + b"\n" + torn)
    part.unlink()
    written(tmp_path)
    assert [record.id for record in records(tmp_path)] == ["r1"]


def test_a_living_workers_journal_is_left_alone(tmp_path: Path) -> None:
    living = log(tmp_path)
    living.open()
    living.add(ENTRY, CALL)
    until(lambda: list((tmp_path / "journal").glob("*.jsonl")))
    assert written(tmp_path) == []
    living.close()
    assert len(records(tmp_path)) == 1


def test_a_disk_that_cannot_be_written_holds_up_nobody_and_loses_nothing_once_it_can(tmp_path: Path) -> None:
    place = tmp_path / "log"
    place.write_text("a file where the folder should be")
    opened = log(place)
    opened.open()
    opened.add(ENTRY, CALL)
    time.sleep(0.1)
    assert opened.counts()["written"] == 0
    place.unlink()
    opened.add(replace(ENTRY, request_id="r2"), CALL)
    opened.close()
    assert [record.id for record in records(place)] == ["r1", "r2"]


@pytest.mark.parametrize("words", ["redacted", "hashed"])
def test_words_that_need_a_function_are_refused_without_it(words: Any) -> None:
    with pytest.raises(GatewayConfigError, match=f"'{words}' needs"):
        WordsKept(words)


def feedback(folder: Path, *told: tuple[str, float, str]) -> Path:
    """The folder of outcomes of (id, outcome, tenant), each told a second after the one before."""
    now = [MORNING]
    opened, reader = log(folder), Feedback(clock=lambda: now[0])
    opened.open()
    for request_id, outcome, tenant in told:
        body = json.dumps({"request_id": request_id, "outcome": outcome}).encode()
        opened.tell(reader.read(body, Caller("k", tenant, frozenset())))
        now[0] += 1
    opened.close()
    return folder / "feedback"


def test_outcomes_join_the_rows_of_their_request_and_tenant(tmp_path: Path) -> None:
    entries = [replace(ENTRY, request_id=f"r{number}") for number in range(3)]
    parts = written(
        tmp_path, *((entry, CALL) for entry in (*entries, replace(ENTRY, status=502, request_id="r3")))
    )
    told = feedback(
        tmp_path,
        ("r0", 0.0, "acme"),
        ("r0", 1.0, "acme"),
        ("r1", 1.0, "other"),
        ("r9", 1.0, "acme"),
        ("r3", 1, "acme"),
    )
    (told / "torn.jsonl").write_bytes(b'{"id": "r2", "outc')
    ingest(parts, tmp_path / "out.jsonl", steps=[Told.read(told)], workers=1)
    found = {record.id: dict(record.outcomes) for record in read_records(tmp_path / "out.jsonl")}
    assert found == {"r0": {"small-8b": 1.0}, "r1": {}, "r2": {}, "r3": {}}


def test_ingest_joins_by_its_option(tmp_path: Path) -> None:
    (part,) = written(tmp_path, (ENTRY, CALL))
    told = feedback(tmp_path, ("r1", 0.5, "acme"))
    command = ["ingest", str(part), "--feedback", str(told), "--redact", "--out", str(tmp_path / "out.jsonl")]
    subprocess.run([sys.executable, "-m", "router_model.cli", *command], check=True, capture_output=True)
    (record,) = read_records(tmp_path / "out.jsonl")
    assert record.outcomes == {"small-8b": 0.5}
    assert "<EMAIL>" in record.prompt.text


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        '{"id": "a", "tenant": "b", "timestamp": "c", "outcome": 2}',
        "{",
        '{"id": 1, "tenant": "b"}',
    ],
)
def test_a_line_that_is_no_outcome_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(RecordError, match=r"a\.jsonl:1"):
        Told.read(tmp_path)


def test_feedback_of_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="--feedback"):
        Told.read(tmp_path / "missing")
