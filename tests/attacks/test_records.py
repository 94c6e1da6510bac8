"""Hostile rows: whatever a line of a log decodes to is a record in its bounds or a named refusal."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router_model.data.groups import group
from router_model.data.labels import label
from router_model.data.readers import Reading, read_records
from router_model.data.records import FIELDS, Record, parse_record
from router_model.errors import DataError, RecordError
from router_model.ladder import Ladder

PLACE = "log.jsonl:3"
TEXTS = st.text(st.characters(), max_size=12) | st.sampled_from(  # lone surrogates among them
    ["model-s", "model-l", "model_a", "tie", "small", "user", "text", "\ud800", "\x00", "a\nb", "\u2028"]
)
EXTREMES = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308, 10**400, -(10**400), 1 << 63, True]
NUMBERS = st.integers() | st.floats() | st.sampled_from(EXTREMES)
VALUES = st.recursive(
    st.none() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PARTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("type", "text", "content", "input", "output", "name", "arguments"), VALUES)
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": VALUES,
            "content": VALUES | st.lists(PARTS, max_size=3),
            "tool_calls": VALUES | st.lists(st.fixed_dictionaries({"function": PARTS}), max_size=2),
            "type": VALUES,
        },
    ),
    max_size=3,
)
ROWS = st.fixed_dictionaries({"prompt": TEXTS}, optional=dict.fromkeys(sorted(FIELDS - {"prompt"}), VALUES))
PLAUSIBLE = st.fixed_dictionaries(
    {"prompt": TEXTS},
    optional={
        "outcomes": st.dictionaries(TEXTS, st.floats(0, 1) | st.booleans() | st.none(), max_size=3),
        "best_tier": st.sampled_from(["small", "medium", "large"]),
        "model": TEXTS,
        "model_a": TEXTS,
        "model_b": TEXTS,
        "winner": st.sampled_from(["model_a", "model_b", "tie"]),
        "cost_usd": st.dictionaries(TEXTS, NUMBERS, max_size=2) | NUMBERS,
        "input_tokens": NUMBERS,
        "output_tokens": st.dictionaries(TEXTS, NUMBERS, max_size=2),
        "group": TEXTS,
    },
)
SCORE_FIELDS = ("outcomes", "outcome", "propensity")
AMOUNT_FIELDS = ("cost_usd", "input_tokens", "output_tokens", "latency_ms")


def record_or_refusal(row: Any) -> Record | RecordError:
    """The record of a row, or why it was refused; any other error escapes."""
    try:
        return parse_record(row, PLACE)
    except RecordError as error:
        return error


def named(refusal: RecordError) -> bool:
    """Whether a refusal is one short line that begins with its place."""
    message = str(refusal)
    return message.startswith(f"{PLACE}: ") and "\n" not in message and len(message) < 400


def in_bounds(record: Record) -> bool:
    """Whether the text is valid Unicode, and every number and name of the record is one that may be."""
    record.prompt.text.encode()
    amounts = [*record.cost_usd.values(), *record.output_tokens.values(), *record.latency_ms.values()]
    amounts += [] if record.input_tokens is None else [record.input_tokens]
    return (
        bool(record.id)
        and all(0.0 <= score <= 1.0 for score in record.outcomes.values())
        and (record.propensity is None or 0.0 < record.propensity <= 1.0)
        and all(math.isfinite(amount) and amount >= 0 for amount in amounts)
        and all(type(amount) is float for amount in amounts)
        and (record.preference is None or record.preference[2] in ("model_a", "model_b", "tie"))
    )


def sound(found: Record | RecordError) -> bool:
    """Whether a row ended as a record in its bounds or as a named refusal."""
    return in_bounds(found) if isinstance(found, Record) else named(found)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(row=VALUES)
def test_any_value_is_a_record_or_refused(row: Any) -> None:
    assert sound(record_or_refusal(row))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(row=ROWS)
def test_any_values_in_the_fields_are_a_record_or_refused(row: dict[str, Any]) -> None:
    assert sound(record_or_refusal(row))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(messages=MESSAGES)
def test_any_messages_are_a_record_or_refused(messages: list[Any]) -> None:
    assert sound(record_or_refusal({"messages": messages}))


@pytest.mark.parametrize(
    "value",
    [True, -1, 10**400, 1.5, math.nan, -math.inf, "text", "", "\ud800", [], [[]], {}, {"a": {}}, {"": None}],
    ids=lambda value: repr(value)[:12],
)
def test_every_field_takes_or_refuses_every_type(value: Any) -> None:
    for field in sorted(FIELDS):
        assert sound(record_or_refusal({"prompt": "a", field: value}))
        assert sound(record_or_refusal({"prompt": "a", "model": "m", field: {"m": value}}))


@pytest.mark.parametrize("field", [*SCORE_FIELDS, *AMOUNT_FIELDS])
@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, -1, -1e-9, 10**400, 1e308, "1", [0.5]],
    ids=lambda value: repr(value)[:8],
)
def test_no_number_out_of_bounds_gets_in(field: str, value: Any) -> None:
    for given_value in (value, {"m": value}):
        with pytest.raises(RecordError, match=field):
            parse_record({"prompt": "a", "model": "m", field: given_value}, PLACE)


@pytest.mark.parametrize("value", [1.0000001, 2, -0.0000001])
@pytest.mark.parametrize("field", SCORE_FIELDS)
def test_no_score_outside_0_to_1_gets_in(field: str, value: float) -> None:
    row = {"prompt": "a", "model": "m", field: {"m": value} if field == "outcomes" else value}
    with pytest.raises(RecordError, match=field):
        parse_record(row, PLACE)


@pytest.mark.parametrize("field", ["meta", "outcomes", "messages", "cost_usd", "timestamp", "extra"])
@pytest.mark.parametrize("depth", [400, 900, 5000, 100_000])
def test_deep_nesting_is_a_record_or_refused(tmp_path: Path, field: str, depth: int) -> None:
    path = tmp_path / "log.jsonl"
    prompt = "" if field == "messages" else '"prompt": "a", '
    for opened, closed in (("[", "]"), ('{"a":', "}")):
        nested = opened * depth + "1" + closed * depth
        path.write_text(f'{{{prompt}"{field}": {{"m": {nested}}}}}\n{{{prompt}"{field}": [{nested}]}}\n')
        reading = Reading(skip_bad=True)
        assert len(list(read_records(path, reading))) + reading.bad == 2
        assert all(len(reason) < 400 + len(str(path)) for reason in reading.reasons)


def test_a_tool_call_nested_too_deeply_to_write_out_is_read_without_its_arguments() -> None:
    nested: Any = 1
    for _ in range(100_000):
        nested = [nested]
    call = {"type": "tool_use", "name": "run", "input": nested}
    record = parse_record({"messages": [{"role": "user", "content": ["hi", call]}]}, PLACE)
    assert record.prompt.text.startswith("hi")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=st.lists(PLAUSIBLE, min_size=1, max_size=5))
def test_whatever_becomes_a_record_can_be_labelled_and_grouped(rows: list[dict[str, Any]]) -> None:
    dear = {"input_usd_per_million": 1e9, "output_usd_per_million": 1e9}
    tiers = [{"name": name, "model": f"model-{name[0]}", **dear} for name in ("small", "medium", "large")]
    found = [record_or_refusal(row) for row in rows]
    assert all(map(sound, found))
    records = [record for record in found if isinstance(record, Record)]
    groups = group(records)
    assert len(groups) == len(records)
    try:
        labels = label(records, Ladder.from_dict({"tiers": tiers}), margin=0.1)
    except DataError as error:
        message = str(error)
        assert "\n" not in message
        return
    assert labels.outcomes.shape == labels.sufficient.shape == labels.cost_usd.shape == (len(records), 3)
    assert np.isfinite(labels.cost_usd).all()
    assert np.isin(labels.sufficient[labels.observed], (0.0, 1.0)).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=st.lists(ROWS | VALUES, max_size=6))
def test_a_file_of_any_rows_is_read_to_its_end_and_every_row_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any]
) -> None:
    assume(len(rows) != 1 or not isinstance(rows[0], list))  # that is a JSON file, an array of rows
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
    reading = Reading(skip_bad=True)
    read = list(read_records(path, reading))
    assert len(read) == reading.rows
    assert reading.rows + reading.bad == len(rows)
