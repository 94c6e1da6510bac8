"""Every log format: told by its rows, converted to records that train, with what is optional and without."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router_model.base import Base
from router_model.data.feedback import Rules, outcomes
from router_model.data.formats.format import Dropped
from router_model.data.formats.registry import BY_NAME, FORMATS, recognised
from router_model.data.ingest import ingest
from router_model.data.readers import read_records
from router_model.data.records import Record, parse_record
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.train import train

Row = dict[str, Any]


def answers(rows: list[Row]) -> Iterator[tuple[str, Row, str, float]]:
    """(id, row, model, outcome) of every model that answered a row."""
    for row in rows:
        for model, outcome in row["outcomes"].items():
            yield f"{row['id']}-{model}", row, model, outcome


def openai(rows: list[Row]) -> list[Row]:
    return [
        {
            "request": {"model": model, "messages": [{"role": "user", "content": row["prompt"]}]},
            "response": {
                "id": name,
                "object": "chat.completion",
                "created": 1_760_000_000,
                "model": model,
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
                ],
                "usage": {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22},
            },
            "feedback": {"score": outcome},
        }
        for name, row, model, outcome in answers(rows)
    ]


def litellm(rows: list[Row]) -> list[Row]:
    return [
        {
            "id": name,
            "trace_id": f"trace-{row['id']}",
            "call_type": "acompletion",
            "response_cost": 0.001,
            "status": "success" if outcome else "failure",
            "error_str": None if outcome else "the provider timed out",
            "prompt_tokens": 20,
            "completion_tokens": 2,
            "total_tokens": 22,
            "startTime": 1_760_000_000.0,
            "endTime": 1_760_000_001.5,
            "model": model,
            "model_group": "chat",
            "metadata": {"user_api_key_team_id": "team-1"},
            "request_tags": [],
            "messages": [{"role": "user", "content": row["prompt"]}],
            "response": {
                "choices": [{"message": {"content": "Yes.", "role": "assistant"}, "finish_reason": "stop"}]
            },
        }
        for name, row, model, outcome in answers(rows)
    ]


def spend_logs(rows: list[Row]) -> list[Row]:
    return [
        {
            "request_id": name,
            "call_type": "acompletion",
            "spend": 0.001,
            "prompt_tokens": 20,
            "completion_tokens": 2,
            "startTime": "2026-01-01T00:00:00.000000Z",
            "endTime": "2026-01-01T00:00:01.500000Z",
            "model": model,
            "session_id": f"trace-{row['id']}",
            "status": "success" if outcome else "failure",
            "metadata": "{}",
            "team_id": "team-1",
            "messages": json.dumps([{"role": "user", "content": row["prompt"]}]),
            "response": json.dumps({"choices": [{"message": {"content": "Yes.", "role": "assistant"}}]}),
        }
        for name, row, model, outcome in answers(rows)
    ]


def langfuse(rows: list[Row]) -> list[Row]:
    return [
        {
            "id": f"trace-{name}",
            "timestamp": "2026-01-01T00:00:00.000Z",
            "name": "chat",
            "sessionId": f"trace-{row['id']}",
            "userId": "team-1",
            "observations": [
                {"id": f"span-{name}", "traceId": f"trace-{name}", "type": "SPAN", "input": None},
                {
                    "id": name,
                    "traceId": f"trace-{name}",
                    "type": "GENERATION",
                    "model": model,
                    "startTime": "2026-01-01T00:00:00.000Z",
                    "endTime": "2026-01-01T00:00:01.500Z",
                    "input": {"messages": [{"role": "user", "content": row["prompt"]}]},
                    "output": {"role": "assistant", "content": "Yes."},
                    "usageDetails": {"input": 20, "output": 2, "total": 22},
                    "costDetails": {"input": 0.0004, "output": 0.0006, "total": 0.001},
                    "level": "DEFAULT",
                },
            ],
            "scores": [{"name": "score", "value": outcome, "dataType": "NUMERIC", "observationId": None}],
        }
        for name, row, model, outcome in answers(rows)
    ]


def attributes(**values: Any) -> list[Row]:
    kinds = {str: "stringValue", float: "doubleValue", int: "intValue"}
    return [
        {
            "key": key.replace("__", "."),
            "value": {kinds[type(value)]: str(value) if type(value) is int else value},
        }
        for key, value in values.items()
    ]


def otel(rows: list[Row]) -> list[Row]:
    return [
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": attributes(service__name="shop")},
                    "scopeSpans": [
                        {
                            "scope": {"name": "opentelemetry.instrumentation.openai_v2"},
                            "spans": [
                                {
                                    "traceId": f"trace-{name}",
                                    "spanId": name,
                                    "name": f"chat {model}",
                                    "startTimeUnixNano": "1760000000000000000",
                                    "endTimeUnixNano": "1760000001500000000",
                                    "attributes": attributes(
                                        gen_ai__operation__name="chat",
                                        gen_ai__request__model=model,
                                        gen_ai__conversation__id=f"trace-{row['id']}",
                                        gen_ai__usage__input_tokens=20,
                                        gen_ai__usage__output_tokens=2,
                                        gen_ai__input__messages=json.dumps(
                                            [
                                                {
                                                    "role": "user",
                                                    "parts": [{"type": "text", "content": row["prompt"]}],
                                                }
                                            ]
                                        ),
                                        gen_ai__output__messages=json.dumps(
                                            [
                                                {
                                                    "role": "assistant",
                                                    "parts": [{"type": "text", "content": "Yes."}],
                                                    "finish_reason": "stop",
                                                }
                                            ]
                                        ),
                                    ),
                                    "events": [
                                        {
                                            "name": "gen_ai.evaluation.result",
                                            "attributes": attributes(
                                                gen_ai__evaluation__name="score",
                                                gen_ai__evaluation__score__value=outcome,
                                            ),
                                        }
                                    ],
                                    "status": {},
                                }
                            ],
                        }
                    ],
                }
            ]
        }
        for name, row, model, outcome in answers(rows)
    ]


def routerbench(rows: list[Row]) -> list[Row]:
    return [
        {
            "sample_id": row["id"],
            "prompt": row["prompt"],
            "eval_name": row["task"],
            **row["outcomes"],
            **{f"{model}|total_cost": 0.001 for model in row["outcomes"]},
            **{f"{model}|model_response": "Yes." for model in row["outcomes"]},
            "oracle_model_to_route_to": "model-s",
        }
        for row in rows
    ]


def rorf(rows: list[Row]) -> list[Row]:
    return [
        {"Input": row["prompt"], **{f"{model}/score": of for model, of in row["outcomes"].items()}}
        for row in rows
    ]


def model_scores(rows: list[Row]) -> list[Row]:
    return [
        {
            "idx": number,
            "prompt": row["prompt"],
            "answer": "Yes.",
            "images": [],
            "model_scores": row["outcomes"],
        }
        for number, row in enumerate(rows)
    ]


def battles(rows: list[Row]) -> Iterator[tuple[Row, str, str, str]]:
    """(row, model a, model b, winner) of the cheapest model against each dearer one."""
    for row in rows:
        cheap, *others = row["outcomes"]
        for other in others:
            gain = row["outcomes"][other] - row["outcomes"][cheap]
            yield row, other, cheap, "model_a" if gain > 0 else "model_b" if gain < 0 else "tie"


def arena(rows: list[Row]) -> list[Row]:
    return [
        {
            "question_id": f"{row['id']}-{one}",
            "model_a": one,
            "model_b": other,
            "winner": winner,
            "judge": "arena_user_1",
            "conversation_a": [
                {"content": row["prompt"], "role": "user"},
                {"content": "Yes.", "role": "assistant"},
            ],
            "conversation_b": [
                {"content": row["prompt"], "role": "user"},
                {"content": "No.", "role": "assistant"},
            ],
            "turn": 1,
            "tstamp": 1_760_000_000.0,
        }
        for row, one, other, winner in battles(rows)
    ]


def kaggle(rows: list[Row]) -> list[Row]:
    return [
        {
            "id": f"{row['id']}-{one}",
            "model_a": one,
            "model_b": other,
            "prompt": json.dumps([row["prompt"]]),
            "response_a": json.dumps(["Yes."]),
            "response_b": json.dumps(["No."]),
            "winner_model_a": int(winner == "model_a"),
            "winner_model_b": int(winner == "model_b"),
            "winner_tie": int(winner == "tie"),
        }
        for row, one, other, winner in battles(rows)
    ]


def conversations(rows: list[Row]) -> list[Row]:
    return [
        {
            "conversation_id": name,
            "model": model,
            "conversation": [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": "Yes."},
                {"role": "user", "content": "Thanks, that is right." if outcome else "No, that's wrong."},
            ],
            "turn": 2,
            "language": "English",
        }
        for name, row, model, outcome in answers(rows)
    ]


def record(rows: list[Row]) -> list[Row]:
    return rows


LOGS = {
    "openai": openai,
    "litellm": litellm,
    "spend_logs": spend_logs,
    "langfuse": langfuse,
    "otel": otel,
    "routerbench": routerbench,
    "rorf": rorf,
    "model_scores": model_scores,
    "arena": arena,
    "kaggle": kaggle,
    "conversations": conversations,
    "record": record,
}

NAMES = {
    "spend_logs": "litellm",
    "routerbench": "scores",
    "rorf": "scores",
    "model_scores": "scores",
    "arena": "preferences",
    "kaggle": "preferences",
}
PROMPT = "What is 2 + 2?"
ONE: Row = {"id": "row-0", "task": "t", "prompt": PROMPT, "outcomes": {"model-s": 0.0, "model-l": 1.0}}


def records(row: Row, name: str | None = None) -> list[Record]:
    """The records of one row of a log."""
    known = BY_NAME[name] if name else recognised([row], "log")
    return [parse_record(found, "log:1") for found in known.rows(row) if not isinstance(found, Dropped)]


def dropped(row: Row, name: str) -> list[str]:
    return [found.reason for found in BY_NAME[name].rows(row) if isinstance(found, Dropped)]


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("log", LOGS)
def test_a_log_is_told_by_its_rows(log: str) -> None:
    for row in LOGS[log]([ONE]):
        told = [known.name for known in FORMATS if known.recognise(row)]
        assert told[0] == NAMES.get(log, log)
        assert set(told[1:]) <= {"record"}, "two formats take the row for theirs"


def test_a_log_of_no_known_format_is_refused_with_how_each_is_told() -> None:
    with pytest.raises(DataError) as caught:
        recognised([{"colour": "red"}, [], 3, None], "log.jsonl")
    assert all(f"{known.name}: {known.told_by}" in str(caught.value) for known in FORMATS)


@pytest.mark.parametrize("log", ["openai", "litellm", "spend_logs", "langfuse", "otel"])
def test_a_call_becomes_a_record_with_all_that_the_platform_logged(log: str) -> None:
    rows = LOGS[log]([ONE])
    bad, good = (records(row)[0] for row in rows)
    assert (good.id, good.model, good.prompt.text) == ("row-0-model-l", "model-l", PROMPT)
    assert (good.answers, good.input_tokens) == ({"model-l": "Yes."}, 20.0)
    assert good.output_tokens == {"model-l": 2.0}
    if log != "openai":
        assert (good.latency_ms, good.session) == ({"model-l": 1500.0}, "trace-row-0")
        assert good.tenant == (None if log == "otel" else "team-1")
    if log in ("litellm", "spend_logs", "langfuse"):
        assert good.cost_usd == {"model-l": 0.001}
    failed = log in ("litellm", "spend_logs")
    assert bad.feedback.get("error" if failed else "score") is not None or bad.feedback["score"] == 0.0
    assert good.feedback.get("score") == (None if failed else 1.0)


def test_whole_tables_of_scores_become_outcomes() -> None:
    for log in ("routerbench", "rorf", "model_scores"):
        (found,) = (record for row in LOGS[log]([ONE]) for record in records(row))
        assert (found.request, found.outcomes) == (PROMPT, {"model-s": 0.0, "model-l": 1.0})
        if log == "routerbench":
            assert (found.task, found.cost_usd["model-l"], found.answers["model-s"]) == ("t", 0.001, "Yes.")


def test_a_table_of_plain_columns_needs_its_format_named() -> None:
    row = {"prompt": PROMPT, "small-8b": "0.5", "large-400b": 1, "note": "-"}
    assert recognised([row], "log").name == "record"
    (found,) = records(row, "scores")
    assert found.outcomes == {"small-8b": 0.5, "large-400b": 1.0}


def test_preferences_keep_winner_and_answers_and_two_bad_answers_are_outcomes_of_nought() -> None:
    for log in ("arena", "kaggle"):
        row = LOGS[log]([ONE])[0]
        (found,) = records(row)
        assert found.preference == ("model-l", "model-s", "model_a")
        assert (found.request, found.answers) == (PROMPT, {"model-l": "Yes.", "model-s": "No."})
    (both,) = records(arena([ONE])[0] | {"winner": "tie (bothbad)"})
    assert (both.preference, both.outcomes) == (None, {"model-l": 0.0, "model-s": 0.0})
    turns = [{"role": "user", "content": text} for text in ("one", "two")]
    (several,) = records(arena([ONE])[0] | {"conversation_a": turns})
    assert several.prompt.text == "two\n\none"  # the last first


def test_a_conversation_becomes_one_record_a_turn_with_what_the_user_said_next() -> None:
    said = [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("user", "d"),
        ("assistant", "e"),
        ("user", "f"),
    ]
    row = {"conversation_id": "s", "model": "m", "conversation": [{"role": r, "content": t} for r, t in said]}
    first, second = records(row)
    assert (first.request, first.answers, first.feedback) == (
        [{"role": "user", "content": "a"}], {"m": "b"}, {"next_user": "c\nd"},
    )  # fmt: skip
    assert [message["content"] for message in second.request] == ["a", "b", "c", "d"]
    assert (second.answers, second.feedback) == ({"m": "e"}, {"next_user": "f"})
    assert {(found.session, found.group) for found in (first, second)} == {("s", "s")}
    assert dropped(row | {"conversation": []}, "conversations") == ["a conversation without an answer"]


@pytest.mark.parametrize(
    ("log", "needed"),
    [
        ("openai", {"request"}),
        ("litellm", {"messages", "call_type"}),
        ("spend_logs", {"messages", "call_type"}),
        ("langfuse", {"observations"}),
        ("otel", {"resourceSpans"}),
        ("routerbench", {"prompt", "model-s", "model-l", "model-s|total_cost", "model-l|total_cost"}),
        ("rorf", {"Input", "model-s/score", "model-l/score"}),
        ("model_scores", {"prompt", "model_scores"}),
        ("arena", {"model_a", "model_b", "winner", "conversation_a"}),
        ("kaggle", {"model_a", "model_b", "prompt", "winner_model_a", "winner_model_b", "winner_tie"}),
        ("conversations", {"conversation"}),
        ("record", {"prompt"}),
    ],
)
def test_what_is_optional_may_be_missing_or_null(log: str, needed: set[str]) -> None:
    row = LOGS[log]([ONE])[0]
    name = NAMES.get(log, log)
    least = {key: value for key, value in row.items() if key in needed}
    assert len(records(least, name)) == len(records(row, name)) == 1
    for key in row.keys() - needed:
        assert len(records(row | {key: None}, name)) == 1


def test_bodies_of_the_batch_api_and_stored_completions_are_pairs() -> None:
    pair = openai([ONE])[1]
    asked, answered = pair["request"], pair["response"]
    spoken = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}
    shapes: list[Row] = [
        {"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": asked,
         "response": {"status_code": 200, "request_id": "q", "body": answered}, "error": None},
        {"request": {"custom_id": "c", "body": asked}, "response": {"status_code": 200, "body": answered}},
        {**answered, "messages": asked["messages"], "metadata": {"team": "one"}},
        {"request": {"model": "model-l", "input": PROMPT},
         "response": {"model": "model-l", "status": "completed", "output": [{"type": "reasoning"}, spoken],
                      "usage": {"input_tokens": 20, "output_tokens": 2}}},
    ]  # fmt: skip
    for shape in shapes:
        (found,) = records(shape)
        assert (found.prompt.text, found.answers, found.input_tokens) == (PROMPT, {"model-l": "Yes."}, 20.0)
    (failed,) = records({"request": asked, "response": {"status_code": 500, "body": None}})
    assert failed.feedback == {"error": "status 500"}


def test_spans_of_older_conventions_hold_their_messages_elsewhere() -> None:
    asked, said = {"role": "user", "content": PROMPT}, {"role": "assistant", "content": "Yes."}
    model = attributes(gen_ai__request__model="model-l")
    choice = attributes(message=json.dumps(said), finish_reason="stop")
    shapes: list[tuple[list[Row], list[Row]]] = [
        ([], [{"name": "gen_ai.user.message", "attributes": attributes(content=PROMPT)},
              {"name": "gen_ai.choice", "attributes": choice}]),
        ([], [{"name": "gen_ai.content.prompt", "attributes": attributes(gen_ai__prompt=json.dumps([asked]))},
              {"name": "gen_ai.content.completion",
               "attributes": attributes(gen_ai__completion=json.dumps([said]))}]),
        (attributes(gen_ai__prompt__0__role="user", gen_ai__prompt__0__content=PROMPT,
                    gen_ai__completion__0__content="Yes."), []),
    ]  # fmt: skip
    for own, events in shapes:
        span = {"spanId": "s", "traceId": "t", "attributes": [*model, *own], "events": events}
        row = {"resourceSpans": [{"scopeSpans": [{"spans": [span, {"name": "GET /"}]}]}]}
        (found,) = records(row)
        assert (found.prompt.text, found.answers, found.group) == (PROMPT, {"model-l": "Yes."}, "t")
        assert dropped(row, "otel") == ["a span of something else (no gen_ai attributes)"]


def test_what_holds_no_request_is_dropped_with_its_reason() -> None:
    call = litellm([ONE])[0]
    assert dropped(call | {"call_type": "aembedding"}, "litellm") == [
        "a call that asks for no text (call_type)"
    ]
    assert dropped(call | {"messages": {}}, "litellm") == ["no prompt logged"]
    trace = langfuse([ONE])[0]
    assert dropped(trace, "langfuse") == ["an observation that is no generation"]
    assert dropped(trace | {"observations": []}, "langfuse") == [
        "a trace without its observations; export these"
    ]


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (
            {"usageDetails": {"input": 100, "input_cached_tokens": 900, "output": 50,
                              "output_reasoning_tokens": 450, "total": 1500}},
            (1000.0, 500.0),
        ),
        (
            {"usageDetails": {"input": 2, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 5,
                              "output": 3}},
            (17.0, 3.0),
        ),
        ({"usage": {"input": 20, "output": 2, "unit": "TOKENS"}}, (20.0, 2.0)),
        ({"usage": {"input": 80, "output": 9, "unit": "CHARACTERS"}}, (None, None)),
        ({"promptTokens": 20, "completionTokens": 2}, (20.0, 2.0)),
    ],
)  # fmt: skip
def test_langfuse_counts_cached_and_reasoning_tokens_and_no_characters(usage: Row, tokens: Any) -> None:
    trace = langfuse([ONE])[0]
    del trace["observations"][1]["usageDetails"]
    trace["observations"][1] |= usage
    (found,) = records(trace)
    assert (found.input_tokens, found.output_tokens.get("model-s")) == tokens


def test_tokens_that_anthropic_read_from_its_cache_count_as_asked() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 90}
    asked = {"model": "m", "messages": [{"role": "user", "content": PROMPT}]}
    said = {"role": "assistant", "content": [{"type": "text", "text": "4"}], "stop_reason": "end_turn"}
    (found,) = records({"request": asked, "response": said | {"usage": usage | {"output_tokens": 1}}})
    assert (found.input_tokens, found.output_tokens) == (2100.0, {"m": 1.0})
    whole = {"input_tokens": 2100, "input_tokens_details": {"cached_tokens": 2000}, "output_tokens": 1}
    (found,) = records({"request": asked, "response": said | {"usage": whole}})
    assert found.input_tokens == 2100.0


def test_why_a_response_is_incomplete_is_its_finish_reason() -> None:
    cut = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []}
    (found,) = records({"request": {"model": "m", "input": PROMPT}, "response": cut})
    assert found.feedback == {"finish_reason": "content_filter"}
    (marked,) = outcomes([found], Rules.default())
    assert marked.outcomes == {"m": 0.0}


@pytest.mark.parametrize(("log", "hit"), [("litellm", True), ("spend_logs", "True")])
def test_what_litellm_did_not_measure_is_no_zero(log: str, hit: Any) -> None:
    bad, good = LOGS[log]([ONE])
    nothing = {"response_cost": 0.0, "spend": 0.0, "prompt_tokens": 0, "completion_tokens": 0}
    (failed,) = records(bad | {key: value for key, value in nothing.items() if key in bad})
    assert (failed.cost_usd, failed.input_tokens, failed.output_tokens) == ({}, None, {})
    assert failed.latency_ms == {"model-s": 1500.0}
    (cached,) = records(good | {"cache_hit": hit})
    assert (cached.cost_usd, cached.output_tokens, cached.latency_ms) == ({}, {}, {})
    assert (cached.answers, cached.meta["cached"]) == ({"model-l": "Yes."}, True)
    (free,) = records(good | {key: 0.0 for key in ("response_cost", "spend") if key in good})
    assert free.cost_usd == {"model-l": 0.0}


def test_a_spend_log_that_failed_before_there_was_a_column_for_it_has_failed() -> None:
    row = spend_logs([ONE])[1]
    del row["status"]
    told = {"status": "failure", "error_information": {"error_message": "busy"}}
    (found,) = records(row | {"metadata": json.dumps(told)})
    assert (found.feedback["error"], found.answers) == ("busy", {})


@pytest.mark.parametrize("log", ["litellm", "spend_logs"])
def test_litellm_names_one_tenant_in_both_its_logs(log: str) -> None:
    assert records(LOGS[log]([ONE])[0] | {"end_user": "ada"})[0].tenant == "team-1"


def test_a_complaint_in_a_second_message_of_the_user_is_heard() -> None:
    said = ["user", "assistant", "user", "user", "assistant"]
    texts = [PROMPT, "5", "Hm.", "That's wrong.", "4"]
    turns = [{"role": role, "content": text} for role, text in zip(said, texts, strict=True)]
    first, second = records({"conversation_id": "c", "model": "m", "conversation": turns})
    assert (first.feedback, second.feedback) == ({"next_user": "Hm.\nThat's wrong."}, {})
    assert [marked.outcomes for marked in outcomes([first, second], Rules.default())] == [{"m": 0.0}, {}]


@pytest.mark.parametrize("kind", [int, bool, str])
def test_a_winner_may_be_told_by_truth_values(kind: type) -> None:
    for row, told in zip(kaggle([ONE]), LOGS["kaggle"]([ONE]), strict=True):
        columns = {name: kind(bool(row[name])) for name in row if name.startswith("winner")}
        assert records(row | columns)[0].preference == records(told)[0].preference


def test_a_refusal_is_an_answer_and_a_response_all_that_it_says() -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": PROMPT}]}
    choice = {
        "message": {"role": "assistant", "content": None, "refusal": "I won't."},
        "finish_reason": "stop",
    }
    assert records({"request": asked, "response": {"choices": [choice]}})[0].answers == {"m": "I won't."}
    parts = [{"type": "output_text", "text": "Let me see."}], [{"type": "refusal", "refusal": "I won't."}]
    output = [{"type": "message", "content": part} for part in parts]
    response = {"status": "completed", "output": [output[0], {"type": "web_search_call"}, output[1]]}
    (found,) = records({"request": {"model": "m", "input": PROMPT}, "response": response})
    assert found.answers == {"m": "Let me see.\nI won't."}


def test_the_turns_of_a_conversation_without_a_name_are_one_group() -> None:
    said = [("user", PROMPT), ("assistant", "5"), ("user", "Hm."), ("assistant", "4")]
    turns = [{"role": role, "content": text} for role, text in said]
    first, second = records({"model": "m", "conversation": turns})
    (other,) = records({"model": "m", "conversation": turns[:2]})
    assert first.group == second.group is not None
    assert other.group not in (None, first.group)
    assert first.session is None


def test_what_a_tool_returned_is_read_whatever_its_type() -> None:
    row = otel([ONE])[0]
    held = row["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    result = {"type": "tool_call_response", "id": "1", "response": {"rain": True}}
    messages = [
        {"role": "user", "parts": [{"type": "text", "content": PROMPT}]},
        {"role": "tool", "parts": [result]},
        {"role": "user", "parts": [{"type": "text", "content": "And?"}, result | {"response": "dry"}]},
    ]
    for attribute in held:
        if attribute["key"] == "gen_ai.input.messages":
            attribute["value"] = {"stringValue": json.dumps(messages)}
    (found,) = records(row)
    assert [message["content"] for message in found.request] == [PROMPT, '{"rain": true}', "And?\ndry"]


def test_text_that_looks_like_json_stays_what_was_said() -> None:
    said = '{"a": [1, 2]}'
    asked = {"model": "m", "messages": [{"role": "user", "content": said}]}
    answered = {"choices": [{"message": {"content": '{"role": 1}'}}]}
    (found,) = records({"request": asked, "response": answered})
    assert (found.prompt.text, found.answers) == (said, {"m": '{"role": 1}'})
    trace = langfuse([ONE])[0]
    trace["observations"][1] |= {"input": said, "output": "[1, 2]"}
    (found,) = records(trace)
    assert (found.request, found.answers) == (said, {"model-s": "[1, 2]"})


def outcome(record: Record) -> dict[str, float]:
    """A stand-in for the rules of outcomes: what the fixtures' feedback says."""
    if record.outcomes or record.model is None:
        return dict(record.outcomes)
    if "next_user" in record.feedback:
        return {record.model: float("wrong" not in record.feedback["next_user"])}
    return {record.model: record.feedback.get("score", 0.0 if "error" in record.feedback else 1.0)}


