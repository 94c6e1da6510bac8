"""Tokens and stores of conversations in others' hands: what was altered is not there, sizes are bounded."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.policy.session import Session
from router_model.serving.gateway.sessions.store import MOST_BYTES, Store
from router_model.serving.gateway.sessions.token import (
    LONGEST_TOKEN,
    MOST_TIERS,
    Known,
    decode,
    encode,
    sealed,
    unsealed,
)

SECRET = b"s" * 32
WORST = Session(
    15, 10**6, 10**6, 15, 10**6, (1e6 - 0.1,) * MOST_TIERS, (10**9,) * MOST_TIERS, (1e11 - 0.1,) * MOST_TIERS
)
counts = st.integers(0, 10**6 - 1)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    tiers = draw(st.integers(1, MOST_TIERS))

    def row(values: st.SearchStrategy[Any]) -> tuple[Any, ...]:
        return tuple(draw(st.lists(values, min_size=tiers, max_size=tiers)))

    place = st.integers(0, tiers - 1)
    tier, turns, failures, floor, held = (draw(value) for value in (place, counts, counts, place, counts))
    times, tokens = row(st.floats(0, 1e11)), row(st.integers(0, 10**9))
    return Session(tier, turns + 1, failures, floor, held, row(st.floats(0, 1e6)), tokens, times)


@given(sessions(), st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=64))
def test_a_token_comes_back_as_it_was_and_only_to_its_tenant(session: Session, name: str) -> None:
    known = Known.of(name, "req_1", 100.0, session)
    token = sealed(known, "acme", SECRET)
    back = unsealed(token, "acme", SECRET)
    assert back == known
    assert back.session() == session
    assert back.fits(len(session.cached), 200.0, 3600.0)
    assert unsealed(token, "other", SECRET) is None
    assert unsealed(token, "acme", b"t" * 32) is None


def test_the_longest_token_and_value_are_within_their_bounds() -> None:
    known = Known.of("n" * 64, "r" * 64, 1e11 - 0.1, WORST)
    assert unsealed(sealed(known, "acme", SECRET), "acme", SECRET) == known
    assert len(sealed(known, "acme", SECRET)) <= LONGEST_TOKEN
    assert len(encode(known)) <= MOST_BYTES


def test_every_altered_character_is_seen() -> None:
    token = sealed(Known.of("chat-7", "req_1", 100.0, WORST), "acme", SECRET)
    alphabet = "ABab01-_.=/+ é"
    for place in range(len(token)):
        for letter in alphabet:
            if letter != token[place]:
                altered = token[:place] + letter + token[place + 1 :]
                assert unsealed(altered, "acme", SECRET) is None, (place, letter)
    for altered in (
        token[:-1],
        token + "A",
        token + "=",
        token[1:],
        token * 2,
        f" {token}",
        "",
        "s1.",
        "s1..",
        "s1.A.A",
    ):
        assert unsealed(altered, "acme", SECRET) is None


@given(st.text(max_size=200))
def test_no_text_does_worse_than_be_ignored(text: str) -> None:
    assert unsealed(text, "acme", SECRET) is None
    assert unsealed(f"s1.{text}", "acme", SECRET) is None


@given(st.binary(max_size=200))
def test_no_bytes_of_a_store_do_worse_than_be_ignored(raw: bytes) -> None:
    found = decode(raw)
    assert found is None or isinstance(found, Known)


GOOD = ["n", "r", 1.0, 0, 1, 0, 0, 0, [0.5], [10], [5.0]]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, ""), (0, "n" * 65), (1, "r" * 65), (2, -1.0), (2, float("nan")), (2, float("inf")),
        (3, 16), (3, -2), (4, -1), (4, 10**7), (5, "1"), (6, 16), (7, -1),
        (8, []), (8, [float("nan")]), (8, [0.5] * 17), (9, [-1]), (9, [1.5]), (9, [2**40]),
        (10, [float("inf")]), (10, None),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_not_taken(place: int, value: Any) -> None:
    assert decode(msgspec.msgpack.encode(GOOD)) is not None
    bad = [*GOOD[:place], value, *GOOD[place + 1 :]]
    assert decode(msgspec.msgpack.encode(bad)) is None


@pytest.mark.parametrize(
    ("more", "now"),
    [
        ({}, 5000.0),
        ({}, -100.0),
        ({"tier": 2}, 1.0),
        ({"floor": 1}, 1.0),
        ({"cached": (1, 1)}, 1.0),
        ({"turns": 0}, 1.0),
    ],
)
def test_what_is_old_or_of_another_ladder_is_not_taken(more: Any, now: float) -> None:
    known = decode(msgspec.msgpack.encode(GOOD))
    assert known is not None
    assert known.fits(1, 1.0, 3600.0)
    assert not msgspec.structs.replace(known, **more).fits(1, now, 3600.0)


class Hand:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_store_holds_only_so_many_for_only_so_long() -> None:
    async def main() -> None:
        clock = Hand()
        store = Store(3, 60.0, clock=clock)
        for number in range(100):
            store.put(b"%d" % number, b"v%d" % number)
        assert len(store) == 3
        assert [await store.get(b"%d" % n) for n in (96, 97, 99)] == [None, b"v97", b"v99"]
        clock.now = 61.0
        assert await store.get(b"99") is None

    asyncio.run(main())


class Hostile:
    """A Redis that answers what it likes."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, 0

    async def getrange(self, key: bytes, start: int, end: int) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def set(self, key: bytes, value: bytes, px: int) -> None:
        await self.getrange(key, 0, 0)


@pytest.mark.parametrize(
    "answer", [ValueError("no"), ConnectionError(), b"", b"x" * (MOST_BYTES + 1), None, 7, "text"]
)
def test_a_redis_that_fails_costs_no_request_and_is_left_alone(answer: Any) -> None:
    async def main() -> None:
        redis: Any = Hostile(answer)
        store = Store(10, 60.0, redis, clock=Hand())
        store.put(b"k", b"v")
        await store.close()
        for _ in range(20):
            assert await store.get(b"k") == b"v"
        if isinstance(answer, Exception):
            assert redis.asked == 3

    asyncio.run(main())
