"""Requests to the text that is routed: three shapes, what is left out, and the window."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import PromptError
from router_model.prompt import Prompt, read
from router_model.text import MAX_ASCII_CHARACTERS, MAX_OTHER_CHARACTERS, MAX_REMOVALS

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
ARGUMENTS = '{"city":"Paris"}'

OPENAI_CHAT = {
    "model": "any",
    "tools": [{"type": "function", "function": {"name": "weather", "description": "SCHEMA"}}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the weather in Paris?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "Rain, 12 degrees"},
        {"role": "assistant", "content": "It rains."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And here?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ],
        },
    ],
}
OPENAI_RESPONSES = {
    "model": "any",
    "tools": [{"type": "function", "name": "weather", "description": "SCHEMA"}],
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": ARGUMENTS},
        {"type": "function_call_output", "call_id": "c", "output": "Rain, 12 degrees"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "It rains.", "annotations": []}],
        },
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "And here?"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
            ],
        },
    ],
}
ANTHROPIC = {
    "model": "any",
    "max_tokens": 100,
    "tools": [{"name": "weather", "description": "SCHEMA", "input_schema": {}}],
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "What is the weather in Paris?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c", "name": "weather", "input": {"city": "Paris"}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c",
                    "content": [{"type": "text", "text": "Rain, 12 degrees"}],
                }
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "It rains."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And here?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
        },
    ],
}
SHAPES = {"OpenAI chat": OPENAI_CHAT, "OpenAI Responses": OPENAI_RESPONSES, "Anthropic": ANTHROPIC}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_equivalent_requests_of_every_shape_give_the_same_text(shape: str) -> None:
    prompt = read(SHAPES[shape])
    assert prompt.text.split("\n\n") == [
        "And here?",
        "Be brief.",
        "What is the weather in Paris?",
        f"weather {ARGUMENTS}",
        "Rain, 12 degrees",
        "It rains.",
    ]
    assert (prompt.tools, prompt.images) == (2, 1)
    assert not prompt.truncated


@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_body_and_its_json_round_trip_give_the_same_prompt(shape: str) -> None:
    assert read(json.loads(json.dumps(SHAPES[shape]))) == read(SHAPES[shape])


def test_a_call_beside_text_reads_alike_in_every_shape_up_to_white_space() -> None:
    call = {"name": "weather", "arguments": ARGUMENTS}
    ask = {"role": "user", "content": "Paris?"}
    chat = [ask, {"role": "assistant", "content": "I look.", "tool_calls": [{"function": call}]}]
    responses = {
        "input": [ask, {"role": "assistant", "content": "I look."}, {"type": "function_call", **call}]
    }
    used = {"type": "tool_use", "name": "weather", "input": {"city": "Paris"}}
    anthropic = [ask, {"role": "assistant", "content": [{"type": "text", "text": "I look."}, used]}]
    texts = {" ".join(read(request).text.split()) for request in (chat, responses, anthropic)}
    assert texts == {f"Paris? I look. weather {ARGUMENTS}"}


def test_a_string_is_itself_without_the_white_space_around_it() -> None:
    assert read("  Why is the sky blue?\n") == Prompt("Why is the sky blue?", 20)


@pytest.mark.parametrize(
    "request_",
    [
        [{"role": "user", "content": "hello"}],
        ({"role": "user", "content": "hello"},),
        {"role": "user", "content": "hello"},
        {"messages": [{"role": "user", "content": "hello"}]},
        {"input": "hello"},
        {"input": [{"role": "user", "content": "hello"}]},
        [{"role": "user", "content": ["hello"]}],
        [{"role": "user", "content": {"type": "text", "text": "hello"}}],
        [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    ],
)
def test_every_way_to_say_one_user_message_is_that_message(request_: Any) -> None:
    assert read(request_) == Prompt("hello", 5)


def test_instructions_and_string_input_of_a_responses_body() -> None:
    assert read({"instructions": "Be brief.", "input": "hello"}).text == "hello\n\nBe brief."


def test_the_last_user_turn_comes_first_and_the_others_keep_their_order() -> None:
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "four"},
    ]
    prompt = read({"system": "zero", "messages": messages})
    assert prompt.text == "three\n\nzero\n\none\n\ntwo\n\nfour"
    assert prompt.turns == 4


def test_a_message_that_carries_tool_results_is_not_the_last_user_turn() -> None:
    result = {"type": "tool_result", "tool_use_id": "c", "content": "42"}
    messages = [
        {"role": "user", "content": "question"},
        {"role": "assistant", "content": "looking"},
        {"role": "user", "content": [result]},
    ]
    assert read(messages).text == "question\n\nlooking\n\n42"


def test_a_last_user_turn_of_an_image_alone_leaves_the_one_before_it_first() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "what is it?"},
        {"role": "user", "content": [image]},
    ]
    prompt = read(messages)
    assert prompt.text == "what is it?\n\nBe brief."
    assert prompt.images == 1


def test_parts_of_unknown_types_and_thoughts_are_passed_over() -> None:
    parts = [
        {"type": "thinking", "thinking": "SECRET"},
        {"type": "telepathy", "text": "SECRET"},
        {"type": "text", "text": "seen"},
        7,
        None,
    ]
    assert read([{"role": "user", "content": parts}]).text == "seen"


def test_custom_tools_calls_and_results_are_counted_and_read() -> None:
    items = [
        {"role": "user", "content": "run it"},
        {"type": "custom_tool_call", "name": "shell", "input": "ls -l"},
        {"type": "custom_tool_call_output", "output": "total 0"},
    ]
    prompt = read({"input": items})
    assert prompt.text == "run it\n\nshell ls -l\n\ntotal 0"
    assert prompt.tools == 2


def test_images_in_a_tool_result_are_counted() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    content = [{"type": "text", "text": "a chart"}, {"type": "image", "source": source}]
    prompt = read([{"role": "user", "content": [{"type": "tool_result", "content": content}]}])
    assert (prompt.text, prompt.tools, prompt.images) == ("a chart", 1, 1)


def test_system_reminders_are_left_out() -> None:
    text = "before <system-reminder>be\ngood</system-reminder>after<system-reminder></system-reminder>"
    assert read(text).text == "before after"
    assert read([{"role": "user", "content": text}]).text == "before after"


def test_a_reminder_in_a_part_of_its_own_leaves_the_user_turn() -> None:
    parts = [
        {"type": "text", "text": "<system-reminder>be good</system-reminder>"},
        {"type": "text", "text": "hello"},
    ]
    assert read([{"role": "user", "content": parts}]).text == "hello"


def test_a_reminder_that_is_never_closed_stays() -> None:
    assert read("a <system-reminder> b").text == "a <system-reminder> b"


def test_no_more_than_the_bound_of_reminders_is_removed() -> None:
    prompt = read("<system-reminder>x</system-reminder>" * (MAX_REMOVALS + 3) + "end")
    assert prompt.text.count("<system-reminder>") == 3


def test_base64_data_is_left_out_of_text() -> None:
    assert read(f"see ![](data:image/png;base64,{PNG}) here").text == "see ![](data:image/png;base64,) here"


def test_ascii_text_at_the_limit_is_whole_and_one_more_is_cut_from_the_middle() -> None:
    limit = MAX_ASCII_CHARACTERS
    whole = read("a" * limit)
    assert (len(whole.text), whole.truncated) == (limit, False)
    head, middle, tail = "h" * (limit * 3 // 4), "m" * 1000, "t" * (limit // 4)
    cut = read(head + middle + tail)
    assert cut == Prompt(head + tail, limit + 1000)
    assert cut.truncated


def test_other_scripts_have_half_the_window() -> None:
    limit = MAX_OTHER_CHARACTERS
    assert not read("字" * limit).truncated
    head, tail = "頭" * (limit * 3 // 4), "尾" * (limit // 4)
    assert read(head + "中" + tail) == Prompt(head + tail, limit + 1)


def test_the_window_holds_the_last_user_turn_rather_than_a_long_system_prompt() -> None:
    messages = [{"role": "system", "content": "rule " * 5000}, {"role": "user", "content": "hello there"}]
    assert read(messages).text.startswith("hello there\n\nrule ")


def test_lone_surrogates_become_question_marks_and_pairs_of_them_too() -> None:
    assert read("a\ud800b\udfffc").text == "a?b?c"
    assert read([{"role": "user", "content": "\ud83d\ude00"}]).text == "??"


@given(st.text(alphabet=st.characters(), max_size=3000))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_string_gives_valid_unicode_within_the_window(text: str) -> None:
    prompt = read(text)
    prompt.text.encode()
    assert len(prompt.text) <= (MAX_ASCII_CHARACTERS if prompt.text.isascii() else MAX_OTHER_CHARACTERS)
    assert prompt.truncated == (prompt.characters > len(prompt.text))
    assert read([{"role": "user", "content": text}]).text == prompt.text


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (None, "cannot route NoneType"),
        (7, "cannot route int"),
        ({"role", "user"}, "cannot route set"),
        (b"hello", "cannot route bytes"),
        ([], "at least one message"),
        ({}, "none of 'messages', 'input' and 'role'"),
        ({"prompt": "hello"}, "none of 'messages', 'input' and 'role'"),
        ({"messages": None}, "at least one message"),
        ({"messages": []}, "at least one message"),
        ({"messages": {"role": "user"}}, "at least one message"),
        ({"input": 7}, "at least one message"),
        (["hello"], "a message is str"),
        ([{"role": "user", "content": "hello"}, None], "a message is NoneType"),
        ([["hello"]], "a message is list"),
    ],
)
def test_a_request_of_another_shape_is_refused_with_the_cure(request_: Any, says: str) -> None:
    with pytest.raises(PromptError, match=says) as caught:
        read(request_)
    assert "give" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_prompt_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="cannot route"):
        read(object())  # type: ignore[arg-type]


PIECES = st.sampled_from(
    [
        "word",
        " ",
        "\n",
        "<",
        ";",
        "é",
        "\ud800",
        "<system-reminder>",
        "</system-reminder>",
        ";base64,",
        "AB==",
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=12), st.sampled_from([1, 1, 300]))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_string_is_read_as_the_one_message_that_holds_it(pieces: list[str], times: int) -> None:
    text = "".join(pieces) * times
    assert read(text) == read([{"role": "user", "content": text}])
