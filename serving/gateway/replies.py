"""What the gateway itself says to clients, in the shape that their libraries read."""

from typing import Any

import msgspec

from router_model.errors import RequestError
from router_model.serving.gateway.config.config import GatewayConfig

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
    """The body of a refusal, in the shape of ``endpoint``; of OpenAI's where that is None."""
    return encode(_error(endpoint, error, request_id))


def stream_error(endpoint: str | None, error: RequestError, request_id: str) -> bytes:
    """The event that ends a stream which broke; it has to come after a whole event (``Events``)."""
    told = _error(endpoint, error, request_id)
    if (
        endpoint == "responses"
    ):  # as its schema has it, with the object beside for which OpenAI's clients raise
        message = {"code": error.kind, "message": str(error), "param": error.param, "sequence_number": 0}
        told = {"type": "error", **message, **told}
    name = b"event: error\n" if endpoint in ("messages", "responses") else b""
    return name + b"data: " + encode(told) + b"\n\n"


def models_body(config: GatewayConfig) -> bytes:
    """The body of ``/v1/models``: what ``model`` takes, readable by OpenAI's clients and Anthropic's."""
    words = [("auto", "router"), *((f"tier:{tier.name}", "router") for tier in config.tiers)]
    if config.allow_real_models:
        words += [
            (name, tier) for tier, provider in config.providers() for name in (provider.name, provider.model)
        ]
    owners: dict[str, str] = {}
    for word, owner in words:  # a model may have several providers
        owners.setdefault(word, owner)
    data = [_model(word, owner) for word, owner in owners.items()]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
    return encode({"object": "list", "data": data, "has_more": False, **ends})


def _model(word: str, owner: str) -> dict[str, str | int]:
    return {
        "id": word,
        "object": "model",
        "created": 0,
        "owned_by": owner,
        "type": "model",
        "display_name": word,
        "created_at": "1970-01-01T00:00:00Z",
    }


def _error(endpoint: str | None, error: RequestError, request_id: str) -> dict[str, Any]:
    message = str(error)
    if endpoint == "messages":
        other = "api_error" if error.status >= 500 else "invalid_request_error"
        told = {"type": ANTHROPIC_TYPES.get(error.status, other), "message": message}
        return {"type": "error", "error": told, "request_id": request_id}
    return {"error": {"message": message, "type": error.kind, "param": error.param, "code": error.kind}}
