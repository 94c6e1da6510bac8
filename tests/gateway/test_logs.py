"""Logs: a line for each thing said, and no secret in any."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.keys import Caller, fresh_key
from router_model.serving.gateway.logs import Lines, log_entry, log_to
from router_model.serving.gateway.usage import Usage

FORBIDDEN = 'p"\\4-swordfish'
ADA = Caller("ada", "acme", frozenset())
ENTRY = Entry("r1", 1.0, ADA, "chat", "small", "near", "m", 200, Usage(7, 3), 0.1, seconds=0.5)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    root.setLevel(logging.INFO)
    log_to(stream, as_json=True, secrets=[FORBIDDEN])
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_a_line_with_who_where_how_long_and_how_much(stream: io.StringIO) -> None:
    log_entry(ENTRY)
    log_entry(replace(ENTRY, status=502))
    first, second = lines(stream)
    assert first["request_id"] == "r1"
    assert (first["tenant"], first["key"], first["tier"], first["provider"]) == (
        "acme",
        "ada",
        "small",
        "near",
    )
    assert (first["milliseconds"], first["cost_usd"], first["input_tokens"]) == (500.0, 0.1, 7)
    assert second["status"] == 502


def test_the_servers_own_lines_are_lines_of_the_same_form(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("it\nrains")
    assert [line["message"] for line in lines(stream)] == ["it\nrains"]


def test_an_error_stands_on_the_line_with_its_traceback_and_without_secrets(stream: io.StringIO) -> None:
    try:
        raise ValueError(f"refused {FORBIDDEN}")
    except ValueError:
        logging.getLogger("x").exception("failed with %s", FORBIDDEN)
    (line,) = lines(stream)
    assert line["message"].startswith("failed with ***\nTraceback")
    assert "swordfish" not in stream.getvalue()


@pytest.mark.parametrize(
    "said",
    [
        "Authorization: Bearer abc.tail9876",
        '{"authorization": "bearer abc.tail9876"}',
        "x-api-key: abc.tail9876",
        "('x-api-key', 'abc.tail9876')",
        "api_key=abc.tail9876",
        "Incorrect API key provided: sk-abcd-tail9876",
        pytest.param(f"key {fresh_key()[0]}tail9876", id="a fresh key"),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_what_looks_like_a_key_is_masked_in_any_line(said: str, as_json: bool) -> None:
    line = Lines(as_json).format(logging.makeLogRecord({"msg": said, "levelname": "INFO"}))
    assert "***" in line
    assert "tail9876" not in line


@given(st.text(), st.booleans())
def test_whatever_is_said_is_one_line(said: str, as_json: bool) -> None:
    record = logging.makeLogRecord({"msg": "%s", "args": (said,), "levelname": "INFO", "name": "x"})
    line = Lines(as_json, ["secret"]).format(record)
    assert len(line.split("\n")) == 1
    assert not as_json or json.loads(line)["level"] == "INFO"


def test_plain_lines_show_the_same_fields() -> None:
    record = logging.makeLogRecord({"msg": "request", "levelname": "INFO", "fields": {"a": 1, "b": None}})
    assert Lines(False).format(record) == "INFO request a=1"
