"""Log files to records: JSON Lines, plain and gzip, and Parquet; whole, empty, cut short and broken."""

import gzip
import json
import logging
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router_model.data.readers import NAMED_BAD_ROWS, Reading, read_records
from router_model.data.records import Record
from router_model.errors import FileError, RecordError

ROWS = [
    {"id": "a", "prompt": "one", "outcomes": {"s": 0.0, "l": 1.0}, "task": "t"},
    {"id": "b", "prompt": "zwei", "outcomes": {"s": 1.0, "l": 1.0}, "task": "t"},
    {"id": "c", "prompt": "三", "outcomes": {"s": 0.5, "l": 0.0}, "task": "u"},
]
SCORES = pa.map_(pa.string(), pa.float64())


def write_lines(path: Path, rows: list[Any], ending: str = "\n", mark: bytes = b"") -> Path:
    path.write_bytes(mark + "".join(json.dumps(row) + ending for row in rows).encode())
    return path


def write_parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def records(path: Path) -> list[Record]:
    return list(read_records(path))


def expected() -> list[tuple[str, str, dict[str, float], str]]:
    return [(row["id"], row["prompt"], row["outcomes"], row["task"]) for row in ROWS]


def essence(read: list[Record]) -> list[tuple[str, str, Any, str | None]]:
    return [(record.id, record.prompt.text, record.outcomes, record.task) for record in read]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n", "\r\n \t\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("pack", [False, True])
def test_json_lines_are_read_however_they_end_and_are_packed(
    tmp_path: Path, ending: str, mark: bytes, pack: bool
) -> None:
    path = write_lines(tmp_path / "log.jsonl", ROWS, ending, mark)
    if pack:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert essence(records(path)) == expected()


def test_the_last_line_needs_no_line_break(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log.jsonl", ROWS)
    path.write_bytes(path.read_bytes().rstrip())
    assert essence(records(path)) == expected()


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_parquet_with_a_struct_of_outcomes_is_read(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "log"
    pq.write_table(pa.Table.from_pylist(ROWS), path, compression=compression)
    assert essence(records(path)) == expected()


def test_parquet_with_a_map_of_outcomes_is_read(tmp_path: Path) -> None:
    outcomes = pa.array([list(row["outcomes"].items()) for row in ROWS], SCORES)
    path = write_parquet(
        tmp_path / "log.parquet",
        outcomes=outcomes,
        **{key: [row[key] for row in ROWS] for key in ("id", "prompt", "task")},
    )
    assert essence(records(path)) == expected()


def test_an_empty_map_and_a_null_are_rows_without_outcomes(tmp_path: Path) -> None:
    outcomes = pa.array([[("s", 1.0)], [], None, [("s", None)]], SCORES)
    path = write_parquet(tmp_path / "log.parquet", prompt=list("abcd"), outcomes=outcomes, cost_usd=outcomes)
    read = records(path)
    assert [record.outcomes for record in read] == [{"s": 1.0}, {}, {}, {}]
    assert [record.cost_usd for record in read] == [{"s": 1.0}, {}, {}, {}]


def test_nulls_of_a_struct_are_models_that_did_not_answer(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "outcomes": {"s": 1.0}, "input_tokens": {"s": 3}}]
    rows += [{"prompt": "b", "outcomes": {"l": 0.0}, "input_tokens": {"l": 5}}]
    path = tmp_path / "log.parquet"
    pq.write_table(
        pa.Table.from_pylist(
            rows,
            pa.schema(
                {
                    "prompt": pa.string(),
                    "outcomes": pa.struct({"s": pa.float64(), "l": pa.float64()}),
                    "input_tokens": pa.struct({"s": pa.int64(), "l": pa.int64()}),
                }
            ),
        ),
        path,
    )
    read = records(path)
    assert [record.outcomes for record in read] == [{"s": 1.0}, {"l": 0.0}]
    assert [record.input_tokens for record in read] == [3.0, 5.0]


def test_parquet_messages_and_timestamps_are_read(tmp_path: Path) -> None:
    messages = [[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]]
    path = write_parquet(
        tmp_path / "log.parquet", messages=messages, timestamp=pa.array([1_700_000_000], pa.timestamp("s"))
    )
    (record,) = records(path)
    assert record.prompt.text == "Hello\n\nHi"
    assert record.timestamp == "2023-11-14 22:13:20"


def test_parquet_of_several_batches_and_groups_numbers_rows_through(tmp_path: Path) -> None:
    count = 2500
    path = tmp_path / "log.parquet"
    table = pa.table({"prompt": [f"prompt {k}" for k in range(count)]})
    pq.write_table(table, path, row_group_size=700)
    assert [record.id for record in read_records(path)] == [f"{path}:{k + 1}" for k in range(count)]


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0), gzip.compress(b"\n", mtime=0)]
)
def test_an_empty_file_holds_no_record(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    reading = Reading()
    assert list(read_records(path, reading)) == []
    assert (reading.rows, reading.bad) == (0, 0)


def test_an_empty_parquet_file_holds_no_record(tmp_path: Path) -> None:
    assert records(write_parquet(tmp_path / "log", prompt=pa.array([], pa.string()))) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"prompt": ', "not valid JSON"),
        (b'{"prompt": "\xff"}', "byte 12 is not UTF-8"),
        (b"[1, 2]", "a row is list"),
        (b"{}", "neither 'prompt'"),
        (b'{"prompt": "a", "outcomes": {"s": 2}}', "field \"outcomes['s']\" is 2"),
        (b'{"prompt": "a", "outcomes": {"s": NaN}}', "field \"outcomes['s']\" is nan"),
    ],
)
def test_a_bad_row_stops_the_reading_at_its_file_and_line(tmp_path: Path, line: bytes, fault: str) -> None:
    path = write_lines(tmp_path / "log.jsonl", ROWS, "\n\n")
    path.write_bytes(path.read_bytes() + line + b"\n")
    reading = read_records(path)
    assert essence([next(reading) for _ in ROWS]) == expected()
    with pytest.raises(RecordError) as caught:
        next(reading)
    assert str(caught.value).startswith(f"{path}:7: {fault}")


