"""Hostile logs: whatever a row holds, a format gives records, reasons or a named refusal."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.data.blocks import Rows
from router_model.data.columns import columns
from router_model.data.conversations import MOST_TURNS
from router_model.data.convert import Convert, json_lines_of
from router_model.data.formats.registry import BY_NAME, recognised
from router_model.data.ingest import ingest
from router_model.errors import DataError, RouterModelError
from router_model.lines import Lines

KEYS = st.sampled_from(
    "id request response body error messages input prompt model choices message content role usage metadata "
    "call_type response_cost spend status startTime endTime standard_logging_object proxy_server_request "
    "session_id data meta traces trace observations scores traceId type value name dataType observationId "
    "output usageDetails costDetails timestamp resourceSpans scopeSpans spans attributes key stringValue "
    "intValue arrayValue kvlistValue values events parts gen_ai.prompt model_scores images Input small/score "
    "small|total_cost model_a model_b winner conversation_a response_a winner_tie conversation tool_calls "
    "function text feedback outcome".split()
)
WORDS = st.sampled_from(
    ["user", "assistant", "text", "GENERATION", "completion", "chat", "gen_ai.input.messages",
     "gen_ai.prompt", "gen_ai.request.model", "gen_ai.user.message", "gen_ai.choice",
     "gen_ai.evaluation.result", "ERROR", '[{"role": "user", "content": "hi"}]', "{", "[1]", "", "1e999",
     "nan", "\ud800", "9" * 400]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)
ROWS = st.dictionaries(KEYS, VALUES, max_size=8)
# Rows that go deep into each format, with any value at the end.
SPANS = st.lists(
    st.fixed_dictionaries(
        {
            "attributes": st.lists(st.fixed_dictionaries({"key": WORDS, "value": VALUES}), max_size=4),
            "events": VALUES
            | st.lists(st.fixed_dictionaries({"name": WORDS, "attributes": VALUES}), max_size=3),
        }
    ),
    max_size=2,
)
SHAPED = (
    SPANS.map(lambda spans: {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    | st.fixed_dictionaries({"request": ROWS, "response": ROWS, "error": VALUES})
    | st.fixed_dictionaries(
        {"observations": st.lists(ROWS, max_size=3), "scores": st.lists(ROWS, max_size=3)}
    )
    | st.fixed_dictionaries(
        {"model_a": VALUES, "model_b": VALUES, "winner": VALUES, "conversation_a": VALUES}
    )
    | st.fixed_dictionaries({"conversation": st.lists(ROWS, max_size=4), "model": VALUES})
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(row=ROWS | SHAPED, name=st.sampled_from(sorted(BY_NAME)))
def test_any_row_gives_records_reasons_or_refusals(row: dict[str, Any], name: str) -> None:
    with suppress(DataError):
        recognised([row], "log")
    for encode in (columns, json_lines_of):
        done = Convert(encode, stop=False)((name, Rows([("log:1", row)])))
        tally = done.tally
        assert (tally.rows, done.error) == (1, None)
        assert tally.records or tally.dropped or tally.refused or name in ("otel", "langfuse")
        assert all("\n" not in reason and len(reason) < 400 for reason in (*tally.refused, *tally.dropped))


@pytest.mark.parametrize("name", sorted(BY_NAME))
@pytest.mark.parametrize("depth", [50, 300, 900])
def test_deep_rows_are_refused_or_read(tmp_path: Path, name: str, depth: int) -> None:
    deep = '{"kvlistValue": {"values": [{"key": "a", "value": ' * (depth // 4) + "1" + "}]}}" * (depth // 4)
    data = '{"data": [' * (depth // 2) + "1" + '], "meta": 1}' * (depth // 2)
    inputs = '{"messages": ' * depth + "1" + "}" * depth
    span = f'{{"attributes": [{{"key": "gen_ai.prompt", "value": {deep}}}]}}'
    lines = [
        f'{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{span}]}}]}}]}}',
        data,
        f'{{"request": {inputs}, "response": {inputs}}}',
        f'{{"observations": [{{"type": "GENERATION", "input": {inputs}, "output": {inputs}}}]}}',
        f'{{"prompt": "a", "meta": {inputs}, "feedback": {inputs}}}',
        f'{{"conversation": [{{"role": "user", "content": {inputs}}}], "model": "m"}}',
    ]
    block = Lines("log", 0, "\n".join(lines).encode())
    for encode in (columns, json_lines_of):
        done = Convert(encode, stop=False)((name, block))
        assert (done.tally.rows, done.error) == (len(lines), None)


def test_a_conversation_without_end_makes_a_bounded_number_of_records(tmp_path: Path) -> None:
    turns = [{"role": role, "content": "a"} for _ in range(5000) for role in ("user", "assistant")]
    log = tmp_path / "log"
    log.write_text(json.dumps({"conversation": turns, "model": "m"}))
    assert ingest([log], tmp_path / "out.jsonl").tally.records == MOST_TURNS


@pytest.mark.parametrize(
    "content",
    [
        b'[{"prompt": "a"}, {"prompt": ',
        b'[{"prompt": "a"} nonsense]',
        b"[" * 5000,
        b'{\n"prompt": "a"\n',
        b'[\n"\xff"]',
        b'id,prompt\n1,"a\n2,b',
        b"id,prompt\n1,\xff",
        b"id,prompt\n" + b"1,2,3\n",
        b"PAR1nonsense",
        b"\x28\xb5\x2f\xfdnonsense",
        b"\x1f\x8bnonsense",
        b"id,prompt\n\x00\x00",
    ],
)
def test_a_broken_file_is_refused_in_one_line_that_names_it(tmp_path: Path, content: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    with pytest.raises(RouterModelError) as caught:
        ingest([log], tmp_path / "out.jsonl")
    assert "\n" not in str(caught.value)
    assert "log" in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()
