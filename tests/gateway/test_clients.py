"""Clients that know nothing of the gateway get through it what they would get from the upstream itself.

Each case is run twice by the same client: straight to the upstream by the model's real name, and through the
gateway. The answers have to be the same as the client's own objects and as bytes. A pretend model's id is a
checksum of the request's bytes, so that an equal answer also tells that the request went up as it came.
"""

import asyncio
import json
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of their own use of other packages
    anthropic = pytest.importorskip("anthropic")
    openai = pytest.importorskip("openai")

DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
    "RU5ErkJggg=="
)
ASK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is the capital of Ürümqi's region? 🌍"},
]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather of a city.", "parameters": PARAMETERS}
TOOLS = [{"type": "function", "function": FUNCTION}]
STRICT = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["name", "population"],
    "additionalProperties": False,
}
SEEN = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": DOT}},
        ],
    }
]
USED = [
    *ASK,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
]

LONG = [{"role": "user", "content": "word " * 200_000}]

Client = Any
Case = Callable[[Client, str], Any]


class Tap:
    """Keeps the bytes of bodies as they come off the connection, by a hook that both SDKs' clients take."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, response: Any) -> None:
        pieces, place = response.iter_raw, len(self.bodies)
        self.bodies.append(b"")

        def iter_raw(chunk_size: int | None = None) -> Iterator[bytes]:
            for piece in pieces(chunk_size):
                self.bodies[place] += piece
                yield piece

        response.iter_raw = iter_raw


def told(answer: Any) -> Any:
    """An SDK's objects as plain data."""
    if isinstance(answer, list):
        return [told(part) for part in answer]
    return answer.model_dump() if hasattr(answer, "model_dump") else answer


def both(
    make: Callable[..., Client], case: Case, model: str, direct: str, through: tuple[str, str]
) -> list[tuple[Any, list[bytes]]]:
    """What a case tells, and the bodies that came: straight, and through the gateway."""
    results = []
    for url, key in ((direct, "none"), through):
        tap = Tap()
        with make(url, key, tap) as client:
            results.append((told(case(client, model)), tap.bodies))
    return results


def openai_client(url: str, key: str, tap: Tap) -> Client:
    http = openai.DefaultHttpxClient(event_hooks={"response": [tap]})
    return openai.OpenAI(base_url=url, api_key=key, http_client=http, max_retries=0)


def anthropic_client(url: str, key: str, tap: Tap) -> Client:
    http = anthropic.DefaultHttpxClient(event_hooks={"response": [tap]})
    base = url.removesuffix("/v1")
    return anthropic.Anthropic(base_url=base, api_key=key, http_client=http, max_retries=0)


@pytest.fixture
def through(gateway: Any, key: str) -> tuple[str, str]:
    """The gateway's base URL and the client's key."""
    return f"{gateway.url}/v1", key


