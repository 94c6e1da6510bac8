"""The most that a call may cost is never less than it does cost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.serving.gateway.call import Asked, Call, Endpoint
from router_model.serving.gateway.config.provider import Ability
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.worst import worst_usd


def call(
    body: dict[str, Any],
    output: int = 0,
    endpoint: Endpoint = "chat",
    needs: frozenset[Ability] = frozenset(),
) -> Call:
    return Call(endpoint, json.dumps(body).encode(), body, Asked("auto"), False, needs, 1, output)


def cost(usage: Usage) -> float:
    return usage.input - usage.written + 2 * usage.written + 10 * usage.output


@pytest.mark.parametrize(
    ("of", "most"),
    [
        (call({"a": 1}, 5), 2 * 8 + 50),
        (call({"a": 1}), 2 * 8 + 10 * 100),
        (call({"n": 3}, 5), 2 * 8 + 150),
        (call({"n": "3"}, 5), 2 * 10 + 50),
        (call({"n": 10**9}, 1), 2 * 17 + 10 * 128),
        (call({"a": 1}, 5, needs=frozenset({"images"})), 2 * 100 + 50),
        (call({"previous_response_id": "x"}, 5, "responses"), 2 * 100 + 50),
        (call({"input": "x"}, 5, "embeddings"), 2 * 14),
    ],
)
def test_what_bounds_a_call(of: Call, most: float) -> None:
    assert worst_usd(of, 100, cost) == most


@given(st.text(max_size=50), st.integers(0, 200), st.integers(0, 10**6))
def test_no_usage_within_the_bounds_costs_more(text: str, output: int, written: int) -> None:
    of = call({"messages": text}, output)
    read = min(len(of.raw), 100)
    used = Usage(read, min(output or 100, 100), written=min(written, read))
    assert cost(used) <= worst_usd(of, 100, cost)
