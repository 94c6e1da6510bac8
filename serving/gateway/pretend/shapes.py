"""The shape that each endpoint gives to what is said."""

from functools import lru_cache
from typing import Any

from msgspec.json import decode, encode

from router_model.serving.gateway.pretend.anthropic import message, message_events
from router_model.serving.gateway.pretend.openai import (
    chat,
    chat_events,
    completion,
    completion_events,
    embedding,
)
from router_model.serving.gateway.pretend.responses import response, response_events
from router_model.serving.gateway.pretend.said import say

WHOLE = {
    "chat": chat,
    "completions": completion,
    "responses": response,
    "embeddings": embedding,
    "messages": message,
}
EVENTS = {
    "chat": chat_events,
    "completions": completion_events,
    "responses": response_events,
    "messages": message_events,
}


def answer(endpoint: str, raw: bytes, chunks: int) -> bytes | tuple[bytes, ...]:
    """The body of an answer, or the server-sent events of one that is a stream, each with its blank line.

    Raises:
        MsgspecError: the request's body is no JSON object.
    """
    body = decode(raw, type=dict[str, Any])
    said = say(raw, body, chunks)
    if body.get("stream") is True and endpoint in EVENTS:
        return tuple(EVENTS[endpoint](said, body))
    return encode(WHOLE[endpoint](said, body))


answer_again = lru_cache(maxsize=256)(answer)  # of the same request, as benchmarks send it


def error(endpoint: str, status: int) -> bytes:
    """The body of a failure, in the endpoint's shape."""
    message = f"The pretend model was told to answer {status}."
    if endpoint == "messages":
        kind = {429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
        return encode({"type": "error", "error": {"type": kind, "message": message}})
    kind = "rate_limit_exceeded" if status == 429 else "server_error"
    return encode({"error": {"message": message, "type": kind, "param": None, "code": None}})
