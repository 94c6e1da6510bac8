"""The OpenAPI 3.1 document of the gateway, as it is served at ``/openapi.json``.

Bodies of calls are described as far as the gateway itself looks at them; all else is their upstream's.
"""

from importlib.metadata import version
from typing import Any

Schema = dict[str, Any]

MODEL = {
    "type": "string",
    "minLength": 1,
    "maxLength": 256,
    "description": "`auto`, `auto:quality=0.97`, `auto:budget=0.4`, `auto:certified`, `tier:NAME`, a "
    "provider or a model.",
    "examples": ["auto"],
}
MESSAGES = {"description": "The conversation.", "type": "array", "minItems": 1, "items": {"type": "object"}}
TEXT_OR_MESSAGES = {"description": "A text, or messages.", "anyOf": [{"type": "string"}, MESSAGES]}
SHAPES: dict[str, tuple[str, str, Schema]] = {
    "/v1/chat/completions": ("OpenAI's chat completions", "messages", {"role": "user", "content": "Hello"}),
    "/v1/responses": ("OpenAI's responses", "input", {"role": "user", "content": "Hello"}),
    "/v1/messages": ("Anthropic's messages", "messages", {"role": "user", "content": "Hello"}),
}
HEADERS: dict[str, tuple[str, Schema]] = {
    "x-router-request-id": ("What `/v1/feedback` and the logs call this request.", {"type": "string"}),
    "x-router-tier": ("The tier that answered.", {"type": "string"}),
    "x-router-model": ("The model that answered, as its provider calls it.", {"type": "string"}),
    "x-router-provider": ("The provider that answered.", {"type": "string"}),
    "x-router-session": (
        "Where conversations stay on their model: what the next request of this one may send back.",
        {"type": "string"},
    ),
    "x-router-cost-usd": ("US dollars for this call; absent from streams.", {"type": "string"}),
}
DETAILS = {
    "name": "x-router-details",
    "in": "header",
    "description": "`1` asks for how the decision came about, in a header of the same name.",
    "schema": {"type": "string", "enum": ["1", "true"]},
}
PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
DECISION: Schema = {
    "type": "object",
    "required": ["tier", "tiers", "providers", "propensity", "explored"],
    "properties": {
        "tier": {"type": "string", "description": "That would be asked first."},
        "tiers": {
            "type": "array",
            "items": {"type": "string"},
            "description": "That would be asked, in order.",
        },
        "providers": {"type": "array", "items": {"type": "string"}},
        "propensity": PROBABILITY,
        "explored": {"type": "boolean"},
        "router_tier": {"type": "string", "description": "The router's choice, before constraints."},
        "sufficiency": {"description": "For each tier, the probability that it is good enough."},
        "expected_quality": {"type": ["number", "null"]},
        "expected_cost_usd": {"type": ["number", "null"]},
        "truncated": {"type": "boolean"},
        "why": {"type": "string"},
    },
}
ERROR: Schema = {
    "oneOf": [
        {
            "title": "In OpenAI's shape",
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": ["string", "null"]},
                    },
                }
            },
            "not": {"required": ["type"]},
        },
        {
            "title": "In Anthropic's shape",
            "type": "object",
            "required": ["type", "error", "request_id"],
            "properties": {
                "type": {"const": "error"},
                "error": {
                    "type": "object",
                    "required": ["type", "message"],
                    "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
                },
                "request_id": {"type": "string"},
            },
        },
    ]
}
MODELS: Schema = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {
        "object": {"const": "list"},
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "object", "owned_by"],
                "properties": {
                    "id": {"type": "string"},
                    "object": {"const": "model"},
                    "owned_by": {"type": "string", "description": "`router`, or the tier of a real model."},
                },
            },
        },
    },
}
FEEDBACK: Schema = {
    "type": "object",
    "required": ["request_id", "outcome"],
    "additionalProperties": False,
    "properties": {
        "request_id": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_.:-]+$"},
        "outcome": {"anyOf": [PROBABILITY, {"enum": ["good", "bad"]}]},
        "strongest_outcome": PROBABILITY,
    },
}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _told(what: str, schema: Schema | None = None) -> Schema:
    return {"description": what, "content": _json(schema or {"type": "object"})}


