"""One row to a record: what it may hold, and how a bad one is refused."""

import datetime
import json
import math
from typing import Any

import pytest

from router_model.data.records import FIELDS, Record, parse_record, to_row
from router_model.errors import RecordError

BASE = {"prompt": "What is a monad?"}


def parse(**fields: Any) -> Record:
    return parse_record(BASE | fields, "log.jsonl:7")


def refusal(row: Any) -> str:
    """The message that refuses a row, which names its place on one line of bounded length."""
    with pytest.raises(RecordError) as caught:
        parse_record(row, "log.jsonl:7")
    message = str(caught.value)
    assert message.startswith("log.jsonl:7: ")
    assert "\n" not in message
    assert len(message) < 300
    return message


def test_every_field_finds_its_place() -> None:
    row = {
        "id": "r1", "prompt": "Hi", "best_tier": "small", "outcomes": {"a": 1, "b": 0.25, "c": None},
        "model": "d", "outcome": True, "propensity": 0.5, "model_a": "a", "model_b": "b", "winner": "model_b",
        "cost_usd": {"a": 0.1, "b": None}, "input_tokens": 12, "output_tokens": {"a": 30}, "latency_ms": 8.5,
        "timestamp": "2026-01-01T00:00:00Z", "session": "s", "group": "g", "tenant": "t", "task": "chat",
        "answer": "Hello.", "reference": "Hi.", "feedback": {"thumb": "up"}, "meta": {"any": [1]},
    }  # fmt: skip
    assert row.keys() | {"messages"} == FIELDS
    record = parse_record(row, "log.jsonl:1")
    assert (record.id, record.request, record.prompt.text, record.best_tier) == ("r1", "Hi", "Hi", "small")
    assert record.outcomes == {"a": 1.0, "b": 0.25, "d": 1.0}
    assert record.preference == ("a", "b", "model_b")
    assert (record.propensity, record.input_tokens) == (0.5, 12.0)
    assert (record.cost_usd, record.output_tokens, record.latency_ms) == ({"a": 0.1}, {"a": 30.0}, {"d": 8.5})
    assert (record.session, record.group, record.tenant, record.task) == ("s", "g", "t", "chat")
    assert (record.timestamp, record.meta) == ("2026-01-01T00:00:00Z", {"any": [1]})
    assert (record.model, record.answers, record.reference) == ("d", {"d": "Hello."}, "Hi.")
    assert record.feedback == {"thumb": "up"}
    assert record.labelled
    assert parse_record(to_row(record), "elsewhere:2") == record


def test_what_is_not_known_is_not_in_the_row() -> None:
    assert to_row(parse()) == {"id": "log.jsonl:7", "prompt": "What is a monad?"}
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    record = parse_record({"messages": messages, "answer": {"a": "1", "b": "2"}}, "log.jsonl:1")
    assert to_row(record) == {"id": "log.jsonl:1", "messages": messages, "answer": {"a": "1", "b": "2"}}


def test_an_empty_prompt_stays_in_the_row() -> None:
    assert to_row(parse(prompt=""))["prompt"] == ""


def test_nested_values_may_be_json_text_as_columns_of_one_type_hold_them() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    row = {"messages": json.dumps(messages), "meta": '{"a": [1]}', "feedback": '{"thumb": "up"}'}
    record = parse_record(row, "log.parquet:1")
    assert (record.request, record.meta, record.feedback) == (messages, {"a": [1]}, {"thumb": "up"})
    assert "field 'messages' is text that is not JSON" in refusal({"messages": "[{"})
    assert "field 'meta' is list" in refusal(BASE | {"meta": "[1]"})
    assert "field 'meta' is text that is not JSON" in refusal(BASE | {"meta": "[" * 100_000})


def test_an_answer_is_a_text_of_a_named_model() -> None:
    assert "'answer' without 'model'" in refusal(BASE | {"answer": "Hello."})
    assert "field answer['a'] is int; give text" in refusal(BASE | {"answer": {"a": 7}})


def test_a_bare_prompt_is_a_record_named_by_its_place_without_a_label() -> None:
    record = parse()
    assert record.id == "log.jsonl:7"
    assert not record.labelled
    assert record.group is record.session is record.task is None


