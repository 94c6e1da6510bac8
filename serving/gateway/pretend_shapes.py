"""What the pretend models say, in the shape of each endpoint: the same answer to the same request, and it
says that it is pretend."""

import base64
import itertools
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

CREATED = 1_700_000_000
WORDS = tuple(
    "This is a pretend answer: no language model was asked, and it says nothing but these words. ".split()
)
DIMENSIONS = 8
DEEPEST = 16

encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, before it has a shape: its id, its words, perhaps a tool's call, and what it counts.

    Attributes:
        id: eight hexadecimal digits, of the request's bytes.
        model: as the request names it.
        pieces: the text, in the pieces that a stream sends.
        tool: name and arguments (JSON text) of the call that is made in the place of text.
        input, cached, output, reasoning: tokens.
    """

    id: str
    model: str
    pieces: tuple[str, ...]
    tool: tuple[str, str] | None
    input: int
    cached: int
    output: int
    reasoning: int

    @property
    def text(self) -> str:
        """All pieces."""
        return "".join(self.pieces)


def say(raw: bytes, body: Mapping[str, Any], chunks: int) -> Said:
    """The answer to a request, in so many pieces."""
    schema = _schema(body)
    tool = _tool(body)
    if schema is not None:
        pieces: tuple[str, ...] = (encode(example(schema)).decode(),)
    elif tool is not None:
        pieces = ()
    else:
        pieces = _pieces(chunks)
    tokens = max(1, len(raw) // 4)
    return Said(
        id=f"{zlib.crc32(raw):08x}",
        model=str(body.get("model", "pretend")),
        pieces=pieces,
        tool=tool if schema is None else None,
        input=tokens,
        cached=tokens // 4,
        output=max(1, len(pieces)) + 4,
        reasoning=4,
    )


_PIECES: dict[int, tuple[str, ...]] = {}


def _pieces(chunks: int) -> tuple[str, ...]:
    if chunks not in _PIECES:
        words = itertools.islice(itertools.cycle(WORDS), max(1, chunks))
        _PIECES[chunks] = tuple(w if i == 0 else f" {w}" for i, w in enumerate(words))
    return _PIECES[chunks]


def _schema(body: Mapping[str, Any]) -> Any:
    """The JSON schema that the answer has to keep, of chat and of responses."""
    asked = body.get("response_format")
    if asked is None and isinstance(body.get("text"), dict):
        asked = body["text"].get("format")
    if not isinstance(asked, dict) or asked.get("type") != "json_schema":
        return None
    inner = asked.get("json_schema")
    return (inner if isinstance(inner, dict) else asked).get("schema", {})


def _tool(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """A call of the first tool, in the three shapes that tools have."""
    tools = body.get("tools")
    if not isinstance(tools, list) or not tools or not isinstance(tools[0], dict):
        return None
    tool = tools[0].get("function", tools[0])
    if not isinstance(tool, dict) or "name" not in tool:
        return None
    schema = tool.get("parameters", tool.get("input_schema", {}))
    return str(tool["name"]), encode(example(schema)).decode()


def example(schema: Any, depth: int = 0) -> Any:
    """The least value that a plain JSON schema allows."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {k: example(v, depth + 1) for k, v in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items"), depth + 1)]
    return {"string": "pretend", "number": 0.5, "integer": 1, "boolean": True}.get(str(kind))


def whole(endpoint: str, said: Said, body: Mapping[str, Any]) -> bytes:
    """The body of an answer that is not a stream."""
    return encode(WHOLE[endpoint](said, body))


def events(endpoint: str, said: Said, body: Mapping[str, Any]) -> list[bytes]:
    """The server-sent events of an answer that is a stream, each with its blank line."""
    return list(EVENTS[endpoint](said, body))