def chat(client: Client, model: str, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": model, "messages": ASK, **more})


def streamed_helper(client: Client, model: str) -> Any:
    with client.chat.completions.stream(model=model, messages=ASK) as stream:
        events = [event.type for event in stream]
        return [*events, stream.get_final_completion()]


def responses(client: Client, model: str, **more: Any) -> Any:
    return client.responses.create(**{"model": model, "input": "Hello 🌍", **more})


def response_tool(client: Client, model: str) -> Any:
    return responses(client, model, tools=[{"type": "function", "strict": False, **FUNCTION}])


def parsed(client: Client, model: str) -> Any:
    import pydantic

    class City(pydantic.BaseModel):
        name: str
        population: int

    answer = client.chat.completions.parse(model=model, messages=ASK, response_format=City)
    assert answer.choices[0].message.parsed == City(name="pretend", population=1)
    return json.loads(answer.choices[0].message.content)


OPENAI: dict[str, Case] = {
    "plain": chat,
    "parameters": lambda c, m: chat(c, m, temperature=0.25, top_p=1, n=3, logprobs=True, seed=7, stop=["\n"]),
    "field nobody knows": lambda c, m: chat(
        c, m, extra_body={"model_": "é", "x": {"model": "y", "z": [1.50, 1e3]}}
    ),
    "tool": lambda c, m: chat(c, m, tools=TOOLS, tool_choice="auto"),
    "tool's result": lambda c, m: chat(c, m, tools=TOOLS, messages=USED),
    "image": lambda c, m: chat(c, m, messages=SEEN),
    "json schema": parsed,
    "json object": lambda c, m: chat(c, m, response_format={"type": "json_object"}),
    "stream": lambda c, m: list(chat(c, m, stream=True)),
    "stream with usage": lambda c, m: list(chat(c, m, stream=True, stream_options={"include_usage": True})),
    "stream of a tool": lambda c, m: list(chat(c, m, stream=True, tools=TOOLS)),
    "stream by the helper": streamed_helper,
    "completion": lambda c, m: c.completions.create(model=m, prompt="Once"),
    "stream of a completion": lambda c, m: list(c.completions.create(model=m, prompt="Once", stream=True)),
    "embedding": lambda c, m: c.embeddings.create(model=m, input=["a", "b"]),
    "embedding as numbers": lambda c, m: c.embeddings.create(model=m, input="a", encoding_format="float"),
    "response": responses,
    "response with a tool": response_tool,
    "response in a schema": lambda c, m: responses(
        c, m, text={"format": {"type": "json_schema", "name": "city", "schema": STRICT, "strict": True}}
    ),
    "stream of a response": lambda c, m: list(responses(c, m, stream=True)),
}


@pytest.mark.parametrize("case", OPENAI.values(), ids=OPENAI)
def test_openai_for_python(case: Case, through: tuple[str, str], upstreams: dict[str, Any]) -> None:
    straight, routed = both(openai_client, case, "large", upstreams["large"].base_url, through)
    assert routed == straight
    assert all(routed[1])


def said(client: Client, model: str, **more: Any) -> Any:
    ask = {
        "model": model,
        "max_tokens": 64,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hi 🌍"}],
    }
    return client.messages.create(**{**ask, **more})


def message_helper(client: Client, model: str) -> Any:
    ask = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
    with client.messages.stream(**ask) as stream:
        return ["".join(stream.text_stream), stream.get_final_message()]


TOOL = {"name": "weather", "description": "The weather of a city.", "input_schema": PARAMETERS}
PICTURE = {"type": "base64", "media_type": "image/png", "data": DOT.partition(",")[2]}
LOOK = [
    {
        "role": "user",
        "content": [{"type": "image", "source": PICTURE}, {"type": "text", "text": "What is this?"}],
    }
]
ANTHROPIC: dict[str, Case] = {
    "plain": said,
    "tool": lambda c, m: said(c, m, tools=[TOOL]),
    "image": lambda c, m: said(c, m, messages=LOOK),
    "cached prompt": lambda c, m: said(
        c, m, system=[{"type": "text", "text": "Long. " * 99, "cache_control": {"type": "ephemeral"}}]
    ),
    "stream": lambda c, m: list(said(c, m, stream=True)),
    "stream of a tool": lambda c, m: list(said(c, m, stream=True, tools=[TOOL])),
    "stream by the helper": message_helper,
}


@pytest.mark.parametrize("case", ANTHROPIC.values(), ids=ANTHROPIC)
def test_anthropic_for_python(case: Case, through: tuple[str, str], upstreams: dict[str, Any]) -> None:
    straight, routed = both(anthropic_client, case, "large", upstreams["large"].base_url, through)
    assert routed == straight
    assert all(routed[1])


def test_auto_goes_up_as_the_model_that_the_headers_name(
    through: tuple[str, str], upstreams: dict[str, Any]
) -> None:
    client = openai_client(*through, Tap())
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=ASK)
    model = raw.headers["x-router-model"]
    assert raw.headers["x-router-tier"] == model
    assert raw.headers["x-router-provider"] == f"{model}-openai"
    assert raw.headers["x-router-request-id"].startswith("req_")
    assert float(raw.headers["x-router-cost-usd"]) > 0
    assert raw.parse().model == model
    seen = json.loads(upstreams[model].seen[-1].body)
    assert seen == {"model": model, "messages": ASK}

    def case(client: Client, name: str) -> Any:
        return [chat(client, name).choices]

    straight, routed = both(openai_client, case, model, upstreams[model].base_url, through)
    assert routed == straight
    assert all(routed[1])
    client.close()


def test_neither_the_clients_key_nor_what_tells_of_it_goes_up(
    through: tuple[str, str], upstreams: dict[str, Any]
) -> None:
    with openai_client(*through, Tap()) as client:
        chat(
            client,
            "large",
            extra_headers={"cookie": "a=b", "openai-organization": "org", "x-stainless-os": "x"},
        )
    seen = upstreams["large"].seen[-1].headers
    assert through[1] not in str(seen)
    assert not {"authorization", "cookie", "openai-organization", "x-forwarded-for"} & set(seen)
    assert not any(name.startswith("x-stainless") for name in seen)


