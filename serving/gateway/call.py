"""A client's request, read: what it asks for, what it needs, and its bytes as they came."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from router_model.errors import RequestError
from router_model.serving.gateway.asked import Asked
from router_model.serving.gateway.body import filled, parse, rename
from router_model.serving.gateway.config.limits import Limits
from router_model.serving.gateway.config.provider import Ability, Endpoint
from router_model.serving.gateway.size import Size

__all__ = ["Asked", "Call", "Endpoint", "read_call"]

# Those that mean something to an upstream and nothing about the client's own key or connection.
UPWARD_HEADERS = frozenset(
    "accept anthropic-beta anthropic-version cache-control idempotency-key openai-beta openai-version "
    "traceparent tracestate user-agent x-client-request-id".split()
)
MAX_TOKENS = 10**9
GZIP = re.compile(r"(?:^|[ ,])gzip(?! *; *q=0(?:\.0*)?(?:[ ,]|$))")


class Call(Struct, frozen=True, gc=False):
    """One request.

    Attributes:
        endpoint: which one, and so its shape.
        raw: the body as it came.
        body: the same, parsed.
        asked: what its ``model`` asks for.
        stream: whether it wants a stream.
        needs: abilities without which a model cannot take it.
        input_tokens: an estimate, at least 1.
        output_tokens: the most that it allows an answer; 0 where it does not say.
        headers: of the client, lower case, those that go on to the upstream.
    """

    endpoint: Endpoint
    raw: bytes
    body: Mapping[str, Any]
    asked: Asked
    stream: bool
    needs: frozenset[Ability]
    input_tokens: int
    output_tokens: int
    headers: Mapping[str, str] = {}

    def filled(self, model: str, fields: Mapping[str, Any]) -> bytes:
        """As ``renamed``, with ``fields`` in it (body.py)."""
        return filled(rename(self.raw, model), {**self.body, "model": model}, fields)

    def renamed(self, model: str) -> bytes:
        """The body with ``model`` in the place of the asked one, all other bytes as they came.

        Where the key stands several times, which JSON allows and readers take differently, each is replaced.
        """
        return rename(self.raw, model)


def read_call(endpoint: Endpoint, raw: bytes, headers: Mapping[str, str], limits: Limits) -> Call:
    """Read a request's body; ``headers`` are all of the client's, in lower case.

    Fields that the gateway does not use are not looked at: they are the upstream's to judge.

    Raises:
        RequestError: 413 where the body has more bytes or values than it may; 400 where it is no JSON object
            in UTF-8, nests deeper than it may, or its ``model`` is none that can be asked for.
    """
    body = parse(raw, limits)
    if "model" not in body:
        raise RequestError(
            400,
            "invalid_request_error",
            "the body has no 'model'; give 'auto' or a model's name",
            param="model",
        )
    asked = Asked.read(body["model"])
    size = Size.of(body)
    return Call(
        endpoint,
        raw,
        body,
        asked,
        body.get("stream") is True and endpoint != "embeddings",
        _needs(body, size.images),
        size.tokens,
        _output_tokens(body),
        _upward(headers, body.get("stream") is True),
    )


def _needs(body: Mapping[str, Any], images: int) -> frozenset[Ability]:
    needs: list[Ability] = []
    if images:
        needs.append("images")
    if body.get("tools") or body.get("functions"):
        needs.append("tools")
    if _wants_schema(body):
        needs.append("json_schema")
    return frozenset(needs)


def _wants_schema(body: Mapping[str, Any]) -> bool:
    """Whether the answer has to follow a schema, in the chat, Responses or Anthropic shape."""
    for key, inner in (
        ("response_format", None),
        ("text", "format"),
        ("output_format", None),
        ("output_config", "format"),
    ):
        value = body.get(key)
        if value.__class__ is dict and inner:
            value = value.get(inner)
        if value.__class__ is dict and value.get("type") == "json_schema":
            return True
    return False


def _output_tokens(body: Mapping[str, Any]) -> int:
    told = (body.get(key) for key in ("max_completion_tokens", "max_tokens", "max_output_tokens"))
    return max((value for value in told if value.__class__ is int and 0 < value <= MAX_TOKENS), default=0)


def _upward(headers: Mapping[str, str], stream: bool) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if name in UPWARD_HEADERS and value.isprintable()}
    # What the upstream counts has to be read from its answer, and an error has to fit into a stream.
    gzip = not stream and GZIP.search(headers.get("accept-encoding", ""))
    kept["accept-encoding"] = "gzip" if gzip else "identity"
    return kept
