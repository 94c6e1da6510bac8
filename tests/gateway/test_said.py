"""Which conversation a request goes on with, read from its messages in the three shapes."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.serving.gateway.sessions.said import Said

USER, AGAIN = {"role": "user", "content": "What is 2 + 2?"}, {"role": "user", "content": "And 3 + 3?"}
ANSWER = {"role": "assistant", "content": "4"}
SYSTEM = {"role": "system", "content": "It is 3 o'clock."}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "4"}
USES = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}
GIVES = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "4"}]}
ITEM = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "4"}
THOUGHT = {"type": "reasoning", "summary": []}


def chat(*messages: Any, name: str | None = None, **more: Any) -> Said:
    return Said.read({"messages": list(messages), **more}, name)


def items(*said: Any) -> Said:
    return Said.read({"input": list(said)}, None)


@pytest.mark.parametrize(
    "turns",
    [
        [(USER,), (USER, ANSWER, AGAIN), (USER, ANSWER, AGAIN, ANSWER, USER)],
        [(SYSTEM, USER), ({**SYSTEM, "content": "It is 4 o'clock."}, USER, ANSWER, AGAIN)],
        [(USER,), (USER, CALL, RESULT), (USER, CALL, RESULT, CALL, RESULT, RESULT)],
        [(USER,), (USER, USES, GIVES), (USER, USES, GIVES, ANSWER, AGAIN)],
        [(USER, AGAIN), (USER, AGAIN, ANSWER, AGAIN)],
        [(USER, ANSWER), (USER, {"role": "assistant", "content": "4, of course"}, AGAIN)],  # a prefill
    ],
)
def test_each_request_begins_as_the_one_before_it_was(turns: list[Any]) -> None:
    read = [chat(*messages) for messages in turns]
    assert read[0].before is None
    for earlier, later in pairwise(read):
        assert later.before == earlier.now
        assert later.now != later.before


def test_items_of_responses_go_on_too() -> None:
    first, second = items(USER), items(USER, THOUGHT, ITEM, OUTPUT)
    third = items(USER, THOUGHT, ITEM, OUTPUT, ANSWER, AGAIN)
    assert (first.before, second.before, third.before) == (None, first.now, second.now)
    assert (first.tool_loop, second.tool_loop, third.tool_loop) == (False, True, False)
    assert Said.read({"input": "What is 2 + 2?"}, None).before is None


@pytest.mark.parametrize(
    ("messages", "loop"),
    [
        ((USER,), False),
        ((USER, CALL, RESULT), True),
        ((USER, CALL), True),
        ((USER, CALL, RESULT, ANSWER, AGAIN), False),
        ((USER, CALL, RESULT, AGAIN), True),
        ((USER, USES, GIVES), True),
        ((USER, USES), True),
        ((USER, {"role": "function", "name": "f", "content": "4"}), True),
        ((USER, ANSWER), False),
        ((), False),
    ],
)
def test_a_tool_loop_lasts_until_the_model_has_spoken(messages: Any, loop: bool) -> None:
    assert chat(*messages).tool_loop is loop


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("No, that's wrong!", True),
        ("Still   NOT working…", True),
        ("You’re wrong.", True),
        ("What is wrong with it?", False),
        (f"{'Fine. ' * 400} That's wrong.", False),
    ],
)
def test_a_complaint_stands_where_the_user_answers(text: str, complaint: bool) -> None:
    assert chat(USER, ANSWER, {"role": "user", "content": text}).complaint is complaint
    assert not chat({"role": "user", "content": text}).complaint
    parts = {"role": "user", "content": [{"type": "text", "text": text}]}
    assert chat(USER, ANSWER, parts).complaint is complaint


def test_a_mark_of_the_cache_and_a_text_in_parts_change_nothing() -> None:
    marked = [{"type": "text", "text": USER["content"], "cache_control": {"type": "ephemeral"}}]
    assert chat({"role": "user", "content": marked}).now == chat(USER).now


def test_other_words_other_users_and_other_places_are_other_conversations() -> None:
    read = [
        chat(USER),
        chat(AGAIN),
        chat(USER, AGAIN),
        chat(USER, user="eve"),
        chat(USER, prompt_cache_key="k"),
        chat({"role": "user", "content": "x" * 3000}),
        chat({"role": "user", "content": "x" * 3001}),
    ]
    assert len({said.now for said in read}) == len(read)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, None),
        ({"metadata": {"session_id": "m"}}, "m"),
        ({"conversation": "conv_1"}, "conv_1"),
        ({"conversation": {"id": "conv_1"}}, "conv_1"),
        ({"name": "h", "metadata": {"session_id": "m"}}, "h"),
        ({"metadata": {"session_id": 7}}, None),
        ({"metadata": "m"}, None),
        ({"name": ""}, None),
        ({"name": "a\nb"}, None),
        ({"name": "n" * 257}, None),
    ],
)
def test_a_name_is_taken_where_there_is_one(more: Any, name: str | None) -> None:
    assert chat(USER, **more).name == name


WORDS = ["user", "assistant", "tool_use"]
KEYS = ["role", "type", "content", "text", "tool_calls", "x"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)  # fmt: skip


@given(JSON, JSON, JSON)
def test_no_body_does_worse_than_begin_a_conversation(
    messages: Any, metadata: Any, conversation: Any
) -> None:
    for key in ("messages", "input"):
        said = Said.read({key: messages, "metadata": metadata, "conversation": conversation}, None)
        assert len(said.now) == 16
        assert said.before is None or len(said.before) == 16
