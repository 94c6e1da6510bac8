"""One request from end to end: what an answer of the cache says, and what is written down of it."""

import contextlib
import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest

from router_model.serving.gateway.pretend import Behaviour, Pretend, start

ASK = {"model": "auto", "messages": [{"role": "user", "content": "What is 12 * 9?"}]}


def sent(served: Any, path: str, body: Any = None) -> tuple[dict[str, str], bytes]:
    with contextlib.closing(http.client.HTTPConnection(served.host, served.port, timeout=20)) as line:
        line.request("POST" if body else "GET", path, json.dumps(body) if body else None)
        answer = line.getresponse()
        assert answer.status == 200
        return {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.mark.parametrize("stream", [False, True])
def test_an_equal_request_is_answered_from_the_cache_and_what_it_spared_is_counted(
    serve: Callable[..., Any], stream: bool
) -> None:
    model = Pretend(Behaviour(chunks=10))
    start(model)
    provider = {
        "name": "only",
        "base_url": model.base_url,
        "model": "m",
        "input_usd_per_million": 1.0,
        "output_usd_per_million": 2.0,
    }
    served = serve(
        {
            "tiers": [{"name": "small", "providers": [provider]}],
            "cache": {"exact": {}},
            "listen": {"port": 0},
        }
    )
    scopes = {"stream": stream, "stream_options": {"include_usage": True}} if stream else {}
    first, body = sent(served, "/v1/chat/completions", {**ASK, **scopes})
    again, same = sent(served, "/v1/chat/completions", dict(reversed({**ASK, **scopes}.items())))
    assert "x-router-cache" not in first
    assert (again["x-router-cache"], again["x-router-cost-usd"], again["x-router-tier"]) == (
        "exact",
        "0",
        "small",
    )
    assert same == body
    assert model.requests == 1
    total = json.loads(sent(served, "/v1/accounts")[1])["total"]
    assert (total["requests"], total["cached"]) == (2, 1)
    assert total["spared_by_cache_usd"] == pytest.approx(total["paid_usd"]) != 0
