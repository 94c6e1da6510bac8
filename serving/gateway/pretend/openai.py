"""Answers in the shapes of OpenAI's chat, completions and embeddings."""

import base64
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.json import encode

from router_model.serving.gateway.pretend.said import CREATED, Said, data

DIMENSIONS = 8


def _usage(said: Said) -> dict[str, Any]:
    return {
        "prompt_tokens": said.input,
        "completion_tokens": said.output,
        "total_tokens": said.input + said.output,
        "prompt_tokens_details": {"cached_tokens": said.cached},
        "completion_tokens_details": {"reasoning_tokens": said.reasoning},
    }


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


def chat(said: Said, body: Mapping[str, Any]) -> dict[str, Any]:
    """As a whole."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None}
    if said.tool is not None:
        message |= {"content": None, "tool_calls": [_tool_call(said, said.tool)]}
    finish = "stop" if said.tool is None else "tool_calls"
    n = body.get("n") if isinstance(body.get("n"), int) else 1
    choices = [
        {"index": i, "message": message, "logprobs": None, "finish_reason": finish}
        for i in range(max(1, min(n or 1, 16)))
    ]
    return {
        "id": f"chatcmpl-{said.id}",
        "object": "chat.completion",
        "created": CREATED,
        "model": said.model,
        "choices": choices,
        "usage": _usage(said),
        "system_fingerprint": "pretend",
    }


def _tool_call(said: Said, tool: tuple[str, str]) -> dict[str, Any]:
    name, arguments = tool
    return {"id": f"call_{said.id}", "type": "function", "function": {"name": name, "arguments": arguments}}


def chat_events(said: Said, body: Mapping[str, Any]) -> Iterator[bytes]:
    """As a stream."""
    head = {
        "id": f"chatcmpl-{said.id}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": said.model,
        "system_fingerprint": "pretend",
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data(head | {"choices": [choice]})

    yield chunk({"role": "assistant", "content": "" if said.tool is None else None})
    for piece in said.pieces:
        yield chunk({"content": piece})
    if said.tool is not None:
        yield chunk({"tool_calls": [{"index": 0} | _tool_call(said, said.tool)]})
    yield chunk({}, "stop" if said.tool is None else "tool_calls")
    if _wants_usage(body):
        yield data(head | {"choices": [], "usage": _usage(said)})
    yield b"data: [DONE]\n\n"


def completion(said: Said, body: Mapping[str, Any]) -> dict[str, Any]:
    """As a whole, of the older endpoint."""
    choice = {"index": 0, "text": said.text, "logprobs": None, "finish_reason": "stop"}
    return {
        "id": f"cmpl-{said.id}",
        "object": "text_completion",
        "created": CREATED,
        "model": said.model,
        "choices": [choice],
        "usage": _usage(said),
    }


def completion_events(said: Said, body: Mapping[str, Any]) -> Iterator[bytes]:
    """As a stream, of the older endpoint."""
    head = {"id": f"cmpl-{said.id}", "object": "text_completion", "created": CREATED, "model": said.model}
    for i, piece in enumerate(said.pieces):
        finish = "stop" if i == len(said.pieces) - 1 else None
        choice = {"index": 0, "text": piece, "logprobs": None, "finish_reason": finish}
        yield data(head | {"choices": [choice]})
    if _wants_usage(body):
        yield data(head | {"choices": [], "usage": _usage(said)})
    yield b"data: [DONE]\n\n"


def embedding(said: Said, body: Mapping[str, Any]) -> dict[str, Any]:
    """A vector for each input, the same for the same."""
    asked = body.get("input", "")
    inputs = asked if isinstance(asked, list) and asked and not isinstance(asked[0], int) else [asked]
    data = [
        {"object": "embedding", "index": i, "embedding": _vector(encode(x), body.get("encoding_format"))}
        for i, x in enumerate(inputs)
    ]
    usage = {"prompt_tokens": said.input, "total_tokens": said.input}
    return {"object": "list", "data": data, "model": said.model, "usage": usage}


def _vector(raw: bytes, form: Any) -> Any:
    seed = zlib.crc32(raw)
    vector = [((seed >> i) & 255) / 255 for i in range(DIMENSIONS)]
    if form == "base64":
        return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
    return vector