def test_the_models_are_listed(through: tuple[str, str]) -> None:
    with openai_client(*through, Tap()) as client:
        names = [model.id for model in client.models.list()]
    with anthropic_client(*through, Tap()) as client:
        assert [model.id for model in client.models.list()] == names
    assert names[0] == "auto"
    assert {"tier:small", "tier:large", "large", "large-openai"} <= set(names)


def refused(call: Callable[[], Any]) -> Any:
    """An SDK's error, with what the upstream's or the gateway's answer held."""
    with pytest.raises((openai.APIError, anthropic.APIError)) as caught:
        call()
    return caught.value


FAULTS = {"limited": 429, "picky": 400, "failing": 500, "overloaded": 529}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", FAULTS)
def test_an_upstreams_error_is_passed_through(
    model: str, stream: bool, through: tuple[str, str], upstreams: dict[str, Any]
) -> None:
    for make, call in ((openai_client, chat), (anthropic_client, said)):
        errors = []
        for url, key in ((upstreams[model].base_url, "none"), through):
            tap = Tap()
            with make(url, key, tap) as client:
                error = refused(lambda client=client, call=call: call(client, model, stream=stream))
            errors.append(
                (type(error), error.status_code, error.response.headers.get("retry-after"), tap.bodies)
            )
        assert errors[0] == errors[1]
        assert errors[1][1] == FAULTS[model]
    if model == "limited":
        assert errors[1][2] == "0.05"


def test_what_the_gateway_refuses_is_an_error_of_the_sdks_kind(through: tuple[str, str]) -> None:
    url, key = through
    for sdk, make, call in ((openai, openai_client, chat), (anthropic, anthropic_client, said)):
        with make(url, "not-the-key", Tap()) as client:
            error = refused(lambda client=client, call=call: call(client, "auto"))
            assert type(error) is sdk.AuthenticationError
            assert "not-the-key" not in str(error)
        with make(url, key, Tap()) as client:
            for model in ("gpt-99", "tier:huge"):
                error = refused(lambda client=client, call=call, model=model: call(client, model))
                assert type(error) is sdk.NotFoundError
                assert model.removeprefix("tier:") in str(error)
            error = refused(lambda client=client, call=call: call(client, "auto:quality=2"))
            assert type(error) is sdk.BadRequestError
            assert (
                "at most 1" in error.body["error"]["message"] if sdk is anthropic else error.body["message"]
            )
            error = refused(lambda client=client, call=call: call(client, "auto", messages=LONG))
            assert type(error) is sdk.BadRequestError
            error = refused(lambda client=client, call=call: call(client, "gone"))
            assert type(error) is sdk.InternalServerError


@pytest.mark.parametrize("model", ["cut", "silent"])
def test_a_stream_that_breaks_ends_in_an_error(model: str, through: tuple[str, str]) -> None:
    for make, call in ((openai_client, chat), (openai_client, responses), (anthropic_client, said)):
        with make(*through, tap := Tap()) as client:
            stream = call(client, model, stream=True)
            got: list[Any] = []
            error = refused(lambda stream=stream, got=got: got.extend(stream))
            assert len(got) >= 4
            assert "answer" in str(error)
        assert tap.bodies[0].endswith(b"\n\n")
        assert b'"error"' in tap.bodies[0].split(b"\n\n")[-2]


def test_a_client_that_closes_a_stream_ends_the_upstreams(
    through: tuple[str, str], upstreams: dict[str, Any]
) -> None:
    async def client() -> int:
        async with openai.AsyncOpenAI(base_url=through[0], api_key=through[1]) as sdk:
            stream = await sdk.chat.completions.create(model="slow", messages=ASK, stream=True)
            got = 0
            async with stream:
                async for _ in stream:
                    got += 1
                    if got == 3:
                        break
            return got

    async def clients() -> None:
        assert await asyncio.gather(*(client() for _ in range(4))) == [3] * 4

    left = upstreams["slow"].left
    asyncio.run(clients())
    for _ in range(500):
        if upstreams["slow"].left == left + 4:
            break
        time.sleep(0.01)
    assert upstreams["slow"].left == left + 4


def test_a_body_that_is_too_large_is_told_to_a_client_that_is_sending_it(through: tuple[str, str]) -> None:
    messages = [{"role": "user", "content": "x" * (17 << 20)}]
    for make, call in ((openai_client, chat), (anthropic_client, said)):
        with make(*through, Tap()) as client:
            error = refused(lambda client=client, call=call: call(client, "auto", messages=messages))
            assert error.status_code == 413


