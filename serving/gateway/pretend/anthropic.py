"""Answers in the shape of Anthropic's messages."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.json import decode

from router_model.serving.gateway.pretend.said import Said, event


def message(said: Said, _: Mapping[str, Any]) -> dict[str, Any]:
    """As a whole."""
    block: dict[str, Any] = {"type": "text", "text": said.text}
    if said.tool is not None:
        name, arguments = said.tool
        block = {
            "type": "tool_use",
            "id": f"toolu_{said.id}",
            "name": name,
            "input": decode(arguments),
        }
    return {
        "id": f"msg_{said.id}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": [block],
        "stop_reason": "end_turn" if said.tool is None else "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": said.input - said.cached,  # Anthropic counts cached tokens apart
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": said.cached,
            "output_tokens": said.output,
        },
    }


def message_events(said: Said, body: Mapping[str, Any]) -> Iterator[bytes]:
    """As a stream."""
    whole = message(said, body)
    stop, usage, block = whole["stop_reason"], whole["usage"], whole["content"][0]
    start = whole | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    yield event({"type": "message_start", "message": start})
    if said.tool is None:
        empty: dict[str, Any] = {"type": "text", "text": ""}
        deltas: list[dict[str, Any]] = [{"type": "text_delta", "text": p} for p in said.pieces]
    else:
        empty = block | {"input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": said.tool[1]}]
    yield event({"type": "content_block_start", "index": 0, "content_block": empty})
    yield event({"type": "ping"})
    for delta in deltas:
        yield event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield event({"type": "content_block_stop", "index": 0})
    ending = {"stop_reason": stop, "stop_sequence": None}
    yield event({"type": "message_delta", "delta": ending, "usage": {"output_tokens": said.output}})
    yield event({"type": "message_stop"})
