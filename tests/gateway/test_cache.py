"""The exact cache: what is kept, for whom, and one call for all who ask the same at once."""

import asyncio
import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.serving.gateway.cache.cache import Cache
from router_model.serving.gateway.cache.flight import Flight
from router_model.serving.gateway.cache.kept import Kept
from router_model.serving.gateway.cache.key import key_of
from router_model.serving.gateway.call import Asked, Call
from router_model.serving.gateway.config.cache import Caches, ExactCache

JSON = [(b"content-type", b"application/json")]
EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8")]
ANSWER = b'{"choices":[{"message":{"content":"4"}}]}'


def call(
    body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None, **more: Any
) -> Call:
    shown: dict[str, Any] = {
        "model": "auto",
        "messages": [{"role": "user", "content": "2+2?"}],
        **(body or {}),
    }
    return Call(
        endpoint=more.pop("endpoint", "chat"),
        raw=json.dumps(shown).encode(),
        body=shown,
        asked=Asked(shown["model"]),
        stream=bool(shown.get("stream")),
        needs=frozenset(),
        input_tokens=1,
        output_tokens=0,
        headers=headers or {},
    )


def caches(**more: Any) -> Caches:
    return Caches(exact=ExactCache(**more))


def answered(flight: Any, *chunks: bytes, status: int = 200, headers: Any = JSON) -> None:
    assert isinstance(flight, Flight)
    for chunk in chunks or (ANSWER,):
        flight.feed(chunk)
    flight.done(status, headers, tier="small", provider="p")


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_given_again_with_its_head_and_its_pieces() -> None:
    async def run() -> None:
        cache = Cache(caches())
        asked = call({"stream": True})
        pieces = (b'data: {"a":1}\n\n', b"data: ", b"[DONE]\n\n")
        answered(await cache.look(asked, "t"), *pieces, headers=[*EVENTS, (b"set-cookie", b"a=b")])
        kept = await cache.look(asked, "t")
        assert kept == Kept(200, tuple(EVENTS), pieces, "small", "p", "exact")
        assert kept.stream

    asyncio.run(run())


def test_no_answer_passes_from_a_tenant_to_another() -> None:
    async def run() -> None:
        cache = Cache(caches())
        answered(await cache.look(call(), "one"))
        assert isinstance(await cache.look(call(), "two"), Flight)

    asyncio.run(run())


@pytest.mark.parametrize(
    "other",
    [
        call({"temperature": 0.0}),
        call({"temperature": 0}),
        call({"stop": None}),
        call({"model": "auto:quality=0.9"}),
        call({"messages": [{"role": "user", "content": "2+3?"}]}),
        call({"stream": True}),
        call(endpoint="responses"),
        call(headers={"accept-encoding": "gzip"}),
        call(headers={"anthropic-version": "2023-06-01"}),
    ],
)
def test_all_that_may_change_an_answer_changes_the_key(other: Call) -> None:
    assert key_of(other, "t") != key_of(call(), "t")
    assert key_of(call({"temperature": 0}), "t") != key_of(call({"temperature": 0.0}), "t")


