"""The gateway's paced dial: terms, what workers tell each other, restarts, and whole gateways that spend."""

import asyncio
import contextlib
import http.client
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from router_model import Router
from router_model.errors import GatewayConfigError
from router_model.policy.pace import MOST_PRICE
from router_model.policy.term import term_at
from router_model.serving.gateway.check import check
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.dial import Dial
from router_model.serving.gateway.pace import Pacer
from router_model.serving.gateway.pretend import Behaviour, Pretend, start
from router_model.serving.gateway.pricing import Pricing
from router_model.serving.gateway.told import RedisShelf, Shelf, Told

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC).timestamp()  # the day on which summer time begins in Berlin
DAY = Dial(usd=1.0, per="day")
HARD = "Prove that every continuous function on a compact metric space is uniformly continuous."


def pacer(store: Any, dial: Dial = DAY, clock: Callable[[], float] = lambda: NOON, **more: Any) -> Pacer:
    return Pacer(dial, strongest_usd=0.01, price=50.0, store=store, clock=clock, **more)


def alone(path: Path | None = None) -> Shelf:
    return Shelf(path, list)


@pytest.mark.parametrize(
    ("per", "zone", "hours"),
    [
        ("day", "UTC", 24),
        ("day", "Europe/Berlin", 23),
        ("month", "UTC", 31 * 24),
        ("500 requests", "UTC", 24),
    ],
)
def test_terms_are_days_and_months_of_their_zone(per: str, zone: str, hours: int) -> None:
    term = term_at(2.0, per, zone, NOON)
    assert term.end - term.start == hours * 3600
    assert term.start <= NOON < term.end
    assert term.lot == (500 if per == "500 requests" else None)


@pytest.mark.parametrize(
    ("dial", "wrong"),
    [
        ({"usd": 1, "per": "week"}, "dial.per: 'week' is no term; give day, month"),
        ({"usd": 1}, "dial.per"),
        ({"usd": 1, "per": "10 requests"}, "100 requests or more"),
        ({"usd": 1, "per": "day", "zone": "Mars/Olympus"}, "dial.zone: no time zone 'Mars/Olympus' here"),
        ({"usd": 1, "per": "day", "quality": 0.9}, "dial: usd paces a sum of dollars"),
        ({"per": "day"}, "dial.per: says nothing without dial.usd"),
        ({"zone": "Europe/Berlin"}, "dial.zone: says nothing"),
        ({"usd": 0, "per": "day"}, "dial.usd"),
    ],
)
def test_a_dial_that_cannot_be_meant_is_refused(dial: dict[str, Any], wrong: str) -> None:
    with pytest.raises(GatewayConfigError, match=wrong):
        GatewayConfig.from_dict(
            {"tiers": [{"name": "small", "providers": [provider("http://a")]}], "dial": dial}
        )