def _body(schema: Schema, example: Schema | None = None) -> Schema:
    content = {"application/json": {"schema": schema} | ({"example": example} if example else {})}
    return {"required": True, "content": content}


REFUSED: Schema = _told("Refused, or failed.", {"$ref": "#/components/schemas/Error"})


def _call(path: str, what: str, body: Schema, example: Schema) -> Schema:
    """A path whose calls go to an upstream and whose answers are the upstream's."""
    answer = {
        "description": "The upstream's answer, byte for byte; events where the body says `stream`.",
        "headers": {name: {"description": text, "schema": kind} for name, (text, kind) in HEADERS.items()},
        "content": {"application/json": {}, "text/event-stream": {}},
    }
    refused = "Refused by the gateway (see Error), or an error of the upstream's as it came."
    return {
        "post": {
            "operationId": path.removeprefix("/v1/").replace("/", "_"),
            "summary": f"A call in the shape of {what}",
            "parameters": [DETAILS],
            "requestBody": _body(body, example),
            "responses": {
                "200": answer,
                "default": {"description": refused, "content": {"application/json": {}}},
            },
        }
    }


def _calls() -> Schema:
    calls: Schema = {}
    for path, (what, key, message) in SHAPES.items():
        schema = {
            "type": "object",
            "required": ["model", key],
            "properties": {
                "model": MODEL,
                key: TEXT_OR_MESSAGES if key == "input" else MESSAGES,
                "stream": {"type": "boolean"},
            },
        }
        example = {"model": "auto", key: [message]} | ({"max_tokens": 256} if path == "/v1/messages" else {})
        calls[path] = _call(path, what, schema, example)
    for path, what, key in (
        ("/v1/completions", "OpenAI's completions", "prompt"),
        ("/v1/embeddings", "OpenAI's embeddings", "input"),
    ):
        schema = {"type": "object", "required": ["model"], "properties": {"model": MODEL, key: {}}}
        calls[path] = _call(path, what, schema, {"model": "tier:small", key: "Hello"})
    return calls


def _get(name: str, summary: str, answer: Schema, **more: Any) -> Schema:
    return {"get": {"operationId": name, "summary": summary, "responses": {"200": answer} | more}}


def _post(name: str, summary: str, body: Schema, answer: Schema) -> Schema:
    responses = {"200": answer, "default": REFUSED}
    return {"post": {"operationId": name, "summary": summary, "requestBody": body, "responses": responses}}


def _document() -> Schema:
    routed = {
        "type": "object",
        "description": "The body of a call of any shape, with or without `model`.",
        "properties": {"model": MODEL, "messages": MESSAGES, "input": TEXT_OR_MESSAGES},
        "anyOf": [{"required": ["messages"]}, {"required": ["input"]}],
    }
    text = {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    open_to_all: Schema = {"security": []}
    own: Schema = {
        "/v1/route": _post(
            "route", "The decision alone, no call", _body(routed), _told("The decision.", DECISION)
        ),
        "/v1/feedback": _post(
            "feedback",
            "How good the answer to an earlier request was",
            _body(FEEDBACK, {"request_id": "req_0123456789abcdef01234567", "outcome": 1.0}),
            _told("Kept."),
        ),
        "/v1/models": _get("models", "What `model` takes", _told("Names.", MODELS), default=REFUSED),
        "/v1/accounts": _get("accounts", "What was spent and saved", _told("Sums."), default=REFUSED),
        "/metrics": _get("metrics", "Counts for Prometheus", text, default=REFUSED),
        "/healthz": _get("health", "Whether the process lives", _told("It does.")),
        "/readyz": _get(
            "ready",
            "Whether requests are wanted",
            _told("They are."),
            **{"503": _told("Every provider of every tier is out.")},
        ),
        "/openapi.json": _get("openapi", "This document", _told("This document.")),
    }
    for path in ("/healthz", "/readyz", "/openapi.json"):
        own[path]["get"] |= open_to_all
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "router-model gateway",
            "version": version("router-model"),
            "description": "Calls of OpenAI's and Anthropic's clients, each sent to the tier that it needs.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _calls() | own,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        # Either header will do; a gateway whose file lists no keys asks for none.
        "security": [{"bearer": []}, {"key": []}, {}],
    }


DOCUMENT: Schema = _document()
