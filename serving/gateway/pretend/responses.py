"""Answers in the shape of OpenAI's responses."""

from collections.abc import Iterator, Mapping
from typing import Any

from router_model.serving.gateway.pretend.said import CREATED, Said, event


def response(said: Said, body: Mapping[str, Any]) -> dict[str, Any]:
    """As a whole."""
    return {
        "id": f"resp_{said.id}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": said.model,
        "output": [_item(said)],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "top_p": 1.0,
        "usage": {
            "input_tokens": said.input,
            "input_tokens_details": {"cached_tokens": said.cached, "cache_write_tokens": 0},
            "output_tokens": said.output,
            "output_tokens_details": {"reasoning_tokens": said.reasoning},
            "total_tokens": said.input + said.output,
        },
    }


def _item(said: Said) -> dict[str, Any]:
    if said.tool is not None:
        name, arguments = said.tool
        call = {"call_id": f"call_{said.id}", "name": name, "arguments": arguments}
        return {"type": "function_call", "id": f"fc_{said.id}", "status": "completed"} | call
    part = {"type": "output_text", "text": said.text, "annotations": []}
    return {
        "type": "message",
        "id": f"msg_{said.id}",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def response_events(said: Said, body: Mapping[str, Any]) -> Iterator[bytes]:
    """As a stream."""
    done = response(said, body)
    begun = done | {"status": "in_progress", "output": [], "usage": None}
    for number, value in enumerate(_response_steps(said, begun, done)):
        yield event(value | {"sequence_number": number})


def _response_steps(said: Said, begun: dict[str, Any], done: dict[str, Any]) -> Iterator[dict[str, Any]]:
    item = done["output"][0]
    at = {"item_id": item["id"], "output_index": 0}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    if said.tool is not None:
        empty = item | {"status": "in_progress", "arguments": ""}
        yield {"type": "response.output_item.added", "output_index": 0, "item": empty}
        yield {"type": "response.function_call_arguments.delta", "delta": said.tool[1]} | at
        end = {"name": said.tool[0], "arguments": said.tool[1]}
        yield {"type": "response.function_call_arguments.done"} | end | at
    else:
        at |= {"content_index": 0}
        part = item["content"][0]
        empty = item | {"status": "in_progress", "content": []}
        yield {"type": "response.output_item.added", "output_index": 0, "item": empty}
        yield {"type": "response.content_part.added", "part": part | {"text": ""}} | at
        for piece in said.pieces:
            yield {"type": "response.output_text.delta", "delta": piece, "logprobs": []} | at
        yield {"type": "response.output_text.done", "text": said.text, "logprobs": []} | at
        yield {"type": "response.content_part.done", "part": part} | at
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": done}
