"""Requests made to crash, stall or confuse the reader."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import PromptError
from router_model.features import featurize
from router_model.prompt import Prompt, read
from router_model.router import Router
from router_model.text import MAX_ASCII_CHARACTERS

MEGABYTE = 1 << 20
KEYS = [
    "messages", "input", "role", "content", "type", "text", "system", "instructions", "tool_calls",
    "function", "name", "arguments", "output", "user", "assistant", "tool", "tool_result", "tool_use",
    "function_call", "function_call_output", "image", "input_image", "input_text",
]  # fmt: skip

words = st.sampled_from(KEYS)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | words
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(words | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=40,
)


def readable(request: Any) -> Prompt | None:
    """The prompt, None where it is refused; any other error escapes."""
    try:
        return read(request)
    except PromptError:
        return None


def in_bounds(prompt: Prompt) -> bool:
    """Whether the text is valid Unicode and fits the window, and there is a turn."""
    prompt.text.encode()
    return len(prompt.text) <= MAX_ASCII_CHARACTERS and prompt.turns >= 1


@given(values)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_json_value_gives_a_prompt_or_a_prompt_error(value: Any) -> None:
    prompt = readable(value)
    assert prompt is None or in_bounds(prompt)


@given(st.lists(st.dictionaries(words, values, max_size=5), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_list_of_objects_gives_a_prompt(messages: list[dict[str, Any]]) -> None:
    prompt = readable(messages)
    assert prompt is not None
    assert in_bounds(prompt)


@given(st.fixed_dictionaries({"system": values, "messages": values}))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_body_gives_a_prompt_or_a_prompt_error(body: dict[str, Any]) -> None:
    prompt = readable(body)
    assert prompt is None or in_bounds(prompt)


def cjk(size: int) -> str:
    return "".join(map(chr, random.Random(0).choices(range(0x4E00, 0x9FFF), k=size)))


LONG = {
    "no spaces": "x" * MEGABYTE,
    "spaces alone": " " * MEGABYTE,
    "combining marks": "e" + "\u0301" * MEGABYTE,
    "random CJK": cjk(MEGABYTE),
    "NULs": "\0" * MEGABYTE,
    "lone surrogates": "\ud800" * MEGABYTE,
    "emoji": "\U0001f469\u200d\U0001f680" * (MEGABYTE // 3),
    "right-to-left overrides": "\u202e" * MEGABYTE,
    "unclosed reminders": "<system-reminder>" * (MEGABYTE // 17),
    "closed reminders": "<system-reminder>a</system-reminder>" * (MEGABYTE // 36),
    "reminders that close before they open": "</system-reminder><system-reminder>" * (MEGABYTE // 35),
    "base64 marks": ";base64," * (MEGABYTE // 8),
    "base64 data": ";base64," + "A" * MEGABYTE,
    "code fences": "```\n" * (MEGABYTE // 4),
    "special tokens": "[SEP][PAD][CLS]" * (MEGABYTE // 15),
}


@pytest.mark.parametrize("name", list(LONG))
def test_a_megabyte_of_anything_is_routed_and_gives_finite_features(name: str, router: Router) -> None:
    text = LONG[name]
    prompt = readable(text)
    assert prompt is not None
    assert all(0 <= value < 20 for value in featurize(prompt))
    decision = router.route([{"role": "user", "content": text}])
    assert all(0 <= value <= 1 for value in decision.sufficiency.values())


@pytest.mark.parametrize("name", list(LONG))
def test_a_megabyte_in_every_field_of_a_message_is_read(name: str) -> None:
    text = LONG[name]
    message = {
        "role": text,
        "type": text,
        "content": [{"type": "text", "text": text}, {"type": text}, text],
        "tool_calls": [{"function": {"name": text, "arguments": text}}],
    }
    assert readable([message, {"type": "function_call_output", "output": text}]) is not None


def test_a_thousand_messages_are_read() -> None:
    messages = [{"role": ("user", "assistant")[turn % 2], "content": f"turn {turn}"} for turn in range(1000)]
    prompt = read(messages)
    assert prompt.turns == 1000
    assert prompt.text.startswith("turn 998\n\nturn 0\n\nturn 1\n\n")
    assert prompt.text.endswith("turn 999")


@pytest.mark.parametrize("kind", [[], {}, ["text"], {"type": "text"}, None, 7, True])
def test_a_type_that_is_no_string_is_an_unknown_type(kind: Any) -> None:
    parts = [{"type": kind, "text": "unseen"}, {"type": "text", "text": "seen"}]
    prompt = read([{"role": "user", "type": kind, "content": parts}])
    assert prompt.text == "seen"


@pytest.mark.parametrize("role", [[], {}, None, 7])
def test_a_role_that_is_no_string_is_not_the_user(role: Any) -> None:
    messages = [{"role": "user", "content": "asked"}, {"role": role, "content": "said"}]
    assert read(messages).text == "asked\n\nsaid"


def nested(depth: int, wrap: str) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = {"type": "tool_result", "content": [value]} if wrap == "object" else [value]
    return value


@pytest.mark.parametrize("wrap", ["object", "list"])
@pytest.mark.parametrize("depth", [2, 100_000])
def test_content_that_nests_is_read_one_level_deep(depth: int, wrap: str) -> None:
    deep = nested(depth, wrap)
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "asked"}, deep]},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": deep}]},
    ]
    prompt = read(messages)
    assert "asked" in prompt.text
    assert read({"system": deep, "messages": messages}).turns == 2
    while isinstance(deep, dict | list):  # taken apart by hand: a recursive release might overflow
        deep = deep["content"] if isinstance(deep, dict) else deep[0]


def test_content_that_holds_itself_is_read() -> None:
    content: list[Any] = [{"type": "text", "text": "asked"}]
    content.append(content)
    call: dict[str, Any] = {"type": "tool_use", "name": "f"}
    call["input"] = call
    content.append(call)
    prompt = read([{"role": "user", "content": content}])
    assert prompt.text.startswith('asked\nf {"type":"tool_use","name":"f","input":{"type":"tool_use",')
    assert prompt.tools == 1


def test_strings_where_lists_belong_are_not_taken_apart() -> None:
    message = {"role": "user", "content": "asked", "tool_calls": "abc"}
    prompt = read([message, {"type": "tool_result", "content": 7}, {"type": "function_call_output"}])
    assert (prompt.text, prompt.tools) == ("asked", 2)
