"""A row's redaction: which fields, nested values, JSON as text, ids, numbers; files of each form."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.cli import main
from router_model.data.privacy.payment import luhn
from router_model.data.privacy.redaction import redact, redact_text
from router_model.data.records import parse_record, to_row
from router_model.errors import RecordError

ROWS = [
    {"id": "a", "prompt": "mail ada@example.com", "outcomes": {"s": 1.0}},
    {"id": "b", "prompt": "2 + 2 = 4", "outcomes": {"s": 0.0}},
]


def test_a_members_name_tells_of_its_value() -> None:
    meta = {"password": "abc1234", "phone": 2125550123, "city": "abc1234", "count": 2125550123, "ok": True}
    assert redact({"prompt": "hi", "meta": meta})["meta"] == meta | {
        "password": "<PASSWORD>",
        "phone": "<PHONE>",
    }


def test_arguments_of_a_tool_call_stay_json_and_escapes_hide_nothing() -> None:
    arguments = '{"to": "ada\\u0040example.com", "key": "a\\/b", "n": 3}'
    call = {"id": "call_1", "type": "function", "function": {"name": "mail", "arguments": arguments}}
    row = redact({"messages": [{"role": "assistant", "tool_calls": [call]}]})
    found = row["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(found) == {"to": "<EMAIL>", "key": "a/b", "n": 3}


def test_messages_and_meta_as_json_text_are_read_as_what_they_hold() -> None:
    row = {"messages": json.dumps([{"role": "user", "content": "ada\u0040example.com"}]), "meta": '{"a":  1}'}
    assert redact(row) == {"messages": '[{"role": "user", "content": "<EMAIL>"}]', "meta": '{"a":  1}'}


def test_names_that_are_plain_numbers_stay_and_others_are_cleared() -> None:
    row = {"id": "4111111111111111", "session": "ada@example.com", "tenant": "acme", "group": "+442079460958"}
    assert redact(row) == row | {"session": "<EMAIL>", "group": "<PHONE>"}


def test_what_is_no_text_of_a_person_is_left() -> None:
    row = {"prompt": "hi", "model": "m@v1.example", "outcomes": {"m@v1.example": 1.0}, "best_tier": "large"}
    row |= {"timestamp": "4111111111111111", "input_tokens": 4111111111111111}
    assert redact(row) == row


def test_a_field_that_no_record_has_is_searched_too() -> None:
    row = {"prompt": "hi", "user": {"mail": "ada@example.com"}, "password": "abc1234", "n": 10**5000}
    assert redact(row) == row | {"user": {"mail": "<EMAIL>"}, "password": "<PASSWORD>"}


def test_a_second_member_of_one_name_hides_nothing(tmp_path: Path) -> None:
    arguments = '{"to": "ada@example.com", "to": "x"}'
    assert redact({"prompt": "hi", "meta": arguments})["meta"] == '{"to": "<EMAIL>", "to": "x"}'
    source, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"prompt": "ada@example.com", "prompt": "x"}\n{"prompt": "y"}\n')
    assert redact_file(source, out, "--skip-bad")["bad"] == 1
    assert out.read_text() == '{"prompt": "y"}\n'


def test_the_row_given_is_not_touched_and_what_was_replaced_is_counted() -> None:
    row = {"prompt": "ada@example.com, bo@example.com", "meta": {"card": "4111 1111 1111 1111"}}
    before, found = json.dumps(row), Counter[str]()
    assert redact(row, found)["prompt"] == "<EMAIL>, <EMAIL>"
    assert json.dumps(row) == before
    assert found == {"EMAIL": 2, "CARD": 1}


def test_too_deep_a_value_is_refused_rather_than_let_through() -> None:
    value: Any = "ada@example.com"
    for _ in range(100):
        value = [value]
    with pytest.raises(RecordError, match="64"):
        redact({"prompt": "hi", "meta": {"x": value}})


@given(st.integers(10**14, 10**15 - 1))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_exactly_one_check_digit_makes_a_card_number(stem: int) -> None:
    assert sum(luhn(f"{stem}{digit}") for digit in range(10)) == 1


TEXTS = st.text(max_size=30) | st.lists(
    st.sampled_from(
        "ada @ example.com +44 20 7946 0958 4111-1111-1111-1111 password: a1b2c3 :// <KEY> , .".split()
    )
).map(" ".join)


@given(TEXTS, TEXTS)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_an_address_never_survives_between_any_two_texts(before: str, after: str) -> None:
    assert "ada.lovelace@mail.example.com" not in redact_text(
        f"{before} ada.lovelace@mail.example.com {after}"
    )


@given(
    st.dictionaries(
        st.sampled_from(["a", "password", "phone"]), TEXTS | st.integers() | st.none(), max_size=3
    )
)
@settings(derandomize=True, deadline=None, max_examples=100)
def test_a_redacted_record_is_a_record(meta: dict[str, Any]) -> None:
    row = to_row(parse_record({"prompt": "write to ada@example.com", "meta": meta}, "log:1"))
    assert parse_record(redact(row), "log:1").request == "write to <EMAIL>"


def redact_file(source: Path, out: Path, *options: str) -> dict[str, Any]:
    done = CliRunner().invoke(main, ["redact", str(source), "--out", str(out), "--json", *options])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("pack", [False, True])
def test_lines_stay_as_they_are_written_but_for_those_that_change(tmp_path: Path, pack: bool) -> None:
    text = '{"prompt":   "2 + 2",\t"x": 1e3}\r\n\n{"prompt": "ada@example.com"}'
    source, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(gzip.compress(text.encode()) if pack else text.encode())
    assert redact_file(source, out) == {"rows": 2, "changed": 1, "bad": 0, "replaced": {"EMAIL": 1}}
    written = gzip.decompress(out.read_bytes()) if pack else out.read_bytes()
    assert written == b'{"prompt":   "2 + 2",\t"x": 1e3}\n{"prompt": "<EMAIL>"}\n'


def test_parquet_keeps_its_schema(tmp_path: Path) -> None:
    source, out = tmp_path / "log.parquet", tmp_path / "out.parquet"
    scores = pa.array([row["outcomes"] for row in ROWS], pa.map_(pa.string(), pa.float64()))
    pq.write_table(
        pa.table({"id": ["a", "b"], "prompt": [row["prompt"] for row in ROWS], "outcomes": scores}), source
    )
    assert redact_file(source, out)["changed"] == 1
    before, after = pq.read_table(source), pq.read_table(out)
    assert after.schema == before.schema
    assert after.column("prompt").to_pylist() == ["mail <EMAIL>", "2 + 2 = 4"]
    assert after.column("outcomes").to_pylist() == before.column("outcomes").to_pylist()


def test_a_bad_line_stops_the_work_or_is_left_out_and_never_copied(tmp_path: Path) -> None:
    source, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"prompt": "hi"}\n{"prompt": "ada@example.com\n"ada@example.com"\n')
    done = CliRunner().invoke(main, ["redact", str(source), "--out", str(out)])
    assert (done.exit_code, out.exists()) == (1, False)
    assert "log.jsonl:2" in done.stderr
    assert redact_file(source, out, "--skip-bad") == {"rows": 1, "changed": 0, "bad": 2, "replaced": {}}
    assert out.read_text() == '{"prompt": "hi"}\n'


def test_a_name_that_promises_another_form_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "log.jsonl"
    source.write_text('{"prompt": "hi"}\n')
    done = CliRunner().invoke(main, ["redact", str(source), "--out", str(tmp_path / "out.parquet")])
    assert done.exit_code == 2
    assert "JSON Lines" in done.stderr
