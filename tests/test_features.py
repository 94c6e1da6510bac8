"""The numbers that the network sees beside the text."""

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.features import FEATURES, featurize
from router_model.prompt import Prompt, read


def named(prompt: Prompt) -> dict[str, float]:
    return dict(zip(FEATURES, featurize(prompt), strict=True))


@given(st.text(max_size=300) | st.text(alphabet="aB3.`\n字é", max_size=300))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_counts_are_those_of_counting_one_by_one(text: str) -> None:
    prompt = read(text)
    found = named(prompt)
    assert found["extra_bytes"] == pytest.approx(
        (len(prompt.text.encode()) - len(prompt.text)) / max(len(prompt.text), 1)
    )
    assert found["log_lines"] == pytest.approx(log(1 + prompt.text.count("\n")))
    assert found["log_code_fences"] == pytest.approx(log(1 + prompt.text.count("```")))
    assert 0 <= found["extra_bytes"] <= 3


def test_characters_are_those_of_the_whole_text() -> None:
    found = named(read("a" * 2000 + "7" * 100_000 + "a" * 1000))
    assert found["log_characters"] == pytest.approx(log(1 + 103_000))


def test_turns_tools_and_images_are_counted() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    call = {"function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "what is it?"}, image, image]},
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        {"role": "tool", "content": "a cat"},
    ]
    found = named(read(messages))
    assert found["log_turns"] == pytest.approx(log(4))
    assert found["log_tools"] == pytest.approx(log(4))
    assert found["log_images"] == pytest.approx(log(3))


def test_an_empty_prompt_has_features_of_zero_but_for_its_one_turn() -> None:
    found = named(read(""))
    assert found.pop("log_turns") == pytest.approx(log(2))
    assert set(found.values()) == {0.0}
