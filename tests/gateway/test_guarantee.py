"""A certificate in service: watched, revoked, and told to the other workers, replicas and starts."""

import asyncio
import contextlib
import hashlib
import http.client
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router_model.artifact import Artifact, seal
from router_model.decision import Decision
from router_model.errors import GatewayConfigError
from router_model.policy.certificate import Certificate, Claim
from router_model.router import Router
from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.config.guarantee import GuaranteeConfig
from router_model.serving.gateway.feedback import Outcome
from router_model.serving.gateway.guarantee import Guarantee
from router_model.serving.gateway.keys import Caller
from router_model.serving.gateway.pretend import Pretend
from router_model.serving.gateway.usage import Usage

TIERS = ("small", "medium", "large")
ADA = Caller("ada", "acme", frozenset())
EASY = "Hello, how are you?"


@pytest.fixture(scope="module")
def promised(certificate: Certificate) -> Certificate:
    """One of a point that sends easy prompts to the small tier."""
    point = replace(certificate.point, penalty=9.0, shares=(0.9, 0.1, 0.0))
    return replace(certificate, point=point, claims=(Claim("outcome", 0.75, 0.85, 0.4),))


@pytest.fixture(scope="module")
def certified(promised: Certificate) -> Router:
    shipped = Router.default().artifact
    return Router(Artifact.parse(seal(shipped.graph, replace(shipped.manifest, certificate=promised))))


def entry(number: int, decision: Decision, tier: str | None = None) -> Entry:
    tier = tier or decision.tier
    return Entry(f"r{number}", 1.0, ADA, "chat", tier, "near", "m", 200, Usage(1, 1), 0.1)


def told(number: int, outcome: float, tenant: str = "acme") -> Outcome:
    return Outcome(f"r{number}", outcome, tenant, 1.0, "small")


def asked(served: Any, key: str, target: str, body: dict[str, Any] | None) -> tuple[int, Any, bytes]:
    """Status, headers and body of an answer."""
    with contextlib.closing(http.client.HTTPConnection(served.host, served.port, timeout=30)) as line:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        raw = None if body is None else json.dumps(body)
        line.request("GET" if body is None else "POST", target, raw, headers)
        answer = line.getresponse()
        return answer.status, answer.headers, answer.read()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


