"""JSON Lines, plain and gzip: every value with its place, every fault with its line."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import FileError, RecordError
from router_model.jsonl import MAX_LINE_BYTES, json_lines, read_json_lines

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def read_all(path: Path) -> list[tuple[str, Any]]:
    return list(read_json_lines(path))


def read_past_faults(path: Path) -> tuple[list[Any], list[str]]:
    """Values, and the messages of the lines that were refused."""
    faults: list[RecordError] = []
    values = [value for _, value in read_json_lines(path, faults.append)]
    return values, [str(fault) for fault in faults]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(values=st.lists(VALUES, max_size=6), ascii_only=st.booleans(), ending=st.sampled_from(["\n", "\r\n"]))
def test_any_values_written_come_back_with_their_line_numbers(
    values: list[Any], ascii_only: bool, ending: str
) -> None:
    lines = "".join(json.dumps(value, ensure_ascii=ascii_only) + ending for value in values)
    if not ascii_only:
        lines = lines.encode("utf-8", "replace").decode()
        values = [json.loads(line) for line in lines.split(ending) if line]
    read = list(json_lines(io.BytesIO(lines.encode()), "log"))
    assert read == [(f"log:{number}", value) for number, value in enumerate(values, 1)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(content=st.binary(max_size=200))
def test_any_bytes_give_values_or_refused_lines(content: bytes) -> None:
    faults: list[RecordError] = []
    values = list(json_lines(io.BytesIO(content), "log", faults.append))
    filled = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    assert len(values) + len(faults) == len(filled)
    assert all(str(fault).startswith("log:") and "\n" not in str(fault) for fault in faults)


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz", "log"])
def test_gzip_is_told_by_its_content_not_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b'{"a": 1}\n')
    assert read_all(path) == [(f"{path}:1", {"a": 1})]
    path.write_bytes(gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"a": 2}\n'))
    assert read_all(path) == [(f"{path}:1", {"a": 1}), (f"{path}:2", {"a": 2})]


@pytest.mark.parametrize("content", [b"", b"\n\n \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_a_file_without_a_value_gives_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert read_all(path) == []
    path.write_bytes(gzip.compress(content))
    assert read_all(path) == []


def test_blank_lines_are_passed_over_but_counted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xef\xbb\xbf1\r\n\r\n   \n2\n\n3")
    assert read_all(path) == [(f"{path}:1", 1), (f"{path}:4", 2), (f"{path}:6", 3)]


def test_a_byte_order_mark_is_passed_over_in_the_first_line_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xef\xbb\xbf1\n\xef\xbb\xbf2\n")
    values, faults = read_past_faults(path)
    assert values == [1]
    assert faults[0].startswith(f"{path}:2: not valid JSON")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"prompt": "a"', "not valid JSON"),
        (b'{"prompt": "a"} {"prompt": "b"}', "not valid JSON: Extra data"),
        (b"{'prompt': 'a'}", "not valid JSON"),
        (b"prompt,best_tier", "not valid JSON"),
        (b'{"prompt": "caf\xe9"}', "byte 15 is not UTF-8; convert the file to UTF-8"),
        (b"\xff\xfe{\x00}\x00", "byte 0 is not UTF-8"),
        (b'{"prompt": "\xed\xa0\x80"}', "byte 12 is not UTF-8"),
        (b"[" * 200_000, "not valid JSON: maximum recursion depth"),
        (b"9" * 5000, "not valid JSON: Exceeds the limit"),
        (b"\x00", "not valid JSON"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line_and_the_rest_is_read(
    tmp_path: Path, line: bytes, fault: str
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"1\n\n" + line + b"\n4\n")
    with pytest.raises(RecordError) as caught:
        read_all(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:3: {fault}")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    assert read_past_faults(path) == ([1, 4], [message])


def test_values_before_a_bad_line_are_given_before_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"1\n2\nbroken\n")
    reading = read_json_lines(path)
    assert [next(reading), next(reading)] == [(f"{path}:1", 1), (f"{path}:2", 2)]
    with pytest.raises(RecordError, match=r":3: "):
        next(reading)


@pytest.mark.parametrize("kept", [2, 9, 12, 60, -9, -4, -1])
def test_a_truncated_gzip_file_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "log.jsonl.gz"
    whole = gzip.compress("".join(f'{{"prompt": "number {n * n}"}}\n' for n in range(50)).encode())
    path.write_bytes(whole[:kept])
    with pytest.raises(FileError, match=r"cut short or damaged: .*; copy the file again") as caught:
        read_all(path)
    assert str(path) in str(caught.value)


def test_a_damaged_gzip_file_never_passes_for_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    lines = "".join(f'{{"prompt": "number {n * n}"}}\n' for n in range(50)).encode()
    whole = gzip.compress(lines, mtime=0)
    wanted = [json.loads(line) for line in lines.splitlines()]
    for place in range(10, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises((FileError, RecordError)):
            assert [value for _, value in read_all(path)] != wanted
    path.write_bytes(whole + b"trailing garbage")
    with pytest.raises(FileError, match="cut short or damaged"):
        read_all(path)


@pytest.mark.parametrize("name", ["absent.jsonl", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match="; give a file that can be read") as caught:
        read_all(tmp_path / name)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("pack", [False, True])
def test_a_line_without_end_is_refused_and_not_held_in_memory(tmp_path: Path, pack: bool) -> None:
    path = tmp_path / "log.jsonl"
    with gzip.open(path, "wb", compresslevel=1) if pack else path.open("wb") as file:
        file.write(b"1\n")
        for _ in range(MAX_LINE_BYTES >> 20):
            file.write(b" " * (1 << 20))
        file.write(b" 2\n3\n")
    faults: list[RecordError] = []
    reading = read_json_lines(path, faults.append)
    assert next(reading) == (f"{path}:1", 1)
    with pytest.raises(RecordError, match=r":2: the line is longer than 67108864 bytes; split it"):
        next(reading)
    assert faults == [], "to pass over it would read the rest of it as a line of its own"


def test_lone_surrogate_escapes_are_decoded_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"prompt": "half \\ud83d"}\n', encoding="ascii")
    assert read_all(path) == [(f"{path}:1", {"prompt": "half \ud83d"})]