def test_a_whole_answer_that_is_cut_is_an_error_not_a_short_answer(through: tuple[str, str]) -> None:
    for make, call in ((openai_client, chat), (anthropic_client, said)):
        with make(*through, Tap()) as client:
            assert refused(lambda client=client, call=call: call(client, "cut")).status_code == 502


def test_langchain(through: tuple[str, str], upstreams: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        langchain = pytest.importorskip("langchain_openai")

    results = []
    for url, key in ((upstreams["large"].base_url, "none"), through):
        tap = Tap()
        with openai.DefaultHttpxClient(event_hooks={"response": [tap]}) as http:
            model = langchain.ChatOpenAI(
                model="large", base_url=url, api_key=key, http_client=http, max_retries=0
            )
            answers = [
                model.invoke("Hi").content,
                [chunk.content for chunk in model.stream("Hi")],
                model.bind_tools(TOOLS).invoke("Hi").tool_calls,
                model.with_structured_output({"title": "city", **STRICT}).invoke("Hi"),
            ]
        results.append((answers, tap.bodies))
    assert results[0] == results[1]
    assert results[1][0][3] == {"name": "pretend", "population": 1}


def curl(url: str, key: str, body: dict[str, Any], *more: str) -> bytes:
    command = ["curl", "--silent", "--no-buffer", url, "--data-binary", "@-", *more]
    headers = [f"authorization: Bearer {key}", "content-type: application/json"]
    told = [word for header in headers for word in ("--header", header)]
    done = subprocess.run([*command, *told], input=json.dumps(body).encode(), capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_curl(stream: bool, through: tuple[str, str], upstreams: dict[str, Any]) -> None:
    body = {"model": "large", "messages": ASK, "stream": stream}
    url, key = through
    straight = curl(f"{upstreams['large'].base_url}/chat/completions", "none", body)
    assert curl(f"{url}/chat/completions", key, body) == straight
    with_head = curl(f"{url}/chat/completions", key, body, "--include", "--compressed", "--http1.0")
    assert with_head.endswith(straight)
    assert b"x-router-tier: large" in with_head


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_waits_for_leave_to_send_a_long_body(
    through: tuple[str, str], upstreams: dict[str, Any]
) -> None:
    body = {"model": "large", "messages": [{"role": "user", "content": "word " * 50_000}]}
    url, key = through
    expect = ("--header", "expect: 100-continue")
    straight = curl(f"{upstreams['large'].base_url}/chat/completions", "none", body, "--header", "expect:")
    assert curl(f"{url}/chat/completions", key, body, *expect) == straight
    answer = curl(f"{url}/chat/completions", "other", body, *expect, "--include")
    assert answer.startswith(b"HTTP/1.1 401")  # before a byte of the body was sent


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where node finds the npm SDK of ``npm/package.json``, installed outside the repository."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node or no npm")
    package = Path(__file__).with_name("npm") / "package.json"
    version = json.loads(package.read_text())["dependencies"]["openai"]
    place = Path.home() / ".cache" / "router-model-tests" / f"openai-{version}"
    if not (place / "node_modules" / "openai" / "package.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(package, place)
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            done = subprocess.run(install, cwd=place, capture_output=True, timeout=120)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not install the SDK in two minutes")
        if done.returncode:
            pytest.skip(f"npm cannot install the SDK: {done.stderr.decode(errors='replace')[-200:]}")
    return place


def test_openai_for_node(npm: Path, through: tuple[str, str], upstreams: dict[str, Any]) -> None:
    script = shutil.copy(Path(__file__).with_name("npm") / "cases.mjs", npm / "cases.mjs")
    results = []
    for url, key in ((upstreams["large"].base_url, "none"), through):
        command = ["node", str(script), url, key, "large"]
        done = subprocess.run(command, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        results.append(json.loads(done.stdout))
    straight, routed = results
    assert list(routed) == list(straight)
    for name in straight:
        assert routed[name] == straight[name], name
    done = subprocess.run(["node", str(script), *through, "errors"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {
        "key": ["AuthenticationError", 401],
        "model": ["NotFoundError", 404],
        "limited": ["RateLimitError", 429],
        "picky": ["BadRequestError", 400],
        "failing": ["InternalServerError", 500],
        "cut": ["APIError", None],
    }
