"""Budgets that workers share through a real Redis, which is killed, restarted and emptied under them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis as redis_package
from redis.asyncio import Redis

from router_model.errors import RequestError
from router_model.serving.gateway.budgets import Budgets
from router_model.serving.gateway.config.budget import Budget
from router_model.serving.gateway.keys import Caller

ADA = Caller("ada", "acme", frozenset())


TIMEOUT = "router_model.serving.gateway.exchange.TIMEOUT_SECONDS"


@pytest.fixture
def running(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Redis that is never taken for gone, however busy the machine is."""
    monkeypatch.setattr(TIMEOUT, 20.0)
    return server


def acme(usd: float) -> list[Budget]:
    return [Budget(usd=usd, tenant="acme")]


def with_workers(server: Any, count: int, usd: float, work: Callable[..., Awaitable[None]]) -> None:
    """Run ``work`` with the budgets of so many workers, each with its own connection."""

    async def main() -> None:
        clients = [Redis(port=server.port, socket_timeout=20.0) for _ in range(count)]
        workers = [Budgets(acme(usd), client, workers=count) for client in clients]
        for worker in workers:
            await worker.open()
        try:
            await work(*workers)
        finally:
            for worker, client in zip(workers, clients, strict=True):
                await worker.close()
                await client.aclose()

    asyncio.run(main())


async def spend(budgets: Budgets, usd: float) -> None:
    await (await budgets.room(ADA, usd)).settle(usd)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


def share(budgets: Budgets) -> float:
    return budgets.shares()["tenant:acme:day"]


def test_what_one_worker_spends_and_reserves_the_other_sees(running: Any) -> None:
    async def work(one: Budgets, two: Budgets) -> None:
        await spend(one, 0.5)
        room = await one.room(ADA, 0.4)
        with pytest.raises(RequestError, match="beside those in flight"):
            await two.room(ADA, 0.2)
        await room.settle(0.1)
        await until(lambda: share(two) == pytest.approx(0.6))
        await spend(two, 0.4)
        await until(lambda: share(one) == pytest.approx(1.0))
        with pytest.raises(RequestError, match="is spent"):
            await one.room(ADA, 0.01)

    with_workers(running, 2, 1.0, work)


@pytest.mark.parametrize("seed", range(3))
def test_spend_never_passes_the_bound_by_more_than_one_request(running: Any, seed: int) -> None:
    """Three workers with many requests in flight at once, in a random order, each of at most 0.05."""

    async def work(*workers: Budgets) -> None:
        chance, spent, refused = random.Random(seed), [0.0], 0

        async def request(budgets: Budgets, worst: float, usd: float, seconds: float) -> None:
            nonlocal refused
            try:
                async with await budgets.room(ADA, worst) as room:
                    await asyncio.sleep(seconds)
                    await room.settle(usd)
                    spent.append(usd)
            except RequestError:
                refused += 1

        waiting = []
        for _ in range(300):
            worst = chance.uniform(0.001, 0.05)
            usd = worst * chance.choice([0.2, 1.0])
            waiting.append(
                asyncio.ensure_future(request(chance.choice(workers), worst, usd, chance.uniform(0, 0.02)))
            )
            await asyncio.sleep(chance.uniform(0, 0.002))
        await asyncio.gather(*waiting)
        assert refused
        assert sum(spent) <= 1.0 + max(spent) + 1e-9
        for worker in workers:
            await until(lambda worker=worker: share(worker) == pytest.approx(sum(spent)))  # type: ignore[misc]
        async with asyncio.timeout(20):
            while sum(spent) < 1.0:
                await request(workers[0], 0.05, 0.05, 0)
                await asyncio.sleep(0)  # a refusal waits for nothing
        with pytest.raises(RequestError, match="is spent"):
            await workers[1].room(ADA, 0.01)

    with_workers(running, 3, 1.0, work)


def test_while_redis_is_down_each_worker_spends_its_share_and_tells_afterwards(server: Any) -> None:
    async def work(one: Budgets, two: Budgets) -> None:
        await spend(one, 0.2)
        await until(lambda: share(two) == pytest.approx(0.2))
        server.kill()
        for budgets in (one, two):
            for _ in range(4):
                await spend(budgets, 0.1)
            with pytest.raises(RequestError):
                await budgets.room(ADA, 0.1)
        server.start()  # empty
        await until(lambda: share(one) == pytest.approx(1.0) and share(two) == pytest.approx(1.0))

    with_workers(server, 2, 1.0, work)


