"""One paced budget of two gateways, each a process of its own, that hear of each other through Redis."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from router_model.policy.pace import MOST_PRICE
from router_model.serving.gateway.pretend import Behaviour, Pretend, start

PRICES = {"small": 0.0, "medium": 10.0, "large": 1000.0}  # of a million tokens, in dollars
BUDGET = 0.8  # dollars: some 17 answers of the large tier
AT_ONCE = 2  # answers that each gateway gives before both have heard of all


def tier(name: str, usd: float, model: Pretend) -> dict[str, Any]:
    prices = {"input_usd_per_million": usd, "output_usd_per_million": usd}
    return {
        "name": name,
        "providers": [{"name": f"{name}-1", "base_url": model.base_url, "model": "m", **prices}],
    }


def sent(served: Any, path: str, body: Any = None) -> tuple[dict[str, str], bytes]:
    with contextlib.closing(http.client.HTTPConnection(served.host, served.port, timeout=20)) as line:
        line.request("POST" if body else "GET", path, json.dumps(body) if body else None)
        answer = line.getresponse()
        assert answer.status == 200
        return {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def ask(served: Any, model: str) -> float:
    """What an answer of ``model`` cost, in dollars."""
    body = {"model": model, "messages": [{"role": "user", "content": "Prove that every tree is bipartite."}]}
    return float(sent(served, "/v1/chat/completions", body)[0]["x-router-cost-usd"])


def gauge(served: Any, name: str) -> float:
    text = sent(served, "/metrics")[1].decode()
    return float(
        next(line for line in text.splitlines() if line.startswith(f"router_pace_{name} ")).split()[1]
    )


def until_all_know(gateways: list[Any], usd: float) -> None:
    """Wait until each gateway counts what all have spent; they tell each other once a second."""
    limit = time.monotonic() + 30
    while min(gauge(served, "spent_usd") for served in gateways) < 0.9999 * usd:
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_two_gateways_together_spend_one_budget_and_not_two(
    serve: Callable[..., Any], server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each one's client asks for the large tier by name until the price says that all is spent."""
    monkeypatch.setenv("PACE_REDIS", server.url)
    models = [Pretend(Behaviour(chunks=20)) for _ in PRICES]
    start(*models)
    tiers = [tier(name, usd, model) for (name, usd), model in zip(PRICES.items(), models, strict=True)]
    dial = {"usd": BUDGET, "per": "day"}
    config = {"tiers": tiers, "listen": {"port": 0}, "redis_url_env": "PACE_REDIS", "dial": dial}
    gateways = [serve(config), serve(config)]
    spent = [0.0, 0.0]
    a_round = 0.0
    while going := [place for place, served in enumerate(gateways) if gauge(served, "price") < MOST_PRICE]:
        before = sum(spent)
        assert before < BUDGET
        for place in going * AT_ONCE:
            spent[place] += ask(gateways[place], "tier:large")
        a_round = max(a_round, sum(spent) - before)
        until_all_know(gateways, sum(spent))
    assert all(usd > 0.3 * BUDGET for usd in spent)
    assert 0.9999 * BUDGET <= sum(spent) <= BUDGET + a_round
    assert a_round < 0.3 * BUDGET
    assert [ask(served, "auto") for served in gateways] == [0.0, 0.0]  # the cheapest tier, which is free