def test_a_bad_row_of_parquet_is_named_by_its_number(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "log.parquet", prompt=["a", None, "c"])
    with pytest.raises(RecordError, match=r"log\.parquet:2: neither 'prompt'"):
        records(path)
    reading = Reading(skip_bad=True)
    assert [record.id for record in read_records(path, reading)] == [f"{path}:1", f"{path}:3"]
    assert (reading.rows, reading.bad) == (2, 1)


def test_skipped_rows_are_counted_and_the_first_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log.jsonl"
    bad = [b"broken", b"\xff", b"[]", b"{}", b'{"prompt": 1}'] * 6
    good = [json.dumps(row).encode() for row in ROWS]
    path.write_bytes(b"\n".join([good[0], *bad, *good[1:]]))
    reading = Reading(skip_bad=True)
    with caplog.at_level(logging.WARNING):
        assert essence(list(read_records(path, reading))) == expected()
    assert (reading.rows, reading.bad) == (3, 30)
    assert [reason.split(": ")[0] for reason in reading.reasons] == [
        f"{path}:{number}" for number in range(2, 2 + NAMED_BAD_ROWS)
    ]
    assert len(caplog.records) == NAMED_BAD_ROWS


def test_one_reading_counts_over_several_files(tmp_path: Path) -> None:
    reading = Reading(skip_bad=True)
    for name in ("one", "two"):
        list(read_records(write_lines(tmp_path / name, [*ROWS, []]), reading))
    assert (reading.rows, reading.bad) == (6, 2)


def test_an_unknown_field_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_lines(tmp_path / "log.jsonl", [row | {"colour": "red"} for row in ROWS])
    with caplog.at_level(logging.INFO):
        assert len(records(path)) == 3
    assert [entry.getMessage() for entry in caplog.records] == [
        f"{path}: field 'colour' is not part of a record and is passed over"
    ]