def error(endpoint: str, status: int) -> bytes:
    """The body of a failure, in the endpoint's shape."""
    message = f"The pretend model was told to answer {status}."
    if endpoint == "messages":
        kind = {429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
        return encode({"type": "error", "error": {"type": kind, "message": message}})
    kind = "rate_limit_exceeded" if status == 429 else "server_error"
    return encode({"error": {"message": message, "type": kind, "param": None, "code": None}})


def _data(value: Any) -> bytes:
    return b"data: " + encode(value) + b"\n\n"


def _event(value: dict[str, Any]) -> bytes:
    return b"event: " + value["type"].encode() + b"\ndata: " + encode(value) + b"\n\n"


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


def _chat(said: Said, body: Mapping[str, Any]) -> dict[str, Any]:
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


def _chat_events(said: Said, body: Mapping[str, Any]) -> Iterator[bytes]:
    head = {
        "id": f"chatcmpl-{said.id}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": said.model,
        "system_fingerprint": "pretend",
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data(head | {"choices": [choice]})

    yield chunk({"role": "assistant", "content": "" if said.tool is None else None})
    for piece in said.pieces:
        yield chunk({"content": piece})
    if said.tool is not None:
        yield chunk({"tool_calls": [{"index": 0} | _tool_call(said, said.tool)]})
    yield chunk({}, "stop" if said.tool is None else "tool_calls")
    if _wants_usage(body):
        yield _data(head | {"choices": [], "usage": _usage(said)})
    yield b"data: [DONE]\n\n"


def _completion(said: Said, body: Mapping[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "text": said.text, "logprobs": None, "finish_reason": "stop"}
    return {
        "id": f"cmpl-{said.id}",
        "object": "text_completion",
        "created": CREATED,
        "model": said.model,
        "choices": [choice],
        "usage": _usage(said),
    }


def _completion_events(said: Said, body: Mapping[str, Any]) -> Iterator[bytes]:
    head = {"id": f"cmpl-{said.id}", "object": "text_completion", "created": CREATED, "model": said.model}
    for i, piece in enumerate(said.pieces):
        finish = "stop" if i == len(said.pieces) - 1 else None
        choice = {"index": 0, "text": piece, "logprobs": None, "finish_reason": finish}
        yield _data(head | {"choices": [choice]})
    if _wants_usage(body):
        yield _data(head | {"choices": [], "usage": _usage(said)})
    yield b"data: [DONE]\n\n"


def _embedding(said: Said, body: Mapping[str, Any]) -> dict[str, Any]:
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


def _message(said: Said, body: Mapping[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": said.text}
    if said.tool is not None:
        name, arguments = said.tool
        block = {
            "type": "tool_use",
            "id": f"toolu_{said.id}",
            "name": name,
            "input": msgspec.json.decode(arguments),
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


def _message_events(said: Said, body: Mapping[str, Any]) -> Iterator[bytes]:
    message = _message(said, body)
    stop, usage, block = message["stop_reason"], message["usage"], message["content"][0]
    start = message | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    yield _event({"type": "message_start", "message": start})
    if said.tool is None:
        empty: dict[str, Any] = {"type": "text", "text": ""}
        deltas: list[dict[str, Any]] = [{"type": "text_delta", "text": p} for p in said.pieces]
    else:
        empty = block | {"input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": said.tool[1]}]
    yield _event({"type": "content_block_start", "index": 0, "content_block": empty})
    yield _event({"type": "ping"})
    for delta in deltas:
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _event({"type": "content_block_stop", "index": 0})
    ending = {"stop_reason": stop, "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": ending, "usage": {"output_tokens": said.output}})
    yield _event({"type": "message_stop"})


def _response(said: Said, body: Mapping[str, Any]) -> dict[str, Any]:
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


def _response_events(said: Said, body: Mapping[str, Any]) -> Iterator[bytes]:
    done = _response(said, body)
    begun = done | {"status": "in_progress", "output": [], "usage": None}
    for number, value in enumerate(_response_steps(said, begun, done)):
        yield _event(value | {"sequence_number": number})


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


WHOLE = {
    "chat": _chat,
    "completions": _completion,
    "responses": _response,
    "embeddings": _embedding,
    "messages": _message,
}
EVENTS = {
    "chat": _chat_events,
    "completions": _completion_events,
    "responses": _response_events,
    "messages": _message_events,
}