def test_what_tells_only_who_asks_does_not_change_the_key() -> None:
    assert key_of(call(headers={"user-agent": "a", "idempotency-key": "1"}), "t") == key_of(call(), "t")


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any, order: Callable[[list[Any]], list[Any]]) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key], order) for key in order(list(value))}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(JSONS, JSONS)
def test_equal_keys_mean_equal_bodies_whatever_the_order_of_their_keys(one: Any, other: Any) -> None:
    first, second = (msgspec.json.decode(msgspec.json.encode({"x": value})) for value in (one, other))
    assert key_of(call(first), "t") == key_of(call(shuffled(first, lambda keys: keys[::-1])), "t")
    if json.dumps(first, sort_keys=True) != json.dumps(second, sort_keys=True):
        assert key_of(call(first), "t") != key_of(call(second), "t")


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (500, JSON, ANSWER),
        (201, JSON, ANSWER),
        (200, JSON, b'{"error":{"message":"busy"}}'),
        (200, JSON, b'{"choices":['),
        (200, EVENTS, b'data: {"a":1}\n\n'),
        (200, EVENTS, b'data: {"error":{}}\n\ndata: [DONE]\n\n'),
        (200, EVENTS, b'event: error\ndata: {"type":"error"}\n\ndata: [DONE]\n\n'),
        (200, [*JSON, (b"content-encoding", b"gzip")], gzip.compress(b'{"error":"busy"}', mtime=0)),
        (200, [*JSON, (b"content-encoding", b"gzip")], gzip.compress(ANSWER, mtime=0)[:-4]),
    ],
)
def test_an_error_or_a_cut_answer_is_not_kept(status: int, headers: Any, body: bytes) -> None:
    async def run() -> None:
        cache = Cache(caches())
        answered(await cache.look(call(), "t"), body, status=status, headers=headers)
        assert isinstance(await cache.look(call(), "t"), Flight)

    asyncio.run(run())


def said(text: str) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (said("A stream ends with `data: [DONE]`, as"), False),
        (said("A stream\ndata: [DONE]\n"), False),
        (said('event: error says why; so does data: {"error"') + b"data: [DONE]\n\n", True),
        (said("4") + b"data:[DONE]\r\n\r\n", True),
        (said("4") + b'data:{"error":{}}\n\ndata: [DONE]\n\n', False),
    ],
)
def test_an_answer_about_streams_is_no_stream_s_end(body: bytes, kept: bool) -> None:
    async def run() -> None:
        cache = Cache(caches())
        answered(await cache.look(call({"stream": True}), "t"), body, headers=EVENTS)
        assert isinstance(await cache.look(call({"stream": True}), "t"), Kept) == kept

    asyncio.run(run())


@pytest.mark.parametrize(("status", "kept"), [("completed", True), ("queued", False), ("failed", False)])
def test_a_response_is_kept_once_it_is_complete(status: str, kept: bool) -> None:
    async def run() -> None:
        cache = Cache(caches())
        asked = call(endpoint="responses")
        answered(await cache.look(asked, "t"), json.dumps({"status": status, "error": None}).encode())
        assert isinstance(await cache.look(asked, "t"), Kept) == kept

    asyncio.run(run())


@pytest.mark.parametrize("coding", [b"gzip", b"br"])
def test_a_compressed_answer_is_kept_as_it_came(coding: bytes) -> None:
    async def run() -> None:
        cache = Cache(caches())
        body = gzip.compress(ANSWER)
        answered(await cache.look(call(), "t"), body, headers=[*JSON, (b"content-encoding", coding)])
        kept = await cache.look(call(), "t")
        assert isinstance(kept, Kept)
        assert kept.chunks == (body,)

    asyncio.run(run())


def test_an_answer_ends_with_its_time_and_the_oldest_make_room() -> None:
    async def run() -> None:
        clock = Hand()
        cache = Cache(caches(ttl_seconds=10, bytes=4_000, entry_bytes=2_000), clock=clock)
        answered(await cache.look(call(), "t"))
        clock.now = 9.9
        assert isinstance(await cache.look(call(), "t"), Kept)
        clock.now = 10.1
        answered(await cache.look(call(), "t"))
        for seed in range(3):
            answered(await cache.look(call({"seed": seed}), "t"), json.dumps("x" * 1_500).encode())
            flight = await cache.look(call({"seed": seed}), "t")
            assert isinstance(flight, Flight)  # a JSON string is no answer
            flight.fail()
            long = json.dumps({"x": "x" * 1_500}).encode()
            answered(await cache.look(call({"seed": seed}), "t"), long)
        assert isinstance(await cache.look(call({"seed": 2}), "t"), Kept)
        assert isinstance(await cache.look(call(), "t"), Flight)

    asyncio.run(run())