def test_check_says_what_the_dial_means(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    file = {
        "tiers": [{"name": "small", "providers": [provider("http://localhost:1")]}],
        "dial": {"usd": 200, "per": "month"},
        "latency": {"usd_per_second": 0.0005},
    }
    path.write_text(json.dumps(file))
    said = check(path)
    assert said.dial.startswith("200 US dollars per month (UTC), paced by a price on cost; some ")
    assert said.dial.endswith("; a second of waiting counts as 0.0005 dollars")
    assert said.dial in said.table()
    path.write_text(json.dumps(file | {"dial": {"quality": 1.0}, "latency": {}}))
    assert check(path).dial == "quality=1"


def test_what_was_spent_outlives_a_restart_and_ends_with_its_day(tmp_path: Path) -> None:
    async def work() -> None:
        path, now = tmp_path / "gateway.pace", NOON
        first = pacer(alone(path), clock=lambda: now)
        await first.open()
        for _ in range(10):
            first.spent(0.05)
        await first.close()
        second = pacer(alone(path), clock=lambda: now)
        await second.open()
        assert second.state.spent == pytest.approx(0.5)
        assert second.state.price == pytest.approx(first.state.price)
        for _ in range(10):
            second.spent(0.06)
        assert second.state.price == MOST_PRICE
        for _ in range(50):
            now += 1200
            await second.tick()
            second.spent(0.0)
        assert second.state.spent == 0
        assert 0 <= second.state.price < MOST_PRICE
        await second.close()
        third = pacer(alone(path), clock=lambda: now)
        await third.open()
        assert third.state.plan.traffic.profile.days == 1
        await third.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    "content", [b"[]", b"\xff", b'{"told": [{"worker": ""}]}', b'{"learnt": {"days": -1}}', b"[" * 9999]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gateway.pace"
    path.write_bytes(content)
    with pytest.raises(GatewayConfigError, match="remove it to start at nothing"):
        asyncio.run(pacer(alone(path)).open())


def test_workers_of_one_machine_add_up_and_have_one_price() -> None:
    async def work() -> None:
        workers: list[Pacer] = []

        def others(place: int) -> Callable[[], list[Any]]:
            return lambda: (
                [msgspec.to_builtins(w.told()) for n, w in enumerate(workers) if n != place] + ["no"]
            )

        workers += [pacer(Shelf(None, others(place))) for place in range(2)]
        for worker in workers:
            await worker.open()
        for n in range(50):
            workers[n % 2].spent(0.03 if n % 3 else 0.0)
            for worker in workers:
                await worker.tick()
        assert workers[0].state.spent == pytest.approx(workers[1].state.spent)
        assert workers[0].state.price == pytest.approx(workers[1].state.price)
        for worker in workers:
            await worker.close()

    asyncio.run(work())


def test_another_sum_for_the_same_day_keeps_what_was_spent() -> None:
    async def work() -> None:
        one = pacer(alone())
        await one.open()
        one.spent(0.9)
        one.retune(Dial(usd=0.5, per="day"))
        assert (one.state.spent, one.state.price) == (0.9, MOST_PRICE)
        one.retune(Dial(usd=5.0, per="month"))
        assert one.state.plan.term.usd == 5.0
        await one.close()

    asyncio.run(work())


def test_two_workers_share_a_budget_in_redis_that_goes_away_and_comes_back_empty(server: Any) -> None:
    async def work() -> None:
        clients = [Redis(port=server.port, socket_timeout=1.0) for _ in range(3)]
        one, two = (pacer(RedisShelf(client), workers=2) for client in clients[:2])
        for worker in (one, two):
            await worker.open()
        one.spent(0.1)
        two.spent(0.2)
        for worker in (one, two, one):
            await worker.tick()
        assert one.state.spent == pytest.approx(two.state.spent) == pytest.approx(0.3)
        server.kill()
        for worker in (one, two):
            await worker.tick()
            assert worker.state.plan.siblings == 1
            worker.spent(0.05)
            assert worker.state.spent == pytest.approx(0.4)  # the other does alike, as far as it knows
        server.start()
        for worker in (one, two, one):
            await worker.tick()
        assert one.state.spent == pytest.approx(two.state.spent) == pytest.approx(0.4)
        assert one.state.plan.siblings == 0
        await two.close()
        late = pacer(RedisShelf(clients[2]), clock=lambda: NOON + 60)
        await late.open()
        assert late.state.spent == pytest.approx(0.4)
        assert late.state.price == pytest.approx(one.state.price)
        await late.close()
        await one.close()
        for client in clients:
            await client.aclose()

    asyncio.run(work())


def test_what_stands_in_redis_and_is_none_is_passed_over(server: Any) -> None:
    async def work() -> None:
        client = Redis(port=server.port)
        key = f"{{router-model:pace}}:{term_at(DAY.usd, DAY.per, DAY.zone, NOON).start:.0f}"
        good = Told("other", 0.0, NOON, term_at(DAY.usd, DAY.per, DAY.zone, NOON).start, 1.0, 0.25, 10.0, 0.5)
        bad = msgspec.to_builtins(good) | {"worker": "evil", "usd": -5.0}
        await client.hset(
            key, mapping={"a": b"\xff", "b": "[" * 5000, "c": json.dumps(bad), "d": msgspec.json.encode(good)}
        )
        await client.set("{router-model:pace}:learnt", b'{"days": 3, "requests": [1.0]}')
        one = pacer(RedisShelf(client))
        await one.open()
        assert one.state.spent == 0.25
        assert one.state.plan.traffic.profile.days == 0
        await one.close()
        await client.aclose()

    asyncio.run(work())


def test_time_has_a_price_where_the_file_gives_it_one() -> None:
    router = Router.default()
    names = router.ladder.names
    point = router.policy.point(quality=0.9)
    costs = router.policy.relative_cost
    slow = Pricing(0.01, costs, 0.05, lambda: (0.1, 0.2, 60.0)).rule(point, 0.0, None)
    assert slow is not None
    assert names[slow((0.2, 0.5, 0.99), (1e-5, 1e-4, 1e-3))] != "large"
    even = Pricing(0.01, costs, 0.05, lambda: (1.0, 1.0, 1.0)).rule(point, 0.0, None)
    assert even is not None
    assert names[even((0.2, 0.3, 0.99), (1e-5, 1e-4, 1e-3))] == "large"
    assert "a second 0.05 dollars" in str(even)
    assert Pricing(0.01, costs, 0.0, lambda: ()).rule(point, 0.0, None) is None


def test_a_budget_of_a_key_makes_the_paced_price_dearer() -> None:
    price = Pricing(0.01, (0.1, 0.2, 1.0), 0.0, lambda: (), pacer(alone()))
    point = Router.default().policy.default
    rules = [price.rule(point, lowered / 10, None) for lowered in range(11)]
    prices = [rule.price for rule in rules]  # type: ignore[union-attr]
    assert prices == sorted(prices)
    assert prices[-1] > 1e6


def provider(base_url: str, usd: float = 1.0) -> dict[str, Any]:
    name = base_url.rsplit(":", 1)[-1].replace("/", "-")
    prices = {"input_usd_per_million": usd, "output_usd_per_million": 4 * usd}
    return {"name": f"p{name}", "base_url": base_url, "model": "m", **prices}


def sent(served: Any, path: str, body: Any = None) -> tuple[dict[str, str], bytes]:
    with contextlib.closing(http.client.HTTPConnection(served.host, served.port, timeout=20)) as line:
        line.request("POST" if body else "GET", path, json.dumps(body) if body else None)
        answer = line.getresponse()
        assert answer.status == 200
        return {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def ask(served: Any, model: str = "auto") -> dict[str, str]:
    return sent(
        served, "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": HARD}]}
    )[0]


def gauge(served: Any, name: str) -> float:
    text = sent(served, "/metrics")[1].decode()
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[1])


def test_a_gateway_spends_its_day_and_then_asks_the_cheapest_unless_a_dial_is_named(
    serve: Callable[..., Any],
) -> None:
    models = [Pretend(Behaviour(chunks=20)) for _ in range(3)]
    start(*models)
    prices = {"small": 0.0, "medium": 10.0, "large": 1000.0}
    tiers = [
        {"name": name, "providers": [provider(model.base_url, usd)]}
        for (name, usd), model in zip(prices.items(), models, strict=True)
    ]
    served = serve({"tiers": tiers, "listen": {"port": 0}, "dial": {"usd": 0.05, "per": "day"}})
    first = ask(served, "tier:large")
    cost = float(first["x-router-cost-usd"])
    for _ in range(int(0.05 / cost) + 1):
        ask(served, "tier:large")
    assert gauge(served, "router_pace_spent_usd") >= 0.05
    assert gauge(served, "router_pace_budget_usd") == 0.05
    assert gauge(served, "router_pace_price") == MOST_PRICE
    assert ask(served)["x-router-tier"] == "small"
    assert ask(served, "auto:quality=1")["x-router-tier"] != "small"
