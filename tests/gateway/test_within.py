"""A bound on a block's time: it ends the block and nothing else, whoever else cancels meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from router_model.serving.gateway.within import Within

SOON, LATE = 0.01, 60.0


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, LATE))


def test_what_takes_too_long_is_ended_and_the_task_goes_on() -> None:
    async def work() -> int:
        with pytest.raises(TimeoutError), Within(SOON):
            await asyncio.sleep(LATE)
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert run(work()) == 0


def test_what_ends_in_time_hears_nothing_later() -> None:
    async def work() -> str:
        with Within(SOON):
            told = "done"
        await asyncio.sleep(3 * SOON)
        return told

    assert run(work()) == "done"


def test_an_error_of_the_block_is_its_own() -> None:
    async def work() -> None:
        with Within(SOON):
            raise KeyError("mine")

    with pytest.raises(KeyError):
        run(work())


@pytest.mark.parametrize(("inner", "outer", "told"), [(SOON, LATE, "inner"), (LATE, SOON, "outer")])
def test_of_two_bounds_the_one_that_passed_is_told(inner: float, outer: float, told: str) -> None:
    async def work() -> str:
        try:
            with Within(outer):
                try:
                    with Within(inner):
                        await asyncio.sleep(LATE)
                except TimeoutError:
                    return "inner"
        except TimeoutError:
            return "outer"
        return "neither"

    assert run(work()) == told


@pytest.mark.parametrize("expired", [False, True])
def test_who_cancels_the_task_is_heard(expired: bool) -> None:
    """Also where the time is over in the same turn of the loop."""

    async def work() -> bool:
        within = Within(LATE)

        async def bounded() -> None:
            with within:
                await asyncio.sleep(LATE)

        task = asyncio.create_task(bounded())
        await asyncio.sleep(0)
        if expired:
            within._expire()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    assert run(work())
