"""The dispatch against pretend models on loopback: what each fault costs the client, which is nothing."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from router_model.errors import RequestError, UpstreamError
from router_model.serving.gateway.answer import Answer
from router_model.serving.gateway.call import Asked, Call, Endpoint
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.dispatch import Dispatch
from router_model.serving.gateway.pretend import Behaviour, Pretend
from router_model.serving.gateway.usage import Usage

SECONDS = 20.0
QUICK = {"first_byte_seconds": 0.3, "idle_seconds": 0.3, "base_seconds": 0.01}


def call(endpoint: Endpoint = "chat", *, stream: bool = False, **fields: Any) -> Call:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}], "stream": stream, **fields}
    raw = json.dumps(body).encode()
    return Call(endpoint, raw, body, Asked("auto"), stream, frozenset(), 10, 0, {"x-client": "yes"})


def provider(name: str, base_url: str, usd: float = 1.0, **fields: Any) -> dict[str, Any]:
    return {"name": name, "base_url": base_url, "model": f"model-{name}"} | {
        "input_usd_per_million": usd,
        "output_usd_per_million": usd,
        "warm_connections": 0,
        **fields,
    }


def config(tiers: dict[str, list[dict[str, Any]]], **parts: Any) -> GatewayConfig:
    listed = [{"name": name, "providers": providers} for name, providers in tiers.items()]
    return msgspec.convert({"tiers": listed, **parts}, GatewayConfig)


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@asynccontextmanager
async def opened(config: GatewayConfig, **options: Any) -> AsyncIterator[Dispatch]:
    dispatch = Dispatch(config, options.pop("secrets", {}), **options)
    await dispatch.open()
    try:
        yield dispatch
    finally:
        await dispatch.close()
        assert dispatch.flying == 0


@asynccontextmanager
async def two(**parts: Any) -> AsyncIterator[tuple[Dispatch, Pretend, Pretend]]:
    """A cheap provider `a` and a dear one `b` of one tier."""
    async with Pretend(keep=100) as a, Pretend(keep=100) as b:
        tiers = {"small": [provider("a", a.base_url, 1), provider("b", b.base_url, 2)]}
        async with opened(config(tiers, **parts)) as dispatch:
            yield dispatch, a, b


async def ask(
    dispatch: Dispatch, request: Call | None = None, tiers: tuple[str, ...] = ("small",), **options: Any
) -> tuple[Answer, bytes]:
    seconds = options.pop("seconds", SECONDS)
    request = request or call()
    answer = await dispatch.send(request, tiers, deadline=time.monotonic() + seconds, **options)
    try:
        return answer, b"".join([piece async for piece in answer.chunks])
    finally:
        answer.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))  # type: ignore[arg-type]


FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "503 with retry-after": {"status": 503, "retry_after": "30"},
    "529": {"status": 529},
    "429": {"status": 429},
    "429 with retry-after": {"status": 429, "retry_after": "1"},
    "key refused": {"status": 401},
    "account empty": {"status": 402},
    "model gone": {"status": 404},
    "redirect": {"status": 302},
    "hangs up": {"hang_up": True},
    "stalls": {"stall": True},
    "cut at once": {"cut_after": 0},
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_costs_the_client_nothing(fault: str, stream: bool) -> None:
    async def test() -> None:
        async with two(retry=QUICK) as (dispatch, a, b):
            a.behaviour = Behaviour(**FAULTS[fault])
            for _ in range(8):
                answer, body = await ask(dispatch, call(stream=stream))
                assert answer.status == 200
                assert answer.provider.name == "b"
                assert b"pretend answer" in body or stream
                assert not stream or body.endswith(b"data: [DONE]\n\n")
            a.behaviour = Behaviour()
            assert b.requests == 8

    run(test)


def test_a_dead_provider_costs_nothing_and_is_left_alone() -> None:
    async def test() -> None:
        async with Pretend() as b:
            dead = f"http://127.0.0.1:{closed_port()}/v1"
            tiers = {"small": [provider("a", dead, 1), provider("b", b.base_url, 2)]}
            async with opened(config(tiers, breaker={"failures": 3})) as dispatch:
                answers = [(await ask(dispatch))[0] for _ in range(6)]
                assert [x.provider.name for x in answers] == ["b"] * 6
                assert [x.attempts for x in answers] == [2, 2, 2, 1, 1, 1]
                assert answers[0].failures == ["a: no connection"]

    run(test)


def test_an_answer_cut_in_its_middle_is_asked_again_where_none_of_it_has_gone() -> None:
    async def test() -> None:
        async with two() as (dispatch, a, _):
            a.behaviour = Behaviour(cut_after=1)
            answer, body = await ask(dispatch)
            assert answer.provider.name == "b"
            assert answer.failures == ["a: its answer was cut"]
            assert json.loads(body)["object"] == "chat.completion"

    run(test)


def test_a_stream_is_never_asked_again_once_a_byte_has_gone() -> None:
    async def test() -> None:
        async with two(breaker={"failures": 2, "open_seconds": 60}) as (dispatch, a, b):
            a.behaviour = Behaviour(cut_after=3, chunk_seconds=0.01)
            for _ in range(2):
                with pytest.raises(UpstreamError, match="a: its answer was cut"):
                    await ask(dispatch, call(stream=True))
            assert b.requests == 0
            assert (await ask(dispatch, call(stream=True)))[0].provider.name == "b"

    run(test)


def test_a_stream_that_stops_is_broken_off() -> None:
    async def test() -> None:
        async with two(retry=QUICK) as (dispatch, a, _):
            a.behaviour = Behaviour(stall_after=2, chunk_seconds=0.001)
            with pytest.raises(UpstreamError, match="stopped"):
                await ask(dispatch, call(stream=True))

    run(test)


def test_a_stream_ends_at_the_deadline() -> None:
    async def test() -> None:
        async with two() as (dispatch, a, _):
            a.behaviour = Behaviour(chunk_seconds=0.05, chunks=1000)
            with pytest.raises(UpstreamError, match="time was over"):
                await ask(dispatch, call(stream=True), seconds=0.3)

    run(test)


def test_what_the_client_did_wrong_passes_through_at_once() -> None:
    async def test() -> None:
        async with two() as (dispatch, a, b):
            for status in (400, 405, 413, 422):
                a.behaviour = Behaviour(status=status)
                answer, body = await ask(dispatch)
                assert (answer.status, answer.provider.name, answer.attempts) == (status, "a", 1)
                assert json.loads(body)["error"]["message"].endswith(f"{status}.")
            assert b.requests == 0
            assert dispatch.upstreams["a"].health.circuit.state == "closed"

    run(test)


def test_where_all_fail_the_last_answer_passes_through() -> None:
    async def test() -> None:
        async with two(retry=QUICK | {"attempts": 3}) as (dispatch, a, b):
            a.behaviour = Behaviour(status=500)
            b.behaviour = Behaviour(status=429, retry_after="7")
            answer, body = await ask(dispatch)
            assert answer.status in (429, 500)
            assert answer.attempts == 3
            assert json.loads(body)["error"]["message"].endswith(f"{answer.status}.")
            b.behaviour = Behaviour(hang_up=True)
            a.behaviour = Behaviour(status=429, retry_after="7")
            answer, body = await ask(dispatch)
            assert answer.status == 429
            assert (b"retry-after", b"7") in answer.headers
            assert json.loads(body)["error"]["message"].endswith("429.")

    run(test)


def test_where_nobody_answers_the_error_says_who_and_why() -> None:
    async def test() -> None:
        dead = f"http://127.0.0.1:{closed_port()}/v1"
        tiers = {"small": [provider("a", dead)]}
        async with opened(
            config(tiers, retry=QUICK, breaker={"failures": 6, "open_seconds": 60})
        ) as dispatch:
            with pytest.raises(RequestError, match="a: no connection") as refused:
                await ask(dispatch)
            assert refused.value.status == 502
            assert "127.0.0.1" not in str(refused.value), "where it runs is nobody's business"
            with pytest.raises(RequestError):
                await ask(dispatch)
            with pytest.raises(RequestError, match="in service") as refused:
                await ask(dispatch)
            assert refused.value.status == 503
            assert refused.value.retry_after == pytest.approx(60, abs=5)

    run(test)


def test_where_nobody_answers_in_time() -> None:
    async def test() -> None:
        async with two(retry=QUICK | {"attempts": 2}) as (dispatch, a, b):
            a.behaviour = b.behaviour = Behaviour(stall=True)
            with pytest.raises(RequestError) as refused:
                await ask(dispatch)
            assert refused.value.status == 504

    run(test)


def test_one_that_is_flapping_is_asked_again_after_a_pause() -> None:
    async def test() -> None:
        async with Pretend() as a:
            tiers = {"small": [provider("a", a.base_url)]}
            async with opened(config(tiers, retry=QUICK)) as dispatch:
                a.behaviour = Behaviour(status=500, share=0.5)
                answers = [(await ask(dispatch))[0] for _ in range(4)]
                assert {x.status for x in answers} == {200}
                assert sum(x.attempts for x in answers) > 4

    run(test)


def test_the_tier_above_answers_unless_the_file_says_no() -> None:
    async def test() -> None:
        async with Pretend(behaviour=Behaviour(status=500)) as a, Pretend() as b:
            tiers = {"small": [provider("a", a.base_url)], "large": [provider("b", b.base_url, 9)]}
            async with opened(config(tiers, retry=QUICK)) as dispatch:
                answer, _ = await ask(dispatch, tiers=("small", "large"))
                assert (answer.tier, answer.provider.name, answer.status) == ("large", "b", 200)
            async with opened(config(tiers, retry=QUICK | {"upwards": False})) as dispatch:
                answer, _ = await ask(dispatch, tiers=("small", "large"))
                assert (answer.tier, answer.status) == ("small", 500)

    run(test)


def test_recovers_by_a_probe() -> None:
    async def test() -> None:
        async with two(breaker={"failures": 1, "open_seconds": 0.05}, retry=QUICK) as (dispatch, a, _):
            a.behaviour = Behaviour(status=500)
            assert (await ask(dispatch))[0].provider.name == "b"
            a.behaviour = Behaviour()
            assert (await ask(dispatch))[0].provider.name == "b"
            await asyncio.sleep(0.06)
            assert (await ask(dispatch))[0].provider.name == "a"
            assert dispatch.upstreams["a"].health.circuit.state == "closed"

    run(test)


def test_spills_before_a_limit_is_hit_and_then_refuses() -> None:
    async def test() -> None:
        async with Pretend() as a, Pretend() as b:
            providers = [
                provider("a", a.base_url, 1, requests_per_minute=2),
                provider("b", b.base_url, 2, requests_per_minute=3),
            ]
            async with opened(config({"small": providers})) as dispatch:
                names = [(await ask(dispatch))[0].provider.name for _ in range(5)]
                assert names == ["a", "a", "b", "b", "b"]
                with pytest.raises(RequestError, match="limits a minute") as refused:
                    await ask(dispatch)
                assert refused.value.status == 429
                assert refused.value.retry_after == pytest.approx(60, abs=5)
                assert (a.requests, b.requests) == (2, 3)

    run(test)


def test_tokens_are_counted_by_the_estimate_and_then_corrected() -> None:
    async def test() -> None:
        async with two() as (_, a, b):
            providers = [
                provider("a", a.base_url, 1, tokens_per_minute=1000),
                provider("b", b.base_url, 2),
            ]
            async with opened(config({"small": providers})) as dispatch:
                for _ in range(3):
                    answer, _ = await ask(dispatch)
                    assert answer.provider.name == "a"
                    answer.spent(Usage(10, 20))
                answer, _ = await ask(dispatch)
                answer.spent(Usage(10, 2000))
                answer.spent(Usage(10, 2000))
                assert (await ask(dispatch))[0].provider.name == "b"
                assert dispatch.upstreams["a"].health.rates._tokens == 3 * 30 + 2010

    run(test)


def test_embeddings_do_not_make_answers_seem_short() -> None:
    async def test() -> None:
        async with two() as (dispatch, _, _):
            before = dispatch.upstreams["a"].expected(call()).output
            for _ in range(50):
                answer = await dispatch.send(
                    call("embeddings", input="a"), ("small",), deadline=time.monotonic() + SECONDS
                )
                assert answer.status == 200
                answer.spent(Usage(10, 0))
                answer.close()
            assert dispatch.upstreams["a"].expected(call()).output == before

    run(test)


def test_cheapest_for_this_call_and_equal_ones_by_weight() -> None:
    async def test() -> None:
        async with Pretend() as a:
            long_input = replace(call(), input_tokens=50_000)
            providers = [
                provider("in", a.base_url, input_usd_per_million=1, output_usd_per_million=50),
                provider("out", a.base_url, input_usd_per_million=9, output_usd_per_million=1),
            ]
            async with opened(config({"small": providers})) as dispatch:
                assert (await ask(dispatch, long_input))[0].provider.name == "in"
                assert (await ask(dispatch))[0].provider.name == "out"
            providers = [provider("x", a.base_url, weight=9), provider("y", a.base_url, weight=1)]
            async with opened(config({"small": providers})) as dispatch:
                names = []
                for i in range(200):
                    answer, _ = await ask(dispatch)
                    names.append(answer.provider.name)
                    answer.spent(Usage(10, 10 * i))
                assert 150 < names.count("x") < 200

    run(test)


def test_a_slow_one_comes_last() -> None:
    async def test() -> None:
        async with two(latency={"first_byte_seconds": 0.02, "window": 4}) as (dispatch, a, _):
            a.behaviour = Behaviour(first_byte_seconds=0.06)
            names = [(await ask(dispatch, call(stream=True)))[0].provider.name for _ in range(8)]
            assert names == ["a"] * 4 + ["b"] * 4
        async with two(latency={"total_seconds": 0.05, "window": 4}) as (dispatch, a, _):
            a.behaviour = Behaviour(chunk_seconds=0.005, chunks=20)
            names = [(await ask(dispatch))[0].provider.name for _ in range(8)]
            assert names == ["a"] * 4 + ["b"] * 4

    run(test)


def test_a_tier_takes_as_long_as_the_calls_of_its_providers_that_are_up() -> None:
    async def test() -> None:
        async with Pretend() as quick, Pretend() as slow:
            slow.behaviour = Behaviour(first_byte_seconds=0.2)
            tiers = {
                "small": [provider("q", quick.base_url)],
                "large": [provider("s", slow.base_url)],
                "other": [provider("o", quick.base_url)],
            }
            async with opened(config(tiers, breaker={"failures": 1})) as dispatch:
                assert dispatch.seconds(["small", "large"]) == (0.0, 0.0)
                for tier in ("small", "large"):
                    await ask(dispatch, tiers=(tier,))
                small, large, unknown = dispatch.seconds(["small", "large", "other"])
                assert 0 < small == unknown < 0.2 <= large
                slow.behaviour = Behaviour(status=500)
                assert (await ask(dispatch, tiers=("large",)))[0].status == 500
                assert not dispatch.up("large")
                assert dispatch.seconds(["small", "large"]) == (small, small)

    run(test)


def test_a_hedge_answers_for_one_that_dawdles_and_the_loser_is_left() -> None:
    async def test() -> None:
        async with two(retry={"hedge_after_seconds": 0.05}) as (dispatch, a, b):
            a.behaviour = Behaviour(first_byte_seconds=30)
            answer, _ = await ask(dispatch)
            assert (answer.provider.name, answer.attempts, answer.failures) == ("b", 2, [])
            while not a.left:
                await asyncio.sleep(0.01)
            assert dispatch.flying == 0
            b.behaviour = Behaviour(status=500)
            a.behaviour = Behaviour(first_byte_seconds=0.1)
            answer, _ = await ask(dispatch)
            assert (answer.provider.name, answer.failures) == ("a", ["b: status 500"])

    run(test)


def test_a_client_that_leaves_ends_the_upstream_call() -> None:
    async def test() -> None:
        async with two() as (dispatch, a, _):
            a.behaviour = Behaviour(stall=True)
            task = asyncio.create_task(ask(dispatch))
            while not a.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while not a.left:
                await asyncio.sleep(0.01)
            a.behaviour = Behaviour(chunk_seconds=0.01, chunks=10_000)
            answer = await dispatch.send(call(stream=True), ["small"], deadline=time.monotonic() + SECONDS)
            assert dispatch.flying == 1
            answer.close()
            answer.close()
            while a.left < 2:
                await asyncio.sleep(0.01)
            assert dispatch.flying == 0
            assert dispatch.upstreams["a"].health.circuit.state == "closed"

    run(test)


def test_one_model_at_two_efforts_is_two_tiers() -> None:
    async def test() -> None:
        async with Pretend(keep=9) as a:
            low, high = (
                provider(name, a.base_url, model="thinker", body={"chat": {"reasoning_effort": name}})
                for name in ("low", "high")
            )
            async with opened(config({"quick": [low], "thorough": [high]})) as dispatch:
                for tier, effort in (("quick", "low"), ("thorough", "high")):
                    await ask(dispatch, tiers=(tier,))
                    sent = json.loads(a.seen[-1].body)
                    assert sent == call().body | {"model": "thinker", "reasoning_effort": effort}
                await ask(dispatch, call("responses", input="hello"), tiers=("quick",))
                assert "reasoning_effort" not in json.loads(a.seen[-1].body)

    run(test)


def test_bytes_pass_through_and_the_key_goes_to_its_provider_only() -> None:
    async def test() -> None:
        async with Pretend(keep=9) as a:
            providers = [
                provider("a", a.base_url, headers={"X-Mine": "1"}),
                provider("c", a.base_url, shape="anthropic"),
            ]
            secrets = {"a": "sk-a", "c": "sk-c"}
            async with opened(config({"small": providers}), secrets=secrets) as dispatch:
                answer, body = await ask(dispatch, call(unheard_of={"deep": [1, None]}))
                seen = a.seen[-1]
                assert seen.path == "/v1/chat/completions"
                assert json.loads(seen.body) == call(unheard_of={"deep": [1, None]}).body | {
                    "model": "model-a"
                }
                assert seen.headers["authorization"] == "Bearer sk-a"
                assert seen.headers["x-mine"] == "1"
                assert seen.headers["x-client"] == "yes"
                assert not {"accept-encoding", "cookie", "user-agent"} & set(seen.headers)
                assert (b"x-pretend", b"yes") in answer.headers
                assert (b"content-length", str(len(body)).encode()) in answer.headers
                answer, _ = await ask(dispatch, call("messages", max_tokens=5))
                seen = a.seen[-1]
                assert answer.provider.name == "c"
                assert seen.path == "/v1/messages"
                assert seen.headers["x-api-key"] == "sk-c"
                assert "authorization" not in seen.headers
                assert seen.headers["anthropic-version"] == "2023-06-01"

    run(test)


def test_able_looks_at_shape_abilities_and_context() -> None:
    p = "http://127.0.0.1:9/v1"
    providers = [
        provider("plain", p, context_tokens=100),
        provider("tools", p, abilities=["tools", "json_schema"]),
        provider("claude", p, shape="anthropic", abilities=["tools"]),
    ]
    dispatch = Dispatch(config({"small": providers, "large": [provider("big", p)]}), {})

    def names(request: Call, tier: str = "small") -> list[str]:
        return [x.name for x in dispatch.able(request, tier)]

    assert names(call()) == ["plain", "tools"]
    assert names(replace(call(), needs=frozenset({"tools"}))) == ["tools"]
    assert names(replace(call(), needs=frozenset({"images"}))) == []
    assert names(replace(call("messages"), needs=frozenset({"tools"}))) == ["claude"]
    assert names(replace(call(), input_tokens=60, output_tokens=41)) == ["tools"]
    assert names(call(), "large") == ["big"]
    assert names(call(), "none such") == []

    async def test() -> None:
        with pytest.raises(RequestError, match="takes this request") as refused:
            await ask(dispatch, replace(call(), needs=frozenset({"images"})), ("small", "large"))
        assert refused.value.status == 400
        with pytest.raises(RequestError, match="under the name nobody"):
            await ask(dispatch, provider="nobody")

    run(test)


def test_a_name_asks_that_provider_or_that_model_alone() -> None:
    async def test() -> None:
        async with two(retry=QUICK) as (dispatch, a, b):
            assert (await ask(dispatch, provider="b"))[0].provider.name == "b"
            assert (await ask(dispatch, provider="model-b"))[0].provider.name == "b"
            b.behaviour = Behaviour(status=500)
            assert (await ask(dispatch, provider="b"))[0].status == 500
            assert a.requests == 0

    run(test)


def test_what_was_learnt_outlives_a_reload() -> None:
    async def test() -> None:
        async with two(breaker={"failures": 1, "open_seconds": 60}) as (old, a, b):
            a.behaviour = Behaviour(status=500)
            await ask(old)
            async with opened(old.config, since=old) as dispatch:
                assert dispatch.upstreams["a"].health.circuit.state == "open"
                moved = config({"small": [provider("a", b.base_url)]})
                assert Dispatch(moved, {}, since=dispatch).upstreams["a"].health.circuit.state == "closed"

    run(test)


def test_close_waits_for_streams_so_long_as_told() -> None:
    async def test() -> None:
        async with two() as (dispatch, a, _):
            a.behaviour = Behaviour(chunk_seconds=0.01, chunks=20)
            task = asyncio.create_task(ask(dispatch, call(stream=True)))
            while not dispatch.flying:
                await asyncio.sleep(0.01)
            await dispatch.close(SECONDS)
            _, body = await task
            assert body.endswith(b"data: [DONE]\n\n")
            await dispatch.open()
            a.behaviour = Behaviour(chunk_seconds=0.01, chunks=10_000)
            task = asyncio.create_task(ask(dispatch, call(stream=True)))
            while not dispatch.flying:
                await asyncio.sleep(0.01)
            await dispatch.close(0.05)
            with pytest.raises(UpstreamError, match="closed"):
                await task
            await dispatch.open()
            a.behaviour = Behaviour(stall=True)
            task = asyncio.create_task(ask(dispatch))
            while a.requests < 3:
                await asyncio.sleep(0.01)
            await dispatch.close()
            with pytest.raises(RequestError, match="closed"):
                await task
            assert dispatch.upstreams["a"].health.circuit._failures == 0, "what we closed is not its fault"

    run(test)


def test_connections_are_opened_ahead_and_used() -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            a = await stack.enter_async_context(Pretend())
            tiers = {"small": [provider("a", a.base_url, warm_connections=3)]}
            dispatch = await stack.enter_async_context(opened(config(tiers)))
            while a.connections < 3:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            await asyncio.gather(*(ask(dispatch) for _ in range(3)))
            assert a.connections == 3
            assert a.requests == 3

    run(test)


def test_a_connection_that_was_closed_under_us_costs_nothing() -> None:
    async def test() -> None:
        async with Pretend() as a:
            tiers = {"small": [provider("a", a.base_url)]}
            async with opened(config(tiers, retry={"attempts": 1})) as dispatch:
                await ask(dispatch)
                await a.close()
                await a.open()
                answer, _ = await ask(dispatch)
                assert answer.status == 200
                assert answer.attempts == 1

    run(test)


def test_a_rise_that_is_forecast_warms_the_servers_of_ones_own() -> None:
    async def test() -> None:
        now = [time.monotonic()]
        async with Pretend(keep=99) as a, Pretend(keep=99) as b:
            providers = [provider("own", a.base_url), provider("sold", b.base_url, api_key_env="KEY")]
            for wanted in (True, False):
                tiers = config({"small": providers}, capacity={"warm_up": wanted})
                async with opened(tiers, clock=lambda: now[0]) as dispatch:
                    for n in range(1, 6):
                        for _ in range(4 * n):
                            dispatch._forecasts["small"].add()
                        now[0] += 5
                    a.seen.clear()
                    await asyncio.gather(*dispatch._warm_ups())
                    assert [json.loads(x.body)["max_tokens"] for x in a.seen] == ([1] * len(a.seen))
                    assert bool(a.seen) == wanted
            assert not b.seen

    run(test)


def test_one_that_stalls_is_to_blame_where_it_had_its_time() -> None:
    async def test() -> None:
        async with two(retry={"first_byte_seconds": 0.1}, breaker={"failures": 2}) as (dispatch, a, _):
            a.behaviour = Behaviour(stall=True)
            for state in ("closed", "open"):
                assert (await ask(dispatch))[0].provider.name == "b"
                assert dispatch.upstreams["a"].health.circuit.state == state

    run(test)
