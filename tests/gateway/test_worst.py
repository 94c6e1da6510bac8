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


def part(**of: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [of]}]}


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        (part(type="document", source={"type": "url", "url": "https://a/b.pdf"}), "messages"),
        (part(type="file", file={"file_id": "file-1"}), "chat"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "responses"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "messages"),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "file_search"}]}, "responses"),
        ({"web_search_options": {}}, "chat"),
        ({"mcp_servers": [{"type": "url", "url": "https://a/sse", "name": "a"}]}, "messages"),
    ],
)
def test_what_a_provider_fetches_is_as_long_as_its_context(body: dict[str, Any], endpoint: Endpoint) -> None:
    assert worst_usd(call(body, 5, endpoint), 10_000, cost) == 2 * 10_000 + 50


def test_tools_of_the_client_are_read_as_they_stand() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}, {"name": "g"}, {"type": "custom", "name": "h"}]
    of = call({"tools": tools}, 5)
    assert worst_usd(of, 10_000, cost) == 2 * len(of.raw) + 50


@given(st.text(max_size=50), st.integers(0, 200), st.integers(0, 10**6))
def test_no_usage_within_the_bounds_costs_more(text: str, output: int, written: int) -> None:
    of = call({"messages": text}, output)
    read = min(len(of.raw), 100)
    used = Usage(read, min(output or 100, 100), written=min(written, read))
    assert cost(used) <= worst_usd(of, 100, cost)
