"""Room for requests: what is reserved is there, who waits is bounded, and nobody is forgotten."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import GatewayConfigError, RequestError
from router_model.serving.gateway.capacity import Capacity
from router_model.serving.gateway.config.capacity import Capacity as CapacityConfig


def capacity(**settings: object) -> Capacity:
    return Capacity(CapacityConfig(**settings), ("small", "large"))  # type: ignore[arg-type]


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Guest:
    """A request that stays until it is told to leave."""

    def __init__(self, room: Capacity, tier: str) -> None:
        self.tier = tier
        self.leaves = asyncio.Event()
        self.inside = False
        self.task = asyncio.create_task(self._stay(room))

    async def _stay(self, room: Capacity) -> None:
        async with room.room(self.tier):
            self.inside = True
            await self.leaves.wait()


def test_a_flood_of_one_tier_does_not_take_the_room_of_another() -> None:
    async def run() -> None:
        room = capacity(concurrency=8, reserved={"large": 2}, queue=4)
        async with AsyncExitStack() as held:
            for _ in range(6):
                await held.enter_async_context(room.room("small"))
            flood = [Guest(room, "small") for _ in range(4)]
            await turn()
            assert not any(g.inside for g in flood)
            for _ in range(2):
                await asyncio.wait_for(held.enter_async_context(room.room("large")), 1)
            assert room.running == {"small": 6, "large": 2}
            for g in flood:
                g.task.cancel()
            await asyncio.gather(*(g.task for g in flood), return_exceptions=True)
        assert room.running == {"small": 0, "large": 0}
        assert room.waiting == {"small": 0, "large": 0}

    asyncio.run(run())


def test_a_full_queue_refuses_with_the_time_to_come_back() -> None:
    async def run() -> None:
        room = capacity(concurrency=1, queue=0)
        async with room.room("small"):
            with pytest.raises(RequestError) as refused:
                async with room.room("small"):
                    pass
        assert refused.value.status == 429
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 1
        async with room.room("small"):
            pass

    asyncio.run(run())


def test_one_who_waited_too_long_is_refused_and_holds_nothing() -> None:
    async def run() -> None:
        room = capacity(concurrency=1, queue_seconds=0.02)
        async with room.room("small"):
            with pytest.raises(RequestError, match="busy"):
                async with room.room("large"):
                    pass
            assert room.waiting == {"small": 0, "large": 0}
        async with room.room("large"):
            assert room.running == {"small": 0, "large": 1}

    asyncio.run(run())


def test_in_a_full_queue_the_longest_makes_way() -> None:
    async def run() -> None:
        room = capacity(concurrency=1, queue=4)
        async with room.room("small"):
            flood = [Guest(room, "small") for _ in range(4)]
            await turn()
            large = Guest(room, "large")
            await turn()
            assert [g.task.done() for g in flood] == [False, False, False, True], "the newest of them"
            with pytest.raises(RequestError):
                flood[3].task.result()
        await turn()
        waiting = flood[:3]
        assert sum(g.inside for g in [*waiting, large]) == 1
        for _ in range(4):
            for g in [*waiting, large]:
                if g.inside:
                    g.leaves.set()
            await turn()
        assert large.task.done()
        assert all(g.task.done() for g in waiting)

    asyncio.run(run())


def test_more_reserved_than_there_is_is_refused() -> None:
    with pytest.raises(GatewayConfigError, match="reserve"):
        capacity(concurrency=4, reserved={"large": 5})
    with pytest.raises(GatewayConfigError, match="reserve"):
        capacity(concurrency=4, reserved={"large": 4})


STEPS = st.lists(
    st.tuples(st.sampled_from(["small", "large", "leave", "cancel"]), st.integers(0, 30)), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(2, 5), st.integers(0, 2), st.integers(0, 2), st.integers(0, 4))
def test_whatever_comes_and_goes(
    steps: list[tuple[str, int]], concurrency: int, small: int, large: int, queue: int
) -> None:
    if small + large >= concurrency:
        return
    reserved = {t: n for t, n in (("small", small), ("large", large)) if n}

    async def run() -> None:
        room = capacity(concurrency=concurrency, reserved=reserved, queue=queue)
        guests: list[Guest] = []
        for what, which in steps:
            if what in ("small", "large"):
                guests.append(Guest(room, what))
            elif guests and what == "leave":
                guests[which % len(guests)].leaves.set()
            elif guests:
                guests[which % len(guests)].task.cancel()
            if which % 2:  # or else two things happen in the same turn of the loop
                await turn()
                guests = check(room, guests, concurrency, queue, reserved)
        for g in guests:
            g.leaves.set()
        await asyncio.gather(*(g.task for g in guests), return_exceptions=True)
        assert room.running == {"small": 0, "large": 0}
        assert room.waiting == {"small": 0, "large": 0}

    asyncio.run(run())


def check(
    room: Capacity, guests: list[Guest], concurrency: int, queue: int, reserved: dict[str, int]
) -> list[Guest]:
    here = [g for g in guests if not g.task.done()]
    for g in guests:
        if g not in here and not g.task.cancelled():
            assert isinstance(g.task.exception(), RequestError | None)
    inside = {t: sum(g.inside for g in here if g.tier == t) for t in room.running}
    waiting = {t: sum(not g.inside for g in here if g.tier == t) for t in room.running}
    assert room.running == inside
    assert room.waiting == waiting
    assert sum(inside.values()) <= concurrency
    assert sum(waiting.values()) <= queue
    shared = concurrency - sum(reserved.values())
    used = sum(max(0, n - reserved.get(t, 0)) for t, n in inside.items())
    assert used <= shared
    for tier, n in waiting.items():
        if n:
            assert used == shared, "nobody waits beside free room"
            assert inside[tier] >= reserved.get(tier, 0), "nor beside room that is theirs"
    return here