def test_null_is_the_same_as_absent() -> None:
    assert parse(**dict.fromkeys(FIELDS - {"prompt"})) == parse()


def test_fields_that_are_no_part_of_a_record_are_passed_over() -> None:
    assert parse(colour="red", text=[1]) == parse()


def test_messages_are_read_as_the_router_reads_them() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    record = parse_record({"messages": messages}, "log.jsonl:1")
    assert record.prompt.text == "Hello\n\nBe brief."
    assert record.request == messages


def test_numbers_that_name_things_become_text() -> None:
    record = parse(id=7, session=0, task=-3)
    assert (record.id, record.session, record.task) == ("7", "0", "-3")


def test_a_session_groups_rows_unless_a_group_is_named() -> None:
    assert parse(session="s").group == "s"
    assert parse(session="s", group="").group == "s"
    assert parse(session="s", group="g").group == "g"


def test_a_logged_choice_is_an_outcome_of_its_model_with_its_cost_and_length() -> None:
    record = parse(model="m", outcome=0.75, propensity=0.2, cost_usd=0.01, output_tokens=90, latency_ms=450)
    assert record.outcomes == {"m": 0.75}
    assert (record.cost_usd, record.output_tokens, record.latency_ms) == ({"m": 0.01}, {"m": 90}, {"m": 450})


def test_a_number_without_a_model_is_passed_over() -> None:
    assert parse(cost_usd=0.01, latency_ms=450) == parse()


@pytest.mark.parametrize(
    ("winner", "wanted"),
    [
        ("model_a", "model_a"),
        ("model_b", "model_b"),
        ("tie", "tie"),
        ("tie (bothbad)", "tie"),
        ("gpt", "model_a"),
        ("tiefighter-13b", "model_b"),
    ],
)
def test_a_winner_is_a_side_a_tie_or_a_model_by_name(winner: str, wanted: str) -> None:
    record = parse(model_a="gpt", model_b="tiefighter-13b", winner=winner)
    assert record.preference == ("gpt", "tiefighter-13b", wanted)


def test_the_first_known_of_input_tokens_by_model_counts() -> None:
    assert parse(input_tokens={"a": None, "b": 9, "c": 11}).input_tokens == 9
    assert parse(input_tokens={}).input_tokens is None


def test_timestamps_stay_as_logged() -> None:
    assert parse(timestamp=1767225600.5).timestamp == 1767225600.5
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert parse(timestamp=moment).timestamp == "2026-01-01 00:00:00+00:00"


