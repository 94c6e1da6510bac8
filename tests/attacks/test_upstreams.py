"""Upstreams that mean harm or are broken: the client gets a whole answer from another, or a clean error."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.errors import RequestError, UpstreamError
from router_model.serving.gateway.asked import Asked
from router_model.serving.gateway.breaker import MOST_REST_SECONDS
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.dispatch import Dispatch
from router_model.serving.gateway.pretend import Pretend
from router_model.serving.gateway.retry import retry_after

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


def said(answer: bytes) -> Script:
    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return script


async def drips(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-a: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def continues(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless_error(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


class Hostile:
    """A server that reads one request a connection and says what it was told to."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        self.connections += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await self.script(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def hostile(script: Script, **parts: Any) -> AsyncIterator[tuple[Dispatch, Hostile, Pretend]]:
    """A dispatch over a hostile provider, the cheaper one, and a good one."""
    bad = Hostile(script)
    server = await asyncio.start_server(bad.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Pretend() as good:
        providers = [provider("bad", f"http://127.0.0.1:{port}/v1", 1), provider("good", good.base_url, 2)]
        retry = {"first_byte_seconds": 0.4, "idle_seconds": 0.4, "base_seconds": 0.01}
        file = {"tiers": [{"name": "small", "providers": providers}], "retry": retry, **parts}
        dispatch = Dispatch(msgspec.convert(file, GatewayConfig), {"bad": "sk-secret"})
        await dispatch.open()
        try:
            yield dispatch, bad, good
        finally:
            await dispatch.close()
            for task in bad.tasks:
                task.cancel()
            await asyncio.gather(*bad.tasks, return_exceptions=True)
            server.close()
            await server.wait_closed()


def provider(name: str, base_url: str, usd: float) -> dict[str, Any]:
    prices = {"input_usd_per_million": usd, "output_usd_per_million": usd}
    return {"name": name, "base_url": base_url, "model": name, "warm_connections": 0} | prices


def call(*, stream: bool = False) -> Call:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
    return Call("chat", json.dumps(body).encode(), body, Asked("auto"), stream, frozenset(), 10, 0)


async def ask(dispatch: Dispatch, request: Call, **options: Any) -> tuple[int, bytes, str]:
    answer = await dispatch.send(request, ["small"], deadline=time.monotonic() + 10, **options)
    try:
        return answer.status, b"".join([piece async for piece in answer.chunks]), answer.provider.name
    finally:
        answer.close()


BROKEN: dict[str, Script] = {
    "no HTTP": said(b"\x00\xff\x16\x03 this is no HTTP\r\n\r\n"),
    "nothing": said(b""),
    "half a head": said(b"HTTP/1.1 200 OK\r\ncontent-type: app"),
    "a status of letters": said(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a length below nothing": said(OK + b"content-length: -1\r\n\r\n{}"),
    "two lengths": said(OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
    "a length of letters": said(OK + b"content-length: two\r\n\r\n{}"),
    "a length too long": said(OK + b"content-length: 1000\r\n\r\n{}"),
    "a chunk of no size": said(OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "a chunk without end": said(OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    "a header of a megabyte": said(OK + b"x-a: " + b"a" * (1 << 20) + b"\r\n\r\n"),
    "ten thousand headers": said(OK + b"x-a: 1\r\n" * 10_000 + b"\r\n"),
    "a NUL in a header": said(OK + b"x-a: 1\x002\r\ncontent-length: 2\r\n\r\n{}"),
    "drips headers": drips,
    "continues for ever": continues,
    "an error without end": endless_error,
    "a redirect": said(b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
    "an error as the first event": said(SSE + b'\r\ndata: {"error": {"message": "overloaded"}}\n\n'),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_upstream_costs_the_client_nothing(what: str) -> None:
    async def test() -> None:
        async with hostile(BROKEN[what]) as (dispatch, bad, _):
            for stream in (False, True):
                status, body, name = await ask(dispatch, call(stream=stream))
                assert (status, name) == (200, "good")
                assert b"pretend" in body
            assert dispatch.flying == 0
            assert not dispatch._pool.replies, "each is let go of"
            assert bad.connections >= 2

    asyncio.run(asyncio.wait_for(test(), 30))


@pytest.mark.parametrize("what", ["no HTTP", "a redirect", "a header of a megabyte"])
def test_alone_it_gives_a_clean_error_that_tells_no_secret(what: str) -> None:
    async def test() -> None:
        async with hostile(BROKEN[what]) as (dispatch, _, good):
            with pytest.raises(RequestError, match="bad: ") as refused:
                await ask(dispatch, call(), provider="bad")
            assert refused.value.status == 502
            assert "sk-secret" not in str(refused.value)
            assert "127.0.0.1" not in str(refused.value)
            assert good.requests == 0

    asyncio.run(asyncio.wait_for(test(), 30))


def test_a_stream_that_ends_with_its_connection_and_not_by_its_own_word_was_cut() -> None:
    async def test() -> None:
        event = b'\r\ndata: {"choices": []}\n\n'
        async with hostile(said(SSE + event)) as (dispatch, _, _):
            with pytest.raises(UpstreamError, match="bad: its answer was cut"):
                await ask(dispatch, call(stream=True))
        async with hostile(said(SSE + event + b"data: [DONE]\n\n")) as (dispatch, _, _):
            assert (await ask(dispatch, call(stream=True)))[2] == "bad"

    asyncio.run(asyncio.wait_for(test(), 30))


def test_what_is_packed_stays_packed_and_what_is_the_hosts_own_stays_there() -> None:
    async def test() -> None:
        body = gzip.compress(b'{"ok": true}' * 50)
        head = b"content-encoding: gzip\r\nset-cookie: a=b\r\nstrict-transport-security: max-age=9\r\n"
        head += b"x-hop: 1\r\nconnection: close, X-Hop\r\ncontent-length: %d\r\n\r\n" % len(body)
        async with hostile(said(OK + head + body)) as (dispatch, _, _):
            for _ in range(2):
                answer = await dispatch.send(call(), ["small"], deadline=time.monotonic() + 10)
                assert b"".join([piece async for piece in answer.chunks]) == body
                names = [name for name, _ in answer.headers]
                assert names == [b"content-type", b"content-encoding", b"content-length"]
                answer.close()

    asyncio.run(asyncio.wait_for(test(), 30))


@pytest.mark.parametrize("value", [b"1e400", b"nan", b"-5", b"inf", b"\xff\xfe", b"soon", b"", b"9" * 5000])
def test_a_retry_after_that_is_none(value: bytes) -> None:
    seconds = retry_after([(b"retry-after", value), (b"retry-after-ms", value)])
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.binary(max_size=80))
def test_a_retry_after_of_any_bytes(value: bytes) -> None:
    seconds = retry_after([(b"retry-after", value)])
    assert seconds is None or 0 <= seconds < float("inf")


def test_a_retry_after_as_it_should_be() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after([(b"retry-after", b"2.5")]) == 2.5
    assert retry_after([(b"retry-after", b"9"), (b"retry-after-ms", b"250")]) == 0.25
    assert retry_after([(b"retry-after", b"Thu, 01 Jan 2026 00:00:07 GMT")], now) == 7
    assert retry_after([(b"retry-after", b"Thu, 01 Jan 2025 00:00:07 GMT")], now) == 0
    assert retry_after([(b"content-type", b"9")]) is None


def test_no_header_puts_a_provider_away_for_ever() -> None:
    async def test() -> None:
        head = b"HTTP/1.1 429 No\r\nretry-after: 999999999\r\ncontent-length: 0\r\n\r\n"
        async with hostile(said(head)) as (dispatch, _, _):
            assert (await ask(dispatch, call()))[2] == "good"
            assert dispatch.upstreams["bad"].health.circuit.wait() <= MOST_REST_SECONDS

    asyncio.run(asyncio.wait_for(test(), 30))