def test_a_longer_answer_than_may_be_kept_is_forgotten_at_once() -> None:
    async def run() -> None:
        cache = Cache(caches(entry_bytes=1_000))
        flight = await cache.look(call(), "t")
        assert isinstance(flight, Flight)
        waiting = asyncio.create_task(cache.look(call(), "t"))
        await asyncio.sleep(0)
        for _ in range(11):
            flight.feed(b"x" * 100)
        assert isinstance(await waiting, Flight)  # it need not wait for the end
        flight.done(200, JSON)

    asyncio.run(run())


def test_equal_requests_in_the_air_make_one_call() -> None:
    async def run() -> None:
        cache = Cache(caches())
        leader = await cache.look(call(), "t")
        others = [asyncio.create_task(cache.look(call(), "t")) for _ in range(50)]
        await asyncio.sleep(0)
        assert not any(other.done() for other in others)
        answered(leader)
        found = await asyncio.gather(*others)
        assert all(isinstance(kept, Kept) and kept.chunks == (ANSWER,) for kept in found)

    asyncio.run(run())


def test_a_leader_that_leaves_hands_over_to_the_next() -> None:
    async def run() -> None:
        cache = Cache(caches())
        leader = await cache.look(call(), "t")
        assert isinstance(leader, Flight)
        others = [asyncio.create_task(cache.look(call(), "t")) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(ConnectionResetError), leader:
            raise ConnectionResetError
        done, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        (second,) = done
        answered(second.result())
        assert all(isinstance(kept, Kept) for kept in await asyncio.gather(*waiting))

    asyncio.run(run())


def test_where_two_leaders_failed_all_others_ask_for_themselves() -> None:
    async def run() -> None:
        cache = Cache(caches())
        first = await cache.look(call(), "t")
        others = [asyncio.create_task(cache.look(call(), "t")) for _ in range(5)]
        await asyncio.sleep(0)
        answered(first, status=500)
        (second,), _ = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        answered(second.result(), status=500)
        assert all(isinstance(flight, Flight) for flight in await asyncio.gather(*others))

    asyncio.run(run())


def test_nobody_waits_for_a_leader_that_was_forgotten() -> None:
    async def run() -> None:
        cache = Cache(caches(), patience=0.01)
        assert isinstance(await cache.look(call(), "t"), Flight)
        assert isinstance(await cache.look(call(), "t"), Flight)

    asyncio.run(run())


def test_who_waits_and_leaves_harms_nobody() -> None:
    async def run() -> None:
        cache = Cache(caches())
        leader = await cache.look(call(), "t")
        others = [asyncio.create_task(cache.look(call(), "t")) for _ in range(3)]
        await asyncio.sleep(0)
        others[0].cancel()
        await asyncio.sleep(0)
        answered(leader)
        assert all(isinstance(kept, Kept) for kept in await asyncio.gather(*others[1:]))

    asyncio.run(run())


def test_cache_control_is_obeyed() -> None:
    async def run() -> None:
        cache = Cache(caches())
        assert await cache.look(call(), "t", "max-age=0, No-Store") is None
        answered(await cache.look(call(), "t"), b'{"old":1}')
        answered(await cache.look(call(), "t", "no-cache"), b'{"new":1}')
        kept = await cache.look(call(), "t")
        assert isinstance(kept, Kept)
        assert kept.chunks == (b'{"new":1}',)

    asyncio.run(run())


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": 0.6},
        {},
        {"temperature": "hot"},
        {"temperature": 0, "background": True},
        {"temperature": 0, "conversation": "c"},
    ],
)
def test_what_is_too_random_or_has_state_is_not_kept(body: Mapping[str, Any]) -> None:
    assert asyncio.run(Cache(caches(temperature=0.5)).look(call(body), "t")) is None


def test_embeddings_have_no_temperature() -> None:
    async def run() -> None:
        cache = Cache(caches(temperature=0.0))
        asked = call({"input": "a"}, endpoint="embeddings")
        answered(await cache.look(asked, "t"), b'{"data":[]}')
        assert isinstance(await cache.look(asked, "t"), Kept)

    asyncio.run(run())


def test_without_a_cache_nothing_is_kept() -> None:
    assert asyncio.run(Cache(Caches()).look(call(), "t")) is None
