"""Providers through the real `litellm` package, in front of a pretend model; skipped where it is absent."""

import asyncio
import importlib.util
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from router_model.errors import MissingExtraError, UpstreamError
from router_model.serving.gateway.asked import Asked
from router_model.serving.gateway.call import Call, Endpoint
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.dispatch import Dispatch
from router_model.serving.gateway.pretend import Behaviour, Pretend

INSTALLED = importlib.util.find_spec("litellm") is not None
real = pytest.mark.skipif(
    not INSTALLED, reason="litellm is not installed: pip install 'router-model[litellm]'"
)
pytestmark = pytest.mark.filterwarnings("ignore")  # the package's own


def config(base_url: str, **parts: Any) -> GatewayConfig:
    provider = {"name": "l", "base_url": base_url, "model": "openai/pretend", "shape": "litellm"}
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0, "api_key_env": "KEY"}
    tier = {"name": "small", "providers": [provider | prices]}
    return msgspec.convert({"tiers": [tier], **parts}, GatewayConfig)


def call(endpoint: Endpoint = "chat", **fields: Any) -> Call:
    body = {"model": "auto", **fields}
    raw = json.dumps(body).encode()
    return Call(endpoint, raw, body, Asked("auto"), bool(fields.get("stream")), frozenset(), 10, 0)


def run(test: Callable[[Dispatch, Pretend], Awaitable[None]], **parts: Any) -> None:
    async def whole() -> None:
        async with Pretend(keep=20) as model:
            dispatch = Dispatch(config(model.base_url, **parts), {"l": "sk-secret"})
            await dispatch.open()
            try:
                await test(dispatch, model)
            finally:
                await dispatch.close()
            assert dispatch.flying == 0

    asyncio.run(whole())


async def ask(dispatch: Dispatch, request: Call, seconds: float = 30.0) -> tuple[int, bytes, list[Any]]:
    answer = await dispatch.send(request, ["small"], deadline=time.monotonic() + seconds)
    try:
        return answer.status, b"".join([piece async for piece in answer.chunks]), answer.headers
    finally:
        answer.close()


HELLO = [{"role": "user", "content": "hello"}]


@pytest.mark.skipif(INSTALLED, reason="litellm is installed")
def test_without_the_package_the_file_is_refused_with_the_cure() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'router-model\[litellm\]'"):
        Dispatch(config("http://127.0.0.1:9/v1"), {})


@real
def test_answers_whole_and_as_a_stream() -> None:
    async def test(dispatch: Dispatch, model: Pretend) -> None:
        status, body, _ = await ask(dispatch, call(messages=HELLO, temperature=0.5))
        assert status == 200
        assert json.loads(body)["choices"][0]["message"]["content"].startswith("This is a pretend answer")
        assert model.seen[-1].headers["authorization"] == "Bearer sk-secret"
        assert json.loads(model.seen[-1].body)["temperature"] == 0.5
        status, body, headers = await ask(dispatch, call(messages=HELLO, stream=True))
        assert body.endswith(b"data: [DONE]\n\n")
        assert body.count(b"data: ") > 20
        assert headers[0][1].startswith(b"text/event-stream")
        status, body, _ = await ask(dispatch, call("completions", prompt="hello"))
        assert json.loads(body)["choices"][0]["text"].startswith("This is a pretend answer")
        status, body, _ = await ask(dispatch, call("responses", input="hello"))
        assert json.loads(body)["output"][0]["content"][0]["text"].startswith("This is a pretend answer")
        status, body, _ = await ask(dispatch, call("responses", input="hello", stream=True))
        assert b"event: response.output_text.delta\ndata: {" in body
        assert b"event: response.completed\n" in body
        status, body, _ = await ask(dispatch, call("embeddings", input="hello"))
        assert len(json.loads(body)["data"][0]["embedding"]) == 8

    run(test)


@real
def test_a_client_cannot_say_where_the_request_and_the_key_go() -> None:
    async def test(dispatch: Dispatch, model: Pretend) -> None:
        async with Pretend() as thief:
            hostile = {"api_base": thief.base_url, "base_url": thief.base_url, "api_key": "mine"}
            hostile |= {"mock_response": "owned", "extra_headers": {"x": "y"}, "num_retries": 9}
            hostile |= {"model_list": [], "fallbacks": ["openai/x"], "custom_llm_provider": "anthropic"}
            status, body, _ = await ask(dispatch, call(messages=HELLO, **hostile))
            assert status == 200
            assert b"pretend answer" in body
            assert thief.requests == 0
            assert model.seen[-1].headers["authorization"] == "Bearer sk-secret"
            assert "x" not in model.seen[-1].headers

    run(test)


@real
def test_errors_come_as_the_provider_meant_them() -> None:
    async def test(dispatch: Dispatch, model: Pretend) -> None:
        model.behaviour = Behaviour(status=400)
        status, body, _ = await ask(dispatch, call(messages=HELLO))
        assert status == 400
        assert "message" in json.loads(body)["error"]
        assert b"sk-secret" not in body
        assert model.requests == 1
        model.behaviour = Behaviour(status=429, retry_after="7")
        status, body, headers = await ask(dispatch, call(messages=HELLO))
        assert status == 429
        assert (b"retry-after", b"7") in headers
        assert model.requests == 2, "the package itself asks once"

    run(test, retry={"attempts": 1})


@real
def test_a_stream_that_is_cut_or_stops_or_is_left() -> None:
    async def test(dispatch: Dispatch, model: Pretend) -> None:
        model.behaviour = Behaviour(cut_after=4, chunk_seconds=0.01)
        with pytest.raises(UpstreamError, match="cut"):
            await ask(dispatch, call(messages=HELLO, stream=True))
        model.behaviour = Behaviour(stall_after=4, chunk_seconds=0.01)
        with pytest.raises(UpstreamError, match="stopped"):
            await ask(dispatch, call(messages=HELLO, stream=True))
        model.behaviour = Behaviour(chunk_seconds=0.01, chunks=10_000)
        left = model.left
        answer = await dispatch.send(
            call(messages=HELLO, stream=True), ["small"], deadline=time.monotonic() + 30
        )
        answer.close()
        while model.left == left:
            await asyncio.sleep(0.01)

    run(test, retry={"idle_seconds": 0.5})