def test_lone_surrogate_escapes_give_a_prompt_that_can_be_encoded(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"prompt": "half \\ud83d of it", "id": "\\udc00"}\n', encoding="ascii")
    (record,) = records(path)
    assert record.prompt.text == "half ? of it"


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_gzip_file_is_never_taken_for_a_whole_one(
    tmp_path: Path, skip_bad: bool, share: float
) -> None:
    path = tmp_path / "log.jsonl.gz"
    packed = gzip.compress("".join(f'{{"prompt": "number {n * n}"}}\n' for n in range(300)).encode())
    path.write_bytes(packed[: int(len(packed) * share)])
    with pytest.raises(FileError, match=r"log\.jsonl\.gz: cut short or damaged"):
        list(read_records(path, Reading(skip_bad)))


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_truncated_parquet_file_is_named(tmp_path: Path, skip_bad: bool) -> None:
    whole = write_parquet(tmp_path / "whole", prompt=[f"number {n}" for n in range(500)]).read_bytes()
    path = tmp_path / "log.parquet"
    for kept in (4, 5, 8, 12, len(whole) // 2, len(whole) - 8, len(whole) - 4, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(
            FileError, match=r"log\.parquet: not readable as Parquet: .*; copy the file"
        ) as caught:
            list(read_records(path, Reading(skip_bad)))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**62], pa.timestamp("us")),
        pa.array([1], pa.timestamp("us", tz="Nowhere/Atlantis")),
        pa.array([2**31 - 1], pa.date32()),
        pa.array([2**62], pa.duration("s")),
        pa.array([[({"a": 1}, 1.0)]], pa.map_(pa.struct({"a": pa.int64()}), pa.float64())),
        pa.array([b"\xff\xfe"], pa.binary()).view(pa.string()),
    ],
    ids=["far timestamp", "unknown zone", "far date", "long duration", "objects as keys", "not UTF-8"],
)
def test_parquet_values_that_python_cannot_hold_are_a_file_error(tmp_path: Path, column: pa.Array) -> None:
    path = write_parquet(tmp_path / "log.parquet", prompt=["a"], extra=column)
    with pytest.raises(FileError, match=r"log\.parquet: not readable as Parquet: .+") as caught:
        records(path)
    assert "\n" not in str(caught.value)


def test_parquet_columns_of_odd_types_give_records_or_named_refusals(tmp_path: Path) -> None:
    odd = [
        pa.array([1], pa.decimal128(5, 2)),
        pa.array([b"\x00\xff"], pa.binary()),
        pa.array([[1.0, 2.0]]),
        pa.array([True]),
        pa.array([1.5], pa.float32()),
        pa.array(["x"]).dictionary_encode(),
        pa.array([1], pa.time64("us")),
        pa.nulls(1),
    ]
    refused = 0
    for field in ("id", "outcomes", "propensity", "winner", "cost_usd", "timestamp", "meta"):
        for column in odd:
            path = write_parquet(tmp_path / "log.parquet", **{"prompt": ["a"], field: column})
            try:
                assert len(records(path)) == 1
            except RecordError as error:
                refused += 1
                message = str(error)
                assert message.startswith(f"{path}:1: ")
    assert refused > 20


@pytest.mark.parametrize("name", ["absent.jsonl", "absent.parquet", "."])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match="; give a file that can be read") as caught:
        records(tmp_path / name)
    assert str(tmp_path) in str(caught.value)


def test_a_pipe_is_refused_and_loses_no_row_silently() -> None:
    source, sink = os.pipe()
    os.write(sink, "".join(json.dumps(row) + "\n" for row in ROWS).encode())
    os.close(sink)
    try:
        with pytest.raises(FileError, match=f"/dev/fd/{source}: .*; give a file that can be read"):
            records(Path(f"/dev/fd/{source}"))
    finally:
        os.close(source)
