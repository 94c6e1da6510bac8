"""A tenant's spend against its bound: many requests at once, at gateways that run as processes."""

import contextlib
import hashlib
import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from router_model.serving.gateway.pretend import Behaviour, Pretend, start

PATIENCE = 60.0  # seconds, on a busy machine
LANES = 24
KEY = "rm-of-a-tenant"
BOUND = 0.03  # US dollars
PAID_IN, PAID_OUT = 10.0, 20.0  # US dollars per million tokens


@pytest.fixture(scope="module")
def model() -> Pretend:
    """One whose answers take a while, so that many are in flight."""
    model = Pretend(Behaviour(chunks=20, first_byte_seconds=0.02))
    start(model)
    return model


def config(model: Pretend, **more: Any) -> dict[str, Any]:
    provider = {
        "name": "only",
        "base_url": model.base_url,
        "model": "m",
        "input_usd_per_million": PAID_IN,
        "output_usd_per_million": PAID_OUT,
    }
    key = {"name": "one", "tenant": "acme", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    return {
        "tiers": [{"name": "small", "providers": [provider]}],
        "keys": [{**key, "scopes": ["call", "metrics"]}],
        "budgets": [{"tenant": "acme", "usd": BOUND, "lower_from": 1.0}],
        **more,
    }


def ask(served: Any, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection(served.host, served.port, timeout=PATIENCE)) as line:
        line.request(method, path, json.dumps(body) if body else None, {"authorization": f"Bearer {KEY}"})
        answer = line.getresponse()
        return answer.status, answer.read()


def spend_all(served: Any) -> int:
    """Ask from many sides until each is told that the budget is spent; how many answers there were."""
    limit = time.monotonic() + PATIENCE

    def lane(number: int) -> int:
        answered = 0
        while time.monotonic() < limit:
            words = [{"role": "user", "content": f"{number} {answered}"}]
            body = {"model": "auto", "max_tokens": 32, "stream": number % 2 == 0, "messages": words}
            status, said = ask(served, "POST", "/v1/chat/completions", body)
            if status == 200:
                answered += 1
                continue
            told = json.loads(said)["error"]
            assert (status, told["type"]) == (429, "insufficient_quota")
            if "is spent; it renews at" in told["message"]:
                return answered
            time.sleep(0.01)  # no room beside those in flight
        raise AssertionError("the budget is not spent")

    with ThreadPoolExecutor(LANES) as pool:
        return sum(pool.map(lane, range(LANES)))


def paid(served: Any, answers: int) -> tuple[float, float]:
    """US dollars that the gateway's accounts have, and the mean of an answer."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        total = json.loads(ask(served, "GET", "/v1/accounts")[1])["total"]
        if total["requests"] - total["failed"] == answers:  # workers tell each other once a second
            return total["paid_usd"], total["paid_usd"] / answers
        time.sleep(0.1)
    raise AssertionError(f"{answers} answers, and the accounts have {total}")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tenants_spend_passes_its_bound_by_one_request_a_worker_at_most(
    serve: Callable[..., Any],
    model: Pretend,
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
) -> None:
    monkeypatch.setenv("BUDGET_REDIS", server.url)
    listen = {"port": 0, "workers": workers}
    served = serve(config(model, listen=listen, redis_url_env="BUDGET_REDIS"))
    spent, one = paid(served, spend_all(served))
    # Answers differ by a few tokens of their prompts.
    assert BOUND <= spent <= BOUND + workers * 1.2 * one


def test_without_redis_one_worker_keeps_to_the_bound(serve: Callable[..., Any], model: Pretend) -> None:
    served = serve(config(model, listen={"port": 0}))
    spent, one = paid(served, spend_all(served))
    assert BOUND <= spent <= BOUND + 1.2 * one