def test_a_restart_loses_no_request_and_no_dollar_that_a_worker_has_seen(server: Any) -> None:
    async def work(one: Budgets, two: Budgets) -> None:
        spent = 0
        held = await one.room(ADA, 10.0)
        for number in range(60):
            if number == 20:
                server.kill()
            if number == 40:
                server.start()
            await spend(one if number % 2 else two, 1.0)
            spent += 1
            await asyncio.sleep(0.01)
        await held.settle(2.0)
        await until(lambda: share(one) == share(two) == pytest.approx((spent + 2) / 1000))
        assert spent == 60

    with_workers(server, 2, 1000.0, work)


def test_redis_that_hangs_holds_up_one_request_and_not_the_next(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TIMEOUT, 1.0)
    shares: list[float] = []

    async def work(one: Budgets) -> None:
        server.process.send_signal(19)  # SIGSTOP: connections stand, nothing answers
        try:
            async with asyncio.timeout(20):  # each held up, they would take 100 s
                for _ in range(100):
                    await spend(one, 0.001)
        finally:
            server.process.send_signal(18)
        await until(lambda: share(one) == pytest.approx(0.1))
        shares.append(share(one))

    with_workers(server, 1, 1.0, work)
    assert shares == [pytest.approx(0.1)]


def test_what_a_dead_worker_reserved_is_free_again(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_model.serving.gateway.exchange.ALIVE_SECONDS", 1)

    async def work(one: Budgets) -> None:
        client = Redis(port=running.port)
        dead = Budgets(acme(1.0), client)
        await dead.room(ADA, 0.9)  # and is never heard of again, for it was not opened
        await client.aclose()
        with pytest.raises(RequestError):
            await one.room(ADA, 0.5)
        async with asyncio.timeout(20):
            while True:
                await asyncio.sleep(0.2)
                try:
                    await one.room(ADA, 0.5)
                    return
                except RequestError:
                    continue

    with_workers(running, 1, 1.0, work)


@pytest.mark.parametrize("content", ["text", {"spent": "much"}, {"spent": "nan"}, {"reserved:x": "1"}])
def test_what_others_put_in_its_place_breaks_no_request(running: Any, content: str | dict[str, str]) -> None:
    async def work(one: Budgets) -> None:
        await spend(one, 0.1)
        with redis_package.Redis(port=running.port) as client:
            (key,) = client.keys("{router-model:budget}*")  # type: ignore[misc]
            client.delete(key)
            client.set(key, content) if isinstance(content, str) else client.hset(key, mapping=content)  # type: ignore[arg-type]
        for _ in range(3):
            await spend(one, 0.1)
        assert share(one) == pytest.approx(0.4)

    with_workers(running, 1, 1.0, work)


def test_without_redis_from_the_start_each_of_the_workers_has_an_equal_share(server: Any) -> None:
    server.kill()

    async def work(one: Budgets, two: Budgets) -> None:
        for budgets in (one, two):
            for _ in range(2):
                await spend(budgets, 0.25)
            with pytest.raises(RequestError):
                await budgets.room(ADA, 0.25)

    with_workers(server, 2, 1.0, work)


def test_what_a_dead_worker_spent_outlives_the_death_of_redis(server: Any) -> None:
    async def work(one: Budgets) -> None:
        client = Redis(port=server.port)
        dead = Budgets(acme(1.0), client)
        await dead.open()
        await spend(dead, 0.5)
        await dead.close()
        await until(lambda: share(one) == pytest.approx(0.5))
        await asyncio.sleep(1.2)  # the next look hears who spent it
        server.kill()
        await spend(one, 0.125)
        server.start()
        late = Budgets(acme(1.0), client)
        await late.open()
        await until(lambda: share(late) == pytest.approx(0.625))
        assert share(late) == pytest.approx(0.625)
        await late.close()
        await client.aclose()

    with_workers(server, 1, 1.0, work)


def test_a_redis_that_is_emptied_between_two_requests_opens_no_budget(running: Any) -> None:
    async def work(one: Budgets, two: Budgets) -> None:
        await spend(one, 0.75)
        await until(lambda: share(two) == pytest.approx(0.75))
        with redis_package.Redis(port=running.port) as client:
            client.flushall()
        for _ in range(3):
            with pytest.raises(RequestError):
                async with await two.room(ADA, 0.2), await two.room(ADA, 0.2):
                    pass

    with_workers(running, 2, 1.0, work)
