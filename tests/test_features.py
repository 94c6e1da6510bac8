"""The numbers that the network sees beside the text."""

from math import log
from string import ascii_uppercase, digits, punctuation

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.features import FEATURES, featurize, featurize_batch
from router_model.prompt import Prompt, read


def named(prompt: Prompt) -> dict[str, float]:
    return dict(zip(FEATURES, featurize(prompt), strict=True))


def share(text: str, kind: str) -> float:
    """Share of a text's characters that are in ``kind``, counted one by one."""
    return sum(c in kind for c in text) / max(len(text), 1)


@given(st.text(max_size=300) | st.text(alphabet="aB3.`\n字é", max_size=300))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_shares_and_counts_are_those_of_counting_one_by_one(text: str) -> None:
    prompt = read(text)
    found = named(prompt)
    assert found["symbol_share"] == pytest.approx(share(prompt.text, digits + punctuation + ascii_uppercase))
    assert found["extra_bytes"] == pytest.approx(
        (len(prompt.text.encode()) - len(prompt.text)) / max(len(prompt.text), 1)
    )
    assert found["log_lines"] == pytest.approx(log(1 + prompt.text.count("\n")))
    assert found["log_code_fences"] == pytest.approx(log(1 + prompt.text.count("```")))
    assert 0 <= found["symbol_share"] <= 1
    assert 0 <= found["extra_bytes"] <= 3


def test_characters_are_those_of_the_whole_text_and_shares_those_of_the_window() -> None:
    found = named(read("a" * 2000 + "7" * 100_000 + "a" * 1000))
    assert found["log_characters"] == pytest.approx(log(1 + 103_000))
    assert found["symbol_share"] == 0


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


texts = (
    st.text(max_size=300)
    | st.text(alphabet="aB3.`\n字é\0", max_size=300)
    | st.sampled_from(["", "x" * 5000, "字" * 5000])
)


@given(
    st.lists(
        st.builds(Prompt, texts.map(lambda text: read(text).text), *[st.integers(0, 10**6)] * 4), max_size=8
    )
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_features_of_a_batch_are_those_of_each(prompts: list[Prompt]) -> None:
    found = featurize_batch(prompts)
    assert found.dtype == np.float32
    assert found.shape == (len(prompts), len(FEATURES))
    assert (
        np.abs(found - np.array([featurize(prompt) for prompt in prompts]).reshape(found.shape)).max(
            initial=0
        )
        < 1e-6
    )
