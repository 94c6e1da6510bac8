"""What the gateway itself says to clients, in the shape that their libraries read."""

from collections.abc import Iterable
from typing import Any

import msgspec

from router_model.errors import RequestError

encode = msgspec.json.Encoder().encode

# Anthropic's types are few, and go by the status.
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_body(endpoint: str | None, error: RequestError, request_id: str) -> bytes:
    """The body of a refusal, in the shape of ``endpoint``; of OpenAI's where that is None or not known."""
    return encode(_error(endpoint, error, request_id))


def broken_stream(endpoint: str | None, error: RequestError, request_id: str) -> bytes:
    """The event that ends a stream which broke; it has to come after a whole event."""
    value = encode(_error(endpoint, error, request_id))
    name = b"event: error\n" if endpoint in ("messages", "responses") else b""
    return name + b"data: " + value + b"\n\n"


def model_list(models: Iterable[tuple[str, str]]) -> bytes:
    """The body of ``/v1/models`` for names and their owners, readable by OpenAI's clients and Anthropic's."""
    data = [_model(name, owner) for name, owner in models]
    ends = (
        {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
        if data
        else {"first_id": None, "last_id": None}
    )
    return encode({"object": "list", "data": data, "has_more": False, **ends})


def model(name: str, owner: str) -> bytes:
    """The body of ``/v1/models/NAME``."""
    return encode(_model(name, owner))


def _model(name: str, owner: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": owner,
        "type": "model",
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",
    }


def _error(endpoint: str | None, error: RequestError, request_id: str) -> dict[str, Any]:
    message = str(error)
    if endpoint == "messages":
        kind = ANTHROPIC_TYPES.get(
            error.status, "api_error" if error.status >= 500 else "invalid_request_error"
        )
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    told = {"message": message, "type": error.kind, "param": error.param, "code": error.kind}
    if endpoint == "responses":
        # As its stream has it, and with the object that OpenAI's library raises for.
        return {"type": "error", "code": error.kind, "message": message, "param": error.param, "error": told}
    return {"error": told}
