"""What the gateway itself says, read by the clients' own libraries over a real connection."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import pytest
from aiohttp import web

from router_model.errors import RequestError
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.config.tier import TierConfig
from router_model.serving.gateway.replies import error_body, models_body, stream_error

ERROR = RequestError(404, "model_not_found", 'no model "x"; ask /v1/models', param="model")
BROKEN = RequestError(502, "api_error", "the provider broke off")
CONFIG = GatewayConfig(
    tiers=(
        TierConfig("small", (Provider("a", "http://a/v1", "m-s"), Provider("b", "http://b/v1", "m-s"))),
        TierConfig("large", (Provider("c", "http://c/v1", "m-l"),)),
    )
)
CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
)
PART = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"Hi"}\n\n'
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","content":[],"usage":{}}}\n\n'
)


def served(answer: bytes, status: int, kind: str, ask: Callable[[str], Awaitable[Any]]) -> Any:
    """What ``ask`` makes of a server that gives every request one answer."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=answer, status=status, content_type=kind)

    async def run() -> Any:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            return await ask("http://{}:{}".format(*runner.addresses[0]))
        finally:
            await runner.cleanup()

    return asyncio.run(run())


async def chat(url: str, stream: bool = False) -> Any:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        answer = await client.chat.completions.create(model="x", messages=[], stream=stream)
        return [chunk async for chunk in answer] if stream else answer


async def respond(url: str) -> Any:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        return [event async for event in await client.responses.create(model="x", input="a", stream=True)]


async def message(url: str, stream: bool = False) -> Any:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
        answer = await client.messages.create(model="x", messages=[], max_tokens=9, stream=stream)
        return [event async for event in answer] if stream else answer


def test_openai_s_library_raises_for_a_refusal() -> None:
    body = error_body("chat", ERROR, "req_1")
    with pytest.raises(openai.NotFoundError, match="no model") as caught:
        served(body, 404, "application/json", chat)
    assert (caught.value.code, caught.value.param, caught.value.type) == (
        "model_not_found",
        "model",
        "model_not_found",
    )
    assert body == error_body("responses", ERROR, "req_1") == error_body(None, ERROR, "req_1")


def test_anthropic_s_library_raises_for_a_refusal() -> None:
    with pytest.raises(anthropic.NotFoundError, match="no model") as caught:
        served(error_body("messages", ERROR, "req_1"), 404, "application/json", message)
    assert caught.value.body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": str(ERROR)},
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (415, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
    ],
)
def test_anthropic_s_types_go_by_the_status(status: int, kind: str) -> None:
    body = json.loads(error_body("messages", RequestError(status, "any", "text"), "r"))
    assert body["error"]["type"] == kind


def test_a_broken_chat_stream_raises_in_openai_s_library() -> None:
    stream = CHUNK + stream_error("chat", BROKEN, "req_1")
    with pytest.raises(openai.APIError, match="the provider broke off"):
        served(stream, 200, "text/event-stream", lambda url: chat(url, stream=True))


def test_a_broken_response_stream_raises_in_openai_s_library() -> None:
    stream = PART + stream_error("responses", BROKEN, "req_1")
    with pytest.raises(openai.APIError, match="the provider broke off"):
        served(stream, 200, "text/event-stream", respond)
    told = json.loads(stream.split(b"data: ")[-1])
    assert told.keys() >= {"type", "code", "message", "param", "sequence_number"}
    assert told["type"] == "error"


def test_a_broken_message_stream_raises_in_anthropic_s_library() -> None:
    stream = START + stream_error("messages", BROKEN, "req_1")
    with pytest.raises(anthropic.APIStatusError, match="the provider broke off"):
        served(stream, 200, "text/event-stream", lambda url: message(url, stream=True))


def test_a_message_is_one_event_whatever_it_holds() -> None:
    error = RequestError(502, "api_error", 'line\r\n\r\ndata: {"a": 1}\u2028"')
    for endpoint in ("chat", "responses", "messages"):
        event = stream_error(endpoint, error, "r")
        assert event.endswith(b"\n\n")
        assert event[:-2].count(b"\n") == (endpoint != "chat")
        assert b"\r" not in event


def test_models_are_listed_for_both_libraries() -> None:
    async def theirs(url: str) -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k") as client:
            return [f"{model.id} {model.owned_by}" async for model in client.models.list()]

    async def claude_s(url: str) -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=url, api_key="k") as client:
            return [model.id async for model in client.models.list()]

    body = models_body(CONFIG)
    listed = served(body, 200, "application/json", theirs)
    assert listed == [
        "auto router",
        "tier:small router",
        "tier:large router",
        "a small",
        "m-s small",
        "b small",
        "c large",
        "m-l large",
    ]
    assert served(body, 200, "application/json", claude_s) == [line.split()[0] for line in listed]


def test_real_models_are_not_listed_where_they_cannot_be_asked_for() -> None:
    import msgspec

    closed = msgspec.structs.replace(CONFIG, allow_real_models=False)
    assert [model["id"] for model in json.loads(models_body(closed))["data"]] == [
        "auto",
        "tier:small",
        "tier:large",
    ]
