"""The shared cache, against real servers that are killed, stopped and started again."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from router_model.errors import GatewayConfigError
from router_model.serving.gateway.cache.cache import Cache
from router_model.serving.gateway.cache.flight import Flight
from router_model.serving.gateway.cache.frame import framed
from router_model.serving.gateway.cache.kept import Kept
from router_model.serving.gateway.cache.key import key_of
from router_model.serving.gateway.cache.shared import PREFIX, connect
from router_model.serving.gateway.call import Asked, Call
from router_model.serving.gateway.config.cache import Caches, ExactCache

JSON = [(b"content-type", b"application/json")]
CALL = Call("chat", b"", {"model": "auto", "messages": []}, Asked("auto"), False, frozenset(), 1, 0)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def with_cache(
    url: str,
    run: Callable[[Cache, Any, Hand], Coroutine[Any, Any, None]],
    seconds: float = 5.0,  # so that a busy machine fails no test
    **more: Any,
) -> None:
    async def whole() -> None:
        redis, clock = connect(url), Hand()
        cache = Cache(Caches(exact=ExactCache(shared=True, **more)), redis, clock, redis_seconds=seconds)
        try:
            await run(cache, redis, clock)
            await cache.close()
        finally:
            await redis.aclose()

    asyncio.run(whole())


async def keep(cache: Cache, *chunks: bytes) -> None:
    flight = await cache.look(CALL, "t")
    assert isinstance(flight, Flight)
    for chunk in chunks:
        flight.feed(chunk)
    flight.done(200, JSON, tier="small", provider="p")
    await cache.close()


def test_a_replica_gives_what_another_kept(server: Any) -> None:
    async def run(cache: Cache, redis: Any, clock: Hand) -> None:
        await keep(cache, b'{"a":', b"1}")
        other = connect(server.url)
        replica = Cache(Caches(exact=ExactCache(shared=True)), other, redis_seconds=5.0)
        kept = await replica.look(CALL, "t")
        await other.aclose()
        assert kept == Kept(200, tuple(JSON), (b'{"a":', b"1}"), "small", "p")
        left = await redis.pttl(PREFIX + key_of(CALL, "t"))
        assert 0 < left <= 5_000

    with_cache(server.url, run, ttl_seconds=5)


def test_a_restart_of_redis_fails_no_request_and_the_cache_comes_back(server: Any) -> None:
    async def run(cache: Cache, redis: Any, clock: Hand) -> None:
        await keep(cache, b"{}")
        server.kill()
        for _ in range(10):
            await keep(cache, b"{}")
        server.start()
        await keep(cache, b"{}")  # it still rests
        clock.now += 2
        await keep(cache, b"{}")
        assert isinstance(await cache.look(CALL, "t"), Kept)

    with_cache(server.url, run)


def test_a_redis_that_hangs_is_asked_three_times_and_then_left_alone(server: Any) -> None:
    async def run(cache: Cache, redis: Any, clock: Hand) -> None:
        await keep(cache, b'{"a":1}')
        os.kill(server.process.pid, signal.SIGSTOP)
        asked = 0
        plain = redis.getrange

        def counted(*args: Any) -> Any:
            nonlocal asked
            asked += 1
            return plain(*args)

        redis.getrange = counted
        for _ in range(20):
            flight = await cache.look(CALL, "t")
            assert isinstance(flight, Flight)
            flight.fail()
        assert asked == 3
        os.kill(server.process.pid, signal.SIGCONT)
        redis.getrange = plain
        for _ in range(5):  # whatever order late replies come in
            clock.now += 2
            found = await cache.look(CALL, "t")
            if isinstance(found, Flight):
                found.fail()
        assert isinstance(found, Kept)
        assert found.chunks == (b'{"a":1}',)

    with_cache(server.url, run, seconds=0.05)


def test_equal_requests_ask_redis_once(server: Any) -> None:
    async def run(cache: Cache, redis: Any, clock: Hand) -> None:
        await keep(cache, b"{}")
        await redis.config_resetstat()
        found = await asyncio.gather(*(cache.look(CALL, "t") for _ in range(50)))
        assert all(isinstance(kept, Kept) for kept in found)
        assert (await redis.info("commandstats"))["cmdstat_getrange"]["calls"] == 1

    with_cache(server.url, run)


KEY = key_of(CALL, "t")
GOOD = framed(KEY, Kept(200, tuple(JSON), (b"{}",)))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"RMC1",
        b"\x80\x04N.",
        GOOD[:-1],
        GOOD + b"x",
        b"x" * 100_000,
        framed(b"k" * 32, Kept(200, tuple(JSON), (b"{}",))),
        framed(KEY, Kept(200, ((b"a", b"1\r\nset-cookie: x"),), (b"{}",))),
        framed(KEY, Kept(500, tuple(JSON), (b"{}",))),
    ],
)
def test_what_somebody_else_wrote_to_redis_is_no_answer(server: Any, value: bytes) -> None:
    async def run(cache: Cache, redis: Any, clock: Hand) -> None:
        await redis.set(PREFIX + KEY, value)
        flight = await cache.look(CALL, "t")
        assert isinstance(flight, Flight)
        flight.fail()
        await redis.delete(PREFIX + KEY)
        await redis.lpush(PREFIX + KEY, value)
        assert isinstance(await cache.look(CALL, "t"), Flight)

    with_cache(server.url, run, entry_bytes=1_000)


def test_answers_are_shared_only_where_there_is_redis() -> None:
    with pytest.raises(GatewayConfigError, match="redis_url_env"):
        Cache(Caches(exact=ExactCache(shared=True)))


@pytest.mark.parametrize("url", ["http://user:secret@host", "nonsense", "redis://host:port/0", ""])
def test_a_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(GatewayConfigError, match="redis://") as caught:
        connect(url)
    assert "secret" not in str(caught.value)
