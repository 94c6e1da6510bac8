"""Limits a minute that workers share through a real Redis, which is killed and comes back."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import msgspec
import pytest
import redis as redis_package
from redis.asyncio import Redis

from router_model.errors import RequestError
from router_model.serving.gateway.asked import Asked
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.dispatch import Dispatch
from router_model.serving.gateway.pretend import Behaviour, Pretend, start
from router_model.serving.gateway.quota import REST_SECONDS, Quota
from router_model.serving.gateway.rates import SLICE_SECONDS, WINDOW_SECONDS, Rates

KEY = "{router-model:rate:near}"
REQUESTS, TOKENS = 20, 1000
COUNTS_SECONDS = int(WINDOW_SECONDS + SLICE_SECONDS)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a tenth of a second is little."""
    monkeypatch.setattr("router_model.serving.gateway.quota.TIMEOUT_SECONDS", 20.0)


def with_workers(server: Any, work: Callable[..., Awaitable[None]], count: int = 2) -> None:
    """Run ``work`` with the quotas of so many workers, each with its own connection."""

    async def main() -> None:
        clients = [Redis(port=server.port, socket_timeout=1.0) for _ in range(count)]
        whole, part = (REQUESTS, TOKENS), (REQUESTS // count, TOKENS // count)
        try:
            await work(
                *(
                    Quota(client, "near", whole, part, Rates(*part, time.monotonic), time.monotonic)
                    for client in clients
                )
            )
        finally:
            for client in clients:
                await client.aclose()

    asyncio.run(main())


def written(server: Any) -> "redis_package.Redis[Any]":
    return redis_package.Redis(port=server.port)


def now(server: Any) -> int:
    return int(written(server).time()[0])


def test_workers_that_ask_at_once_pass_the_limit_by_nothing(server: Any) -> None:
    async def work(*workers: Quota) -> None:
        told = await asyncio.gather(*(worker.take(1) for _ in range(REQUESTS) for worker in workers))
        assert sum(second is not None for second in told) == REQUESTS

    with_workers(server, work)


def test_one_worker_may_use_what_the_others_leave(server: Any) -> None:
    async def work(one: Quota, two: Quota) -> None:
        assert all([await one.take(1) for _ in range(REQUESTS)])
        assert await two.take(1) is None
        assert 0 < two.wait(1) <= COUNTS_SECONDS

    with_workers(server, work)


def test_tokens_are_shared_and_corrected(server: Any) -> None:
    async def work(one: Quota, two: Quota) -> None:
        second = await one.take(TOKENS)
        assert second
        assert await two.take(1) is None
        one.correct(second, 1 - TOKENS)
        await asyncio.gather(*one._telling)
        assert await two.take(TOKENS) is None
        assert two.wait(TOKENS) > 0 == two.wait(TOKENS - 1)  # a smaller one may still go
        assert await two.take(TOKENS - 1)

    with_workers(server, work)


def test_what_went_a_minute_ago_counts_no_more_and_the_wait_is_until_then(server: Any) -> None:
    soon = 3
    old, young = now(server) - COUNTS_SECONDS, now(server) - COUNTS_SECONDS + soon

    async def work(one: Quota, _: Quota) -> None:
        for second in (old, young):
            written(server).hset(KEY, mapping={f"r:{second}": REQUESTS, f"t:{second}": 10})
        assert await one.take(1) is None
        assert 0 < one.wait(1) <= soon
        assert written(server).hget(KEY, f"r:{old}") is None
        written(server).hdel(KEY, f"r:{young}")
        assert await one.take(1)

    with_workers(server, work)


def test_without_redis_each_keeps_to_its_part_and_with_it_again_to_the_whole(server: Any) -> None:
    async def work(one: Quota, two: Quota) -> None:
        assert await one.take(1)
        assert (one._rates.requests, one._rates.tokens) == (REQUESTS, TOKENS)
        server.kill()
        assert await one.take(1) == 0
        assert (one._rates.requests, one._rates.tokens) == (REQUESTS // 2, TOKENS // 2)
        began = time.monotonic()
        assert [await one.take(1) for _ in range(50)] == [0] * 50  # it is not asked again at once
        assert time.monotonic() - began < REST_SECONDS
        server.start()
        async with asyncio.timeout(20):
            while not await one.take(1):
                await asyncio.sleep(0.05)
        assert one._rates.requests == REQUESTS

    with_workers(server, work)


# --- in the dispatch


def test_replicas_count_in_the_redis_that_their_file_names(
    server: Any, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTA_REDIS_URL", server.url)
    model = Pretend(Behaviour())
    start(model)
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
    limited = {
        "name": "near",
        "base_url": model.base_url,
        "model": "m",
        "requests_per_minute": 1000,
        **prices,
    }
    file = {
        "tiers": [{"name": "small", "providers": [limited]}],
        "listen": {"port": 0},
        "redis_url_env": "QUOTA_REDIS_URL",
    }
    replicas = [serve(file) for _ in range(2)]
    for counted in (1, 2):
        for _ in range(100):  # where Redis is slow to answer, a request goes without it
            with closing(
                HTTPConnection(replicas[counted - 1].host, replicas[counted - 1].port, timeout=30)
            ) as line:
                body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
                line.request("POST", "/v1/chat/completions", json.dumps(body))
                assert line.getresponse().status == 200
            told = written(server).hgetall(KEY)
            if sum(int(told[name]) for name in told if name.startswith(b"r:")) >= counted:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(told)
    for replica in replicas:
        replica.stop()


class Speaker:
    """Answers, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, call: Call) -> Any:
        self.asked += 1
        return Reply()

    async def warm(self, connections: int) -> None:
        """Nothing to open."""


class Reply:
    status = 200

    def __init__(self) -> None:
        self.headers = [(b"content-type", b"application/json")]
        self.pieces = [b"{}"]

    async def read(self) -> bytes:
        return self.pieces.pop() if self.pieces else b""

    def fail(self, error: Exception) -> None:
        raise AssertionError(error)

    def close(self) -> None:
        """Nothing is held."""


def dispatch_of(redis: Redis, names: list[str], limit: int) -> tuple[Dispatch, dict[str, Speaker]]:
    """A worker's, of providers the first of which is the cheapest and limited."""
    providers = []
    for place, name in enumerate(names):
        prices = {"input_usd_per_million": 1.0 + place, "output_usd_per_million": 1.0}
        limits = {} if place else {"requests_per_minute": limit}
        providers.append({"name": name, "base_url": "http://unused", "model": "m", **prices, **limits})
    file = {"tiers": [{"name": "small", "providers": providers}], "listen": {"workers": 2}}
    dispatch = Dispatch(msgspec.convert(file, GatewayConfig), {}, redis=redis)
    speakers = {}
    for name, upstream in dispatch.upstreams.items():
        upstream.speaker = speakers[name] = Speaker()
    return dispatch, speakers


async def ask(dispatch: Dispatch) -> str:
    call = Call("chat", b"{}", {}, Asked("auto"), False, frozenset(), 10, 0)
    answer = await dispatch.send(call, ["small"], deadline=time.monotonic() + 30)
    answer.close()
    return answer.provider.name


def test_requests_spill_to_the_next_provider_where_all_workers_together_reach_the_limit(server: Any) -> None:
    async def main() -> None:
        clients = [Redis(port=server.port) for _ in range(2)]
        workers = [dispatch_of(client, ["near", "far"], 5) for client in clients]
        asked = [await ask(dispatch) for _ in range(4) for dispatch, _ in workers]
        assert asked == ["near"] * 5 + ["far"] * 3
        assert sum(speakers["near"].asked for _, speakers in workers) == 5
        for client in clients:
            await client.aclose()

    asyncio.run(main())


def test_calls_that_wait_for_a_redis_that_is_gone_keep_to_the_part(server: Any) -> None:
    async def main() -> None:
        redis = Redis(port=server.port)
        dispatch, _ = dispatch_of(redis, ["near", "far"], 6)
        server.kill()
        asked = await asyncio.gather(*(ask(dispatch) for _ in range(6)))
        assert sorted(asked) == ["far"] * 3 + ["near"] * 3
        await redis.aclose()

    asyncio.run(main())


def test_where_there_is_no_other_provider_the_client_is_told_when_to_come_back(server: Any) -> None:
    async def main() -> None:
        redis = Redis(port=server.port)
        (one, _), (two, speakers) = (dispatch_of(redis, ["near"], 2) for _ in range(2))
        assert [await ask(one), await ask(one)] == ["near", "near"]
        with pytest.raises(RequestError) as refused:
            await ask(two)
        assert refused.value.status == 429
        assert 1 <= (refused.value.retry_after or 0) <= COUNTS_SECONDS
        assert speakers["near"].asked == 0
        await redis.aclose()

    asyncio.run(main())