@pytest.fixture(scope="module")
def rows(log_path: Path) -> list[Row]:
    return [json.loads(line) for line in log_path.read_text().splitlines()][:100]


@pytest.mark.parametrize("log", LOGS)
def test_every_format_converts_to_records_that_train(
    log: str, rows: list[Row], ladder: Ladder, small_base: Base, tmp_path: Path
) -> None:
    done = ingest([write(tmp_path / "log", LOGS[log](rows))], tmp_path / "records.parquet")
    assert list(done.formats.values()) == [NAMES.get(log, log)]
    found = list(read_records(tmp_path / "records.parquet"))
    assert done.tally.records == len(found)
    whole: dict[str, Row] = {}
    for number, record in enumerate(found):
        if record.preference:
            first, second, winner = record.preference
            row = {"prompt": record.prompt.text, "model_a": first, "model_b": second, "winner": winner}
            whole[f"{number}"] = row
        else:
            row = whole.setdefault(record.prompt.text, {"prompt": record.prompt.text, "outcomes": {}})
            row["outcomes"] |= outcome(record)
    if log in ("arena", "kaggle"):
        assert len(whole) == 2 * len(rows)
        whole |= {f"whole {number}": row for number, row in enumerate(rows[:60])}  # a curve needs whole rows
    else:
        assert {text: row["outcomes"] for text, row in whole.items()} == {
            row["prompt"]: row["outcomes"] for row in rows
        }
    labelled = write(tmp_path / "labelled.jsonl", list(whole.values()))
    few = TrainConfig(folds=2, epochs=2, min_steps=1, resamples=200, batch_size=32)
    trained = train([labelled], ladder, tmp_path / "router.onnx", few, base=small_base, keep_dominated=True)
    assert trained.rows == len(whole)