def test_true_and_false_are_outcomes() -> None:
    assert parse(outcomes={"a": True, "b": False}).outcomes == {"a": 1.0, "b": 0.0}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "a row is list; give one JSON object a line"),
        ("text", "a row is str; give one JSON object a line"),
        (None, "a row is NoneType"),
        ({}, "neither 'prompt' (text) nor 'messages' (a list); give one of them"),
        ({"prompt": None}, "neither 'prompt' (text) nor 'messages'"),
        ({"prompt": ["a"]}, "field 'prompt' is list; give text"),
        ({"prompt": 5}, "field 'prompt' is int; give text"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, "both 'prompt' and 'messages'"),
        ({"messages": "hello"}, "field 'messages' is text that is not JSON"),
        ({"messages": []}, "the request holds no messages; give"),
        ({"messages": ["hello"]}, "a message is str; give objects"),
    ],
)
def test_a_row_without_one_request_is_refused(row: Any, message: str) -> None:
    assert message in refusal(row)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": 1.5}, "field 'id' is float; give text"),
        ({"task": True}, "field 'task' is bool; give text"),
        ({"group": ["g"]}, "field 'group' is list; give text"),
        ({"session": 1 << 63}, "field 'session' is int; give text"),
        ({"best_tier": {}}, "field 'best_tier' is dict; give text"),
        ({"outcomes": [1]}, "field 'outcomes' is list; give model names and scores"),
        ({"outcomes": {"m": 1.01}}, "field \"outcomes['m']\" is 1.01; give a number from 0 to 1"),
        ({"outcomes": {"m": -0.01}}, "is -0.01; give a number from 0 to 1"),
        ({"outcomes": {"m": math.nan}}, "is nan; give a number from 0 to 1"),
        ({"outcomes": {"m": 10**400}}, "; give a number from 0 to 1"),
        ({"outcomes": {"m": "1"}}, "field \"outcomes['m']\" is str; give a number"),
        ({"outcomes": {"m": {}}}, "is dict; give a number"),
        ({"outcome": 1.0}, "'outcome' without 'model'; name the model that answered"),
        ({"outcome": 1.0, "model": ""}, "'outcome' without 'model'"),
        ({"outcome": 2, "model": "m"}, "field 'outcome' is 2; give a number from 0 to 1"),
        ({"propensity": 0.0}, "field 'propensity' is 0.0; give a number from 1e-09 to 1"),
        ({"propensity": False}, "field 'propensity' is 0.0; give a number from 1e-09 to 1"),
        ({"propensity": 1.1}, "field 'propensity' is 1.1"),
        ({"model_a": "a"}, "a preference needs 'model_a', 'model_b' and 'winner'"),
        ({"model_a": "a", "model_b": "b"}, "a preference needs"),
        ({"winner": "a"}, "a preference needs"),
        (
            {"model_a": "a", "model_b": "b", "winner": "c"},
            "field 'winner' is 'c'; give model_a, model_b, tie",
        ),
        ({"model_a": "a", "model_b": "a", "winner": "a"}, "field 'winner' is 'a'"),
        ({"model_a": "a", "model_b": "b", "winner": 1}, "field 'winner' is '1'"),
        ({"cost_usd": -1, "model": "m"}, "field 'cost_usd' is -1; give a number from 0 to 1e+15"),
        ({"cost_usd": {"m": math.inf}}, "field \"cost_usd['m']\" is inf; give a number from 0 to 1e+15"),
        ({"cost_usd": {"m": 10**400}}, "; give a number from 0 to 1e+15"),
        ({"cost_usd": "0.1"}, "field 'cost_usd' is str; give a number"),
        ({"cost_usd": True, "model": "m"}, "field 'cost_usd' is bool; give a number"),
        ({"input_tokens": 10**400}, "field 'input_tokens' is 1000"),
        ({"input_tokens": 1e16}, "field 'input_tokens' is 1e+16; give a number from 0 to 1e+15"),
        ({"input_tokens": math.nan}, "field 'input_tokens' is nan"),
        ({"output_tokens": [1]}, "field 'output_tokens' is list"),
        ({"latency_ms": {"m": -1}}, "field \"latency_ms['m']\" is -1"),
        ({"timestamp": []}, "field 'timestamp' is list; give text"),
        ({"timestamp": True}, "field 'timestamp' is bool; give text"),
        ({"meta": [1]}, "field 'meta' is list; give an object"),
        ({"meta": {"cut_from": 7}}, "field 'meta.cut_from' is int; give an object"),
        ({"meta": {"cut_from": {"tools": "7"}}}, "field 'meta.cut_from.tools' is str; give a number"),
        (
            {"meta": {"cut_from": {"turns": 0}}},
            "field 'meta.cut_from.turns' is 0; give a number from 1 to 1e+12",
        ),
        ({"meta": {"cut_from": {"characters": -1}}}, "field 'meta.cut_from.characters' is -1"),
    ],
)
def test_a_field_that_is_not_what_it_must_be_is_named(fields: dict[str, Any], message: str) -> None:
    assert message in refusal(BASE | fields)


def test_a_prompt_that_was_cut_counts_as_what_it_was_cut_from() -> None:
    told = {"characters": 90_000, "turns": 12, "tools": 5}
    prompt = parse_record(BASE | {"meta": {"cut_from": told}}, "here").prompt
    assert (prompt.text, prompt.characters) == (BASE["prompt"], 90_000)
    assert (prompt.turns, prompt.tools, prompt.images) == (12, 5, 0)
    assert prompt.truncated
    shorter = parse_record(BASE | {"meta": json.dumps({"cut_from": {"characters": 3}})}, "here").prompt
    assert shorter == parse_record(BASE, "here").prompt
