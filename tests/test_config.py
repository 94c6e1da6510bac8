"""The settings of training: sound by default, and refused by name where they are out of range."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import ConfigError
from router_model.training.config import TrainConfig

FIELDS = {
    field.name: field
    for field in dataclasses.fields(TrainConfig)
    if field.name not in ("encoder", "precision", "accelerator", "fine_tune")
}
WHOLE = sorted(name for name, field in FIELDS.items() if field.type is int)


def test_the_defaults_are_within_range() -> None:
    assert TrainConfig() == TrainConfig(seed=0, quality=0.95)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [-1, -0.5, math.nan, math.inf, 1e300, "7", True, [1]])
def test_a_value_that_makes_no_sense_is_refused_by_its_flag(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"--{name.replace('_', '-')} ")
    assert "give a" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", WHOLE)
def test_counts_are_whole_numbers(name: str) -> None:
    with pytest.raises(ConfigError, match="give a whole number"):
        TrainConfig(**{name: FIELDS[name].default + 0.5})


@pytest.mark.parametrize("value", ["", None, 7])
def test_an_encoder_is_named(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"--encoder .*: give a name, such as static"):
        TrainConfig(encoder=value)


def test_none_is_a_value_of_the_margin_alone() -> None:
    assert TrainConfig(margin=None).margin is None
    with pytest.raises(ConfigError, match="--seed None"):
        TrainConfig(seed=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("quality", 1, 1.001),
        ("quality", 0.001, 0),
        ("bar", 1, 1.5),
        ("margin", 0, 1.01),
        ("folds", 2, 1),
        ("folds", 20, 21),
        ("validation", 0.5, 0.51),
        ("dropout", 0, 1),
        ("resamples", 200, 199),
        ("confidence", 0.99, 1),
        ("confidence", 0.51, 0.5),
        ("max_tokens", 8, 7),
    ],
)
def test_the_edges_of_each_range(name: str, inside: Any, outside: Any) -> None:
    assert getattr(TrainConfig(**{name: inside}), name) == inside
    with pytest.raises(ConfigError, match="give a"):
        TrainConfig(**{name: outside})


@given(
    name=st.sampled_from(sorted(FIELDS)), value=st.one_of(st.integers(), st.floats(), st.text(), st.none())
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_setting_is_taken_as_it_is_or_refused_with_one_line(name: str, value: Any) -> None:
    try:
        taken, message = TrainConfig(**{name: value}), ""
    except ConfigError as error:
        taken, message = None, str(error)
    assert taken is None or getattr(taken, name) == value
    assert "\n" not in message
