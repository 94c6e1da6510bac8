"""The pretend models: what the vendors' own libraries read of them, and that faults are what they say."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from router_model.serving.gateway.pretend import Behaviour, Pretend

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
}
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def run(test: Callable[[Pretend, aiohttp.ClientSession], Awaitable[None]], **behaviour: Any) -> None:
    async def whole() -> None:
        async with Pretend(behaviour=Behaviour(**behaviour)) as model, aiohttp.ClientSession() as session:
            await asyncio.wait_for(test(model, session), 30)  # type: ignore[arg-type]

    asyncio.run(whole())


async def post(session: aiohttp.ClientSession, model: Pretend, path: str, body: Any) -> tuple[int, bytes]:
    async with session.post(f"http://{model.host}:{model.port}{path}", json=body) as response:
        return response.status, await response.read()


def test_openai_reads_what_is_whole_and_what_is_streamed() -> None:
    openai = pytest.importorskip("openai")

    async def test(model: Pretend, _: aiohttp.ClientSession) -> None:
        client = openai.AsyncOpenAI(base_url=model.base_url, api_key="none", max_retries=0)
        async with client:
            said = await client.chat.completions.create(**HELLO)
            assert said.choices[0].message.content.startswith("This is a pretend answer")
            assert said.usage.prompt_tokens_details.cached_tokens > 0
            stream = await client.chat.completions.create(
                **HELLO, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            assert text == said.choices[0].message.content
            assert chunks[-1].usage.completion_tokens == said.usage.completion_tokens
            old = await client.completions.create(model="m", prompt="hello")
            assert old.choices[0].text == text
            streamed = await client.completions.create(model="m", prompt="hello", stream=True)
            assert "".join([c.choices[0].text async for c in streamed]) == text
            response = await client.responses.create(model="m", input="hello")
            assert response.output_text == text
            events = [e async for e in await client.responses.create(model="m", input="hello", stream=True)]
            assert events[-1].type == "response.completed"
            assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == text
            vectors = await client.embeddings.create(model="m", input=["a", "b"])
            assert [len(x.embedding) for x in vectors.data] == [8, 8]

    run(test)


def test_openai_reads_tools_and_schemas() -> None:
    openai = pytest.importorskip("openai")

    async def test(model: Pretend, _: aiohttp.ClientSession) -> None:
        async with openai.AsyncOpenAI(base_url=model.base_url, api_key="none") as client:
            tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
            said = await client.chat.completions.create(**HELLO, tools=tools)
            made = said.choices[0].message.tool_calls[0].function
            assert made.name == "weather"
            assert json.loads(made.arguments) == {"city": "pretend", "days": [1]}
            asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
            said = await client.chat.completions.create(**HELLO, response_format=asked)
            assert json.loads(said.choices[0].message.content) == {"city": "pretend", "days": [1]}

    run(test)


def test_anthropic_reads_what_is_whole_and_what_is_streamed() -> None:
    anthropic = pytest.importorskip("anthropic")

    async def test(model: Pretend, _: aiohttp.ClientSession) -> None:
        base_url = model.base_url.removesuffix("/v1")
        async with anthropic.AsyncAnthropic(base_url=base_url, api_key="none", max_retries=0) as client:
            said = await client.messages.create(**HELLO, max_tokens=9)
            assert said.content[0].text.startswith("This is a pretend answer")
            async with client.messages.stream(**HELLO, max_tokens=9) as stream:
                final = await stream.get_final_message()
            assert final.content[0].text == said.content[0].text
            assert final.usage.output_tokens == said.usage.output_tokens
            tools = [{"name": "weather", "input_schema": SCHEMA}]
            async with client.messages.stream(**HELLO, max_tokens=9, tools=tools) as stream:
                final = await stream.get_final_message()
            assert final.content[0].input == {"city": "pretend", "days": [1]}

    run(test)


def test_faults_hit_their_share_evenly_and_change_while_it_runs() -> None:
    async def test(model: Pretend, session: aiohttp.ClientSession) -> None:
        got = [(await post(session, model, "/v1/chat/completions", HELLO))[0] for _ in range(12)]
        assert got == [200, 200, 200, 429] * 3
        await post(session, model, "/pretend", {"status": 503})
        status, body = await post(session, model, "/v1/messages", HELLO)
        assert status == 503
        assert json.loads(body)["type"] == "error"

    run(test, status=429, share=0.25)


def test_what_is_no_request_is_refused() -> None:
    async def test(model: Pretend, session: aiohttp.ClientSession) -> None:
        for body in ([1], "x", None):
            assert (await post(session, model, "/v1/chat/completions", body))[0] == 400
        assert (await post(session, model, "/v1/nowhere", HELLO))[0] == 404
        assert (await post(session, model, "/pretend", {"no": 1}))[0] == 400
        reader, writer = await asyncio.open_connection(model.host, model.port)
        writer.write(b"\x00 this is no HTTP\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()

    run(test)


def test_runs_alone_and_says_where() -> None:
    command = [sys.executable, "-m", "router_model.serving.gateway.pretend", "--behaviour", '{"chunks": 3}']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().strip()
            request = urllib.request.Request(f"{base_url}/completions", json.dumps({"prompt": "x"}).encode())  # noqa: S310
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
                assert json.load(response)["choices"][0]["text"] == "This is a"
        finally:
            process.terminate()
    done = subprocess.run([*command[:-1], "{"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("--behaviour: ")
