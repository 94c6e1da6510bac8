"""The cap on dollars."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.data.judge.budget import Budget

dollars = st.floats(0.0, 1.0)


@settings(derandomize=True, deadline=None)
@given(st.floats(0.0, 5.0), st.lists(st.tuples(dollars, dollars), max_size=40), st.integers(1, 8))
def test_the_cap_is_never_passed_however_calls_interleave(
    cap: float, calls: list[tuple[float, float]], workers: int
) -> None:
    budget, worst, in_flight = Budget(cap), 0.0, 0.0
    pending, chance = iter(calls), random.Random(len(calls))

    async def work() -> None:
        nonlocal worst, in_flight
        for most, share in pending:
            reserved = await budget.reserve(most)
            if reserved is None:
                continue
            in_flight += reserved
            worst = max(worst, budget.spent_usd + in_flight)
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            in_flight -= reserved
            budget.settle(reserved, reserved * share)

    async def all_work() -> None:
        await asyncio.gather(*(work() for _ in range(workers)))

    asyncio.run(all_work())
    assert worst <= cap + 1e-9  # of this test's own sum
    assert budget.spent_usd <= cap


def test_what_does_not_fit_waits_for_calls_in_flight() -> None:
    async def run() -> list[float | None]:
        budget = Budget(1.0)
        first = await budget.reserve(0.8)
        assert first is not None
        waiting = asyncio.create_task(budget.reserve(0.5))
        await asyncio.sleep(0)
        assert not waiting.done()
        budget.settle(first, 0.1)
        return [await waiting, await budget.reserve(0.4)]

    assert asyncio.run(run()) == [0.5, 0.4]


def test_what_does_not_fit_is_refused_when_nothing_is_in_flight() -> None:
    async def run() -> list[float | None]:
        budget = Budget(1.0, spent_usd=0.9)
        return [await budget.reserve(0.2), await budget.reserve(0.05)]

    assert asyncio.run(run()) == [None, 0.05]


def test_a_call_that_cost_more_than_was_set_aside_raises_what_is_set_aside_next() -> None:
    async def run() -> float | None:
        budget = Budget(10.0)
        reserved = await budget.reserve(1.0)
        assert reserved is not None
        budget.settle(reserved, 2.0)
        return await budget.reserve(1.0)

    assert asyncio.run(run()) == pytest.approx(2.0)


def test_without_a_cap_everything_fits() -> None:
    assert asyncio.run(Budget(None).reserve(1e9)) == 1e9