def fail_often(guarantee: Guarantee, decision: Decision, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        guarantee.remember(entry(number, decision), decision)
        guarantee.tell(told(number, 0.0))


def test_bad_outcomes_of_certified_decisions_revoke_and_the_strongest_tier_decides(
    certified: Router, caplog: pytest.LogCaptureFixture, promised: Certificate
) -> None:
    guarantee, decision = Guarantee(promised, GuaranteeConfig(), TIERS), certified.route(EASY)
    assert guarantee.rule is None
    assert guarantee.status()["status"] == "stands"
    fail_often(guarantee, decision, 100)
    assert guarantee.rule is not None
    after = certified.route(EASY, rule=guarantee.rule)
    assert after.tier == "large"
    assert "the certificate is revoked (outcome is below what was certified)" in after.why
    assert guarantee.status()["reason"] == "outcome is below what was certified"
    assert "certificate is revoked" in caplog.text
    before = guarantee.monitor
    fail_often(guarantee, decision, 5, first=200)
    assert guarantee.monitor is before


def test_good_outcomes_revoke_nothing(certified: Router, promised: Certificate) -> None:
    guarantee, decision = Guarantee(promised, GuaranteeConfig(), TIERS), certified.route(EASY)
    for number in range(500):
        guarantee.remember(entry(number, decision), decision)
        guarantee.tell(told(number, float(number % 5 > 0)))
    assert guarantee.monitor.items == 500
    assert guarantee.rule is None


def test_only_first_outcomes_of_what_the_certified_point_decided_and_its_tier_answered_count(
    certified: Router, promised: Certificate
) -> None:
    guarantee, decision = Guarantee(promised, GuaranteeConfig(), TIERS), certified.route(EASY)
    dialled = certified.route(EASY, quality=0.9)
    guarantee.remember(entry(0, dialled), dialled)
    guarantee.remember(entry(1, decision, "large"), decision)
    guarantee.remember(entry(2, decision), decision)
    for number in (0, 1, 3):
        guarantee.tell(told(number, 1.0))
    guarantee.tell(told(2, 1.0, tenant="other"))
    assert guarantee.monitor.items == 0
    guarantee.tell(told(2, 1.0))
    guarantee.tell(told(2, 0.0))
    assert guarantee.monitor.items == 1


def test_another_tier_may_be_named_and_a_strange_one_or_an_error_that_is_taken_are_refused(
    certified: Router, promised: Certificate
) -> None:
    guarantee = Guarantee(promised, GuaranteeConfig(tier="medium"), TIERS)
    fail_often(guarantee, certified.route(EASY), 100)
    assert guarantee.rule is not None
    assert certified.route(EASY, rule=guarantee.rule).tier == "medium"
    with pytest.raises(GatewayConfigError, match=r"guarantee\.tier"):
        Guarantee(promised, GuaranteeConfig(tier="huge"), TIERS)
    with pytest.raises(GatewayConfigError, match=r"guarantee\.error"):
        Guarantee(replace(promised, claims_error=0.1), GuaranteeConfig(), TIERS)


def test_workers_without_redis_share_the_error(promised: Certificate) -> None:
    alone, one_of_four = (Guarantee(promised, GuaranteeConfig(), TIERS, workers=n) for n in (1, 4))
    assert one_of_four.monitor.error == pytest.approx(alone.monitor.error / 4)


def test_a_revocation_outlives_the_process_until_another_certificate_comes(
    certified: Router, tmp_path: Path, promised: Certificate
) -> None:
    path, decision = tmp_path / "gateway.revoked", certified.route(EASY)
    first = Guarantee(promised, GuaranteeConfig(), TIERS, path=path)
    fail_often(first, decision, 100)

    async def begun(certificate: Certificate) -> Guarantee:
        guarantee = Guarantee(certificate, GuaranteeConfig(), TIERS, path=path)
        await guarantee.open()
        await guarantee.close()
        return guarantee

    again = asyncio.run(begun(promised))
    assert again.reason == first.reason
    repriced = replace(promised.point, cost=promised.point.cost / 2, cost_interval=(0.0, 0.5))
    assert asyncio.run(begun(replace(promised, point=repriced))).reason == first.reason
    assert asyncio.run(begun(replace(promised, date="2026-12-01"))).rule is None


def test_replicas_count_together_in_redis_and_none_counts_twice(
    certified: Router, server: Any, promised: Certificate
) -> None:
    from redis.asyncio import Redis

    decision = certified.route(EASY)

    async def shared() -> tuple[Guarantee, Guarantee]:
        clients = [Redis.from_url(server.url, socket_timeout=1.0) for _ in range(2)]
        one, other = (Guarantee(promised, GuaranteeConfig(), TIERS, redis=client) for client in clients)
        try:
            await asyncio.gather(one.open(), other.open())
            fail_often(one, decision, 1)
            fail_often(other, decision, 2)
            await until(lambda: one.monitor.items == other.monitor.items == 3)
            assert one.monitor == other.monitor
            server.kill()
            fail_often(one, decision, 60, first=100)
            await asyncio.sleep(1.5)
            assert one.monitor.items == 3
            server.start()
            await until(lambda: bool(one.reason and other.reason))
        finally:
            await asyncio.gather(one.close(), other.close())
            for client in clients:
                await client.aclose()
        return one, other

    one, other = asyncio.run(shared())
    assert one.reason
    assert other.reason == one.reason


def elsewhere(number: int, outcome: float = 0.0) -> Outcome:
    """Feedback as a worker reads it that did not answer the request."""
    return replace(told(number, outcome), tier=None)


def test_what_one_worker_is_told_of_anothers_request_counts_there_once(
    certified: Router, promised: Certificate
) -> None:
    workers: list[Guarantee] = []

    def others(place: int) -> Callable[[], list[Any]]:
        return lambda: [
            json.loads(json.dumps(worker.relay.told())) for at, worker in enumerate(workers) if at != place
        ]

    workers += [Guarantee(promised, GuaranteeConfig(), TIERS, workers=2, others=others(at)) for at in (0, 1)]
    decision = certified.route(EASY)

    async def look() -> None:
        for worker in workers:
            await worker.open()

    for number in range(3):
        workers[0].remember(entry(number, decision), decision)
    for number in (0, 1, 1, 7):
        workers[1].tell(elsewhere(number))
    workers[1].tell(replace(elsewhere(2), tenant="other"))
    asyncio.run(look())
    asyncio.run(look())
    assert [worker.monitor.items for worker in workers] == [2, 0]
    workers[0].tell(told(2, 1.0))
    workers[1].tell(elsewhere(2))
    asyncio.run(look())
    assert [worker.monitor.items for worker in workers] == [3, 0]


def test_what_one_replica_is_told_of_anothers_request_counts_once_for_both(
    certified: Router, server: Any, promised: Certificate
) -> None:
    from redis.asyncio import Redis

    decision = certified.route(EASY)

    async def shared() -> None:
        clients = [Redis.from_url(server.url, socket_timeout=1.0) for _ in range(2)]
        one, other = (Guarantee(promised, GuaranteeConfig(), TIERS, redis=client) for client in clients)
        try:
            await asyncio.gather(one.open(), other.open())
            await clients[0].xadd(one.relay._key, {b"outcome": b"{"})
            for number in range(4):
                one.remember(entry(number, decision), decision)
                other.tell(elsewhere(number))
                other.tell(elsewhere(number))
            await until(lambda: one.monitor.items == other.monitor.items == 4)
            await asyncio.sleep(1.5)
            assert one.monitor.items == other.monitor.items == 4
        finally:
            await asyncio.gather(one.close(), other.close())
            for client in clients:
                await client.aclose()

    asyncio.run(shared())


def test_a_served_certificate_is_revoked_by_feedback_and_says_so(
    serve: Callable[..., Any], upstreams: dict[str, Pretend], tmp_path: Path, certified: Router
) -> None:
    path = tmp_path / "certified.onnx"
    path.write_bytes(certified.artifact.content)
    key = "rm-of-a-certificate"
    served = serve(
        {
            "router": str(path),
            "tiers": [
                {
                    "name": tier,
                    "providers": [
                        {"name": tier, "model": tier, "base_url": upstreams[tier].base_url,
                         "input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
                    ],
                }
                for tier in TIERS
            ],
            "listen": {"port": 0},
            "dial": {"quality": 0.5},
            "keys": [
                {"name": "tests", "sha256": hashlib.sha256(key.encode()).hexdigest(),
                 "scopes": ["call", "route", "feedback", "metrics"]}
            ],
        }
    )  # fmt: skip

    def ask(target: str, body: dict[str, Any] | None = None) -> tuple[int, Any, bytes]:
        return asked(served, key, target, body)

    call = {"model": "auto:certified", "messages": [{"role": "user", "content": EASY}]}
    assert json.loads(ask("/readyz")[2])["certificate"]["status"] == "stands"
    tiers = []
    for _ in range(80):
        _, headers, _ = ask("/v1/chat/completions", call)
        tiers.append(headers["x-router-tier"])
        ask("/v1/feedback", {"request_id": headers["x-router-request-id"], "outcome": "bad"})
    assert tiers[0] == "small"
    assert tiers[-1] == "large"
    assert json.loads(ask("/readyz")[2])["certificate"]["status"] == "revoked"
    assert b"router_certificate_revoked 1" in ask("/metrics")[2]
    decided = json.loads(ask("/v1/route", call)[2])
    assert "the certificate is revoked" in decided["why"]
    _, plain, _ = ask("/v1/chat/completions", {**call, "model": "auto:quality=0.5"})
    assert plain["x-router-tier"] == "small"


def test_a_router_without_a_certificate_refuses_the_word(gateway: Any, key: str) -> None:
    call = {"model": "auto:certified", "messages": [{"role": "user", "content": EASY}]}
    status, _, body = asked(gateway, key, "/v1/chat/completions", call)
    assert status == 400
    assert b"router-model certify" in body
