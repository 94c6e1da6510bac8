"""Budgets in one worker's memory: what they allow, how they lower, when they renew."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.errors import GatewayConfigError, RequestError
from router_model.serving.gateway.budgets import Budgets, Room
from router_model.serving.gateway.config.budget import Budget
from router_model.serving.gateway.keys import Caller

ADA = Caller("ada", "acme", frozenset())
EVE = Caller("eve", "acme", frozenset())
NOON = datetime(2026, 2, 28, 12, tzinfo=UTC).timestamp()
Found = TypeVar("Found")


def acme(usd: float = 1.0, **more: object) -> Budget:
    return Budget(usd=usd, tenant="acme", **more)  # type: ignore[arg-type]


def run(work: Callable[[], Awaitable[Found]]) -> Found:
    async def main() -> Found:
        return await work()

    return asyncio.run(main())


async def spend(budgets: Budgets, caller: Caller, usd: float) -> Room:
    room = await budgets.room(caller, usd)
    await room.settle(usd)
    return room


def test_a_spent_budget_refuses_with_when_it_renews() -> None:
    async def work() -> RequestError:
        budgets = Budgets([acme()], clock=lambda: NOON)
        await spend(budgets, ADA, 1.0)
        with pytest.raises(
            RequestError, match=r"tenant 'acme', 1 US dollars a day.*2026-03-01T00:00:00Z"
        ) as no:
            await budgets.room(EVE, 0.01)
        return no.value

    refused = run(work)
    assert (refused.status, refused.kind) == (429, "insufficient_quota")
    assert refused.retry_after == pytest.approx(12 * 3600)


@pytest.mark.parametrize(("period", "later"), [("day", 12 * 3600), ("month", 12 * 3600)])
def test_the_next_period_starts_at_zero(period: str, later: float) -> None:
    async def work() -> float:
        now = [NOON]
        budgets = Budgets([acme(period=period)], clock=lambda: now[0])
        await spend(budgets, ADA, 1.0)
        now[0] += later - 1
        with pytest.raises(RequestError):
            await budgets.room(ADA, 0.1)
        now[0] += 1
        return (await spend(budgets, ADA, 0.1)).lowered

    assert run(work) == 0.0


def test_a_month_is_not_over_at_midnight_of_another_day() -> None:
    async def work() -> None:
        now = [NOON - 20 * 86_400]
        budgets = Budgets([acme(period="month")], clock=lambda: now[0])
        await spend(budgets, ADA, 1.0)
        now[0] += 10 * 86_400
        with pytest.raises(RequestError, match="a month"):
            await budgets.room(ADA, 0.1)

    run(work)


def test_what_was_begun_yesterday_is_yesterdays() -> None:
    async def work() -> dict[str, float]:
        now = [NOON]
        budgets = Budgets([acme()], clock=lambda: now[0])
        room = await budgets.room(ADA, 0.9)
        now[0] += 86_400
        await spend(budgets, ADA, 0.25)
        await room.settle(0.9)
        return budgets.shares()

    assert run(work) == {"tenant:acme:day": 0.25}


def test_the_dial_is_lowered_as_the_rest_runs_out() -> None:
    async def work() -> list[float]:
        budgets = Budgets([acme(lower_from=0.5)])
        return [(await spend(budgets, ADA, 0.25)).lowered for _ in range(4)]

    assert run(work) == pytest.approx([0.0, 0.0, 0.0, 0.5])


def test_each_budget_of_a_caller_counts_and_the_tightest_decides() -> None:
    async def work() -> None:
        budgets = Budgets([acme(10.0), Budget(usd=1.0, key="ada", period="month")])
        await spend(budgets, ADA, 1.0)
        with pytest.raises(RequestError, match="key 'ada'"):
            await budgets.room(ADA, 0.1)
        await spend(budgets, EVE, 0.1)
        assert budgets.shares() == pytest.approx({"tenant:acme:day": 0.11, "key:ada:month": 1.0})

    run(work)


def test_who_has_no_budget_is_never_refused() -> None:
    async def work() -> float:
        budgets = Budgets([acme()])
        return (await spend(budgets, Caller("x", "other", frozenset()), 1e6)).lowered

    assert run(work) == 0.0


def test_what_was_reserved_comes_back_where_the_request_failed_or_was_settled_twice() -> None:
    async def work() -> dict[str, float]:
        budgets = Budgets([acme()])
        with pytest.raises(ValueError, match="broken"):
            async with await budgets.room(ADA, 1.0):
                raise ValueError("broken")
        async with await budgets.room(ADA, 1.0) as room:
            await room.settle(0.25)
            await room.settle(0.25)
        await (await budgets.room(ADA, 0.75)).settle(0.0)
        return budgets.shares()

    assert run(work) == {"tenant:acme:day": 0.25}


def test_beside_requests_in_flight_there_is_room_for_what_fits() -> None:
    async def work() -> None:
        budgets = Budgets([acme()])
        first = await budgets.room(ADA, 0.6)
        with pytest.raises(RequestError, match="beside those in flight") as refused:
            await budgets.room(ADA, 0.6)
        assert refused.value.retry_after == 1.0
        await (await budgets.room(ADA, 0.4)).settle(0.4)
        await first.settle(0.1)
        await budgets.room(ADA, 0.5)

    run(work)


def test_the_rest_can_be_spent_by_one_request_that_may_cost_more() -> None:
    async def work() -> dict[str, float]:
        budgets = Budgets([acme()])
        await spend(budgets, ADA, 0.9)
        await spend(budgets, ADA, 5.0)
        return budgets.shares()

    assert run(work) == {"tenant:acme:day": 5.9}


def test_a_reload_keeps_what_was_spent_and_who_is_in_flight_and_takes_the_new_bound() -> None:
    async def work() -> dict[str, float]:
        old = Budgets([acme()])
        await spend(old, ADA, 0.5)
        room = await old.room(ADA, 0.5)
        new = Budgets([acme(2.0), Budget(usd=1.0, key="eve")], since=old)
        await spend(new, EVE, 1.0)
        await room.settle(0.5)
        return new.shares()

    assert run(work) == {"tenant:acme:day": 1.0, "key:eve:day": 1.0}


def test_a_restart_keeps_what_was_spent_in_this_period(tmp_path: Path) -> None:
    path = tmp_path / "spent.json"

    async def work(now: float) -> dict[str, float]:
        budgets = Budgets([acme(), Budget(usd=2.0, key="ada")], clock=lambda: now, path=path)
        await budgets.open()
        await spend(budgets, ADA, 0.25)
        await budgets.close()
        return budgets.shares()

    assert run(lambda: work(NOON)) == {"tenant:acme:day": 0.25, "key:ada:day": 0.125}
    assert run(lambda: work(NOON)) == {"tenant:acme:day": 0.5, "key:ada:day": 0.25}
    assert run(lambda: work(NOON + 86_400)) == {"tenant:acme:day": 0.25, "key:ada:day": 0.125}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"\xff", b"[" * 100_000, b'[{"budget": "a", "start": 0, "usd": NaN}]'),
        *(b'[{"budget": "a", "start": 0, "usd": -1}]', b'[{"budget": "a", "start": 0, "usd": 1}'),
    ],
)
def test_a_damaged_file_of_what_was_spent_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spent.json"
    path.write_bytes(content)
    with pytest.raises(GatewayConfigError, match=r"spent\.json.*remove"):
        run(Budgets([acme()], path=path).open)


def test_two_budgets_for_one_period_are_refused() -> None:
    with pytest.raises(GatewayConfigError, match="'tenant:acme:day' stands twice"):
        Budgets([acme(1.0), acme(2.0)])


@given(
    usd=st.floats(0.01, 10),
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(0, 5), st.floats(1e-6, 5), st.floats(0, 1)), max_size=60
    ),
)
def test_spend_never_passes_the_bound_by_more_than_one_request(
    usd: float, steps: list[tuple[bool, int, float, float]]
) -> None:
    """Requests come and go in any order; each costs a share of the most that it had reserved."""

    async def work() -> None:
        budgets = Budgets([acme(usd), Budget(usd=usd * 2, key="ada")])
        flying: list[tuple[Room, float, float]] = []
        costs = [0.0]

        async def land(place: int) -> None:
            room, worst, share = flying.pop(place)
            await room.settle(worst * share)
            costs.append(worst * share)

        for come, place, worst, share in steps:
            if come:
                try:
                    flying.append((await budgets.room(ADA, worst), worst, share))
                except RequestError:
                    assert flying or sum(costs) >= usd * (1 - 1e-9), (
                        "refused, with nothing spent or in flight"
                    )
            elif flying:
                await land(place % len(flying))
        while flying:
            await land(0)
        assert sum(costs) <= usd * (1 + 1e-9) + max(costs)

    run(work)
