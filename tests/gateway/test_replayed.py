"""What a gateway with conversations logged, a replay of the same policy decides again."""

import contextlib
import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router_model import Router
from router_model.data.corpus import starter_records
from router_model.data.readers import Reading
from router_model.serving.gateway.pretend import Pretend
from router_model.training.conversations import Caches
from router_model.training.policies import InSessions, policy_of
from router_model.training.prepare import read_all

TURNS, CONVERSATIONS = 3, 30
TEXT = "Chapter one of the book that we talk about, which is long. " * 100
TOOL = {"type": "function", "function": {"name": "find", "description": "Says where it is. " * 500}}


def config(router: Router, upstreams: dict[str, Pretend], quality: float) -> dict[str, Any]:
    tiers = [
        {
            "name": tier.name,
            "providers": [
                {
                    "name": tier.name,
                    "model": tier.name,
                    "base_url": upstreams[tier.name].base_url,
                    "input_usd_per_million": tier.input_usd_per_million,
                    "output_usd_per_million": tier.output_usd_per_million,
                    "cached_input_usd_per_million": 0.1 * tier.input_usd_per_million,
                    "written_input_usd_per_million": 1.25 * tier.input_usd_per_million,
                    "abilities": ["tools"],
                }
            ],
        }
        for tier in router.ladder.tiers
    ]
    traffic = {"folder": "traffic", "words": "whole"}
    return {
        "tiers": tiers,
        "listen": {"port": 0},
        "dial": {"quality": quality},
        "sessions": {},
        "traffic": traffic,
    }


def talk(served: Any, tools: list[Any]) -> None:
    """Conversations of questions on many matters, each of which begins with the same long text."""
    asks = iter([record.prompt.text for record in starter_records()][:: 690 // (TURNS * CONVERSATIONS)])
    with contextlib.closing(http.client.HTTPConnection(served.host, served.port, timeout=30)) as line:
        for number in range(CONVERSATIONS):
            messages: list[Any] = [{"role": "system", "content": f"Book {number}. {TEXT}"}]
            for _ in range(TURNS):
                messages.append({"role": "user", "content": next(asks)})
                body = {"model": "auto", "messages": messages, **({"tools": tools} if tools else {})}
                line.request("POST", "/v1/chat/completions", json.dumps(body))
                answer = line.getresponse()
                raw = answer.read()
                assert answer.status == 200, raw
                messages.append(json.loads(raw)["choices"][0]["message"])


@pytest.mark.parametrize("tools", [[], [TOOL]], ids=["text", "tools"])
def test_a_replay_of_its_log_decides_as_the_gateway_did(
    tools: list[Any], serve: Callable[..., Any], upstreams: dict[str, Pretend]
) -> None:
    router, quality = Router.default(), 0.95
    served = serve(config(router, upstreams, quality))
    talk(served, tools)
    served.stop()
    parts = sorted((Path(served.log).parent / "traffic").glob("date=*/*.parquet"))
    logged = read_all(parts, Reading())
    assert len(logged) == TURNS * CONVERSATIONS
    done = np.array([router.ladder.index(record.model or "") for record in logged])
    told = [record.input_tokens for record in logged]
    said = router.route_prompts([record.prompt for record in logged], quality=quality, input_tokens=told)
    policy = policy_of(router, quality=quality, caches=Caches(0.1, 1.25))
    assert isinstance(policy, InSessions)
    again = policy(logged, said)
    assert (again == done).mean() >= 0.95  # tokens are those that the provider counted, not the estimate
    assert len(set(done.tolist())) > 1
    found = policy.followed(logged, said, done)
    assert found.later.sum() == (TURNS - 1) * CONVERSATIONS
    assert found.cache_usd.sum() < 0
