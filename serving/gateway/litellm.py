"""Providers that speak neither OpenAI's nor Anthropic's format, through the `litellm` package.

What the client gets is what the package makes of the answer: here no byte is passed through.
"""

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from router_model.errors import MissingExtraError, UpstreamError
from router_model.serving.gateway.call import Call, Endpoint
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.config.retry import Retry
from router_model.serving.gateway.pool import Reply

FUNCTIONS: dict[Endpoint, str] = {
    "chat": "acompletion",
    "completions": "atext_completion",
    "responses": "aresponses",
    "embeddings": "aembedding",
}
# What of a body is handed on. The package has arguments of the same call that say where the request and the
# key go: they are not the client's to give.
FIELDS = frozenset(
    "audio best_of dimensions echo encoding_format frequency_penalty function_call functions include input "
    "instructions logit_bias logprobs max_completion_tokens max_output_tokens max_tokens messages modalities "
    "n parallel_tool_calls prediction presence_penalty previous_response_id prompt prompt_cache_key "
    "reasoning reasoning_effort response_format safety_identifier seed stop store stream stream_options "
    "suffix temperature text thinking tool_choice tools top_logprobs top_p truncation user verbosity "
    "web_search_options".split()
)
MOST_ERROR_CHARACTERS = 2000


def package() -> Any:
    """The `litellm` package, told to ask no network when it is imported.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        return importlib.import_module("litellm")
    except ModuleNotFoundError as e:
        if e.name != "litellm":
            raise
        raise MissingExtraError(
            "a provider of shape litellm needs litellm: pip install 'router-model[litellm]'"
        ) from None


class LiteLLM:
    """Asks one provider through the package; see `Speaker`."""

    def __init__(self, provider: Provider, secret: str | None, retry: Retry) -> None:
        self._package = package()
        self._name = provider.name
        self._body = provider.body
        self._settings: dict[str, Any] = {
            "model": provider.model,
            "api_base": provider.base_url.rstrip("/"),
            "api_key": secret,
            "timeout": retry.first_byte_seconds,
            "max_retries": 0,
            "num_retries": 0,
            "extra_headers": dict(provider.headers) or None,
        }

    async def ask(self, call: Call) -> Reply:
        """Send the call; see `Speaker`."""
        function = getattr(self._package, FUNCTIONS[call.endpoint])
        body = {k: v for k, v in call.body.items() if k in FIELDS} | {**self._body.get(call.endpoint, {})}
        try:
            answer = await function(**body, **self._settings)
        except Exception as e:
            status = getattr(e, "status_code", None)
            if not isinstance(status, int) or isinstance(e, self._package.exceptions.APIConnectionError):
                raise UpstreamError(f"{self._name}: no answer ({type(e).__name__})") from None
            error = _error(e)
            if self._settings["api_key"]:
                error = error.replace(self._settings["api_key"].encode(), b"***")
            return _Pieces(self._name, status, _once(error), "application/json", _asked_to_wait(e))
        if call.stream and call.endpoint != "embeddings":
            events = _named_events(answer) if call.endpoint == "responses" else _events(answer)
            return _Pieces(self._name, 200, events, "text/event-stream; charset=utf-8")
        return _Pieces(self._name, 200, _once(answer.model_dump_json().encode()), "application/json")

    async def warm(self, connections: int) -> None:
        """The package keeps its own connections."""


class _Pieces:
    """A `Reply` of pieces that are made here."""

    def __init__(
        self,
        name: str,
        status: int,
        pieces: AsyncGenerator[bytes],
        kind: str,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.status = status
        self.headers = [(b"content-type", kind.encode()), *headers]
        self._name = name
        self._pieces = pieces
        self._reading: asyncio.Task[bytes] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._error: UpstreamError | None = None

    async def read(self) -> bytes:
        if self._error is None:
            self._reading = asyncio.create_task(self._next())
            try:
                return await self._reading
            except asyncio.CancelledError:
                if self._error is None:
                    raise
        assert self._error is not None  # noqa: S101 - for mypy
        raise self._error

    async def _next(self) -> bytes:
        try:
            return await anext(self._pieces, b"")
        except Exception as e:
            raise UpstreamError(f"{self._name}: its answer was cut ({type(e).__name__})") from None

    def fail(self, error: UpstreamError) -> None:
        self._error = error
        self.close()

    def close(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
        else:
            self._closing = asyncio.create_task(self._let_go())

    async def _let_go(self) -> None:
        await self._pieces.aclose()


async def _once(body: bytes) -> AsyncGenerator[bytes]:
    yield body


async def _events(stream: Any) -> AsyncGenerator[bytes]:
    try:
        async for chunk in stream:
            yield b"data: " + chunk.model_dump_json(exclude_none=True).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"
    finally:
        if hasattr(stream, "aclose"):
            await stream.aclose()


async def _named_events(stream: Any) -> AsyncGenerator[bytes]:
    async for event in stream:
        name = str(getattr(event.type, "value", event.type)).encode()
        yield b"event: " + name + b"\ndata: " + event.model_dump_json(exclude_none=True).encode() + b"\n\n"


def _error(error: Any) -> bytes:
    """The error's own body where it has one, else one in OpenAI's shape."""
    inner = getattr(error, "body", None)
    if not isinstance(inner, dict):
        message = str(getattr(error, "message", "the provider refused"))[:MOST_ERROR_CHARACTERS]
        inner = {"message": message, "type": "upstream_error", "param": None, "code": None}
    try:
        return msgspec.json.encode({"error": inner.get("error", inner)})
    except (TypeError, msgspec.MsgspecError):
        return b'{"error": {"message": "the provider refused", "type": "upstream_error"}}'


def _asked_to_wait(error: Any) -> tuple[tuple[bytes, bytes], ...]:
    response = getattr(error, "response", None)
    said = (getattr(response, "headers", None) or {}).get("retry-after")
    return ((b"retry-after", str(said).encode("latin-1", "ignore")),) if said else ()
