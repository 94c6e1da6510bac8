"""One request from end to end: what an answer of the cache says, and what is written down of it."""

import contextlib
import http.client
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


def provider(name: str, model: Pretend, usd: float) -> dict[str, Any]:
    prices = {"input_usd_per_million": usd, "output_usd_per_million": 2 * usd}
    return {"name": name, "base_url": model.base_url, "model": "m", **prices}


def test_a_call_that_was_paid_and_thrown_away_stands_in_accounts_metrics_and_the_budget(
    serve: Callable[..., Any],
) -> None:
    torn, sound = Pretend(Behaviour(cut_after=1)), Pretend(Behaviour(chunks=10))
    start(torn, sound)
    served = serve(
        {
            "tiers": [
                {"name": "small", "providers": [provider("torn", torn, 1.0), provider("sound", sound, 2.0)]}
            ],
            "budgets": [{"tenant": "default", "usd": 1.0}],
            "listen": {"port": 0},
        }
    )
    headers, _ = sent(served, "/v1/chat/completions", ASK)
    assert (headers["x-router-provider"], torn.requests) == ("sound", 1)
    found = json.loads(sent(served, "/v1/accounts")[1])
    total, lost = found["total"], found["by_provider"]["torn"]
    assert 0 < lost["wasted_usd"] == lost["paid_usd"] == lost["wasted_estimated_usd"] == total["wasted_usd"]
    assert lost["requests"] == 0
    cost = float(headers["x-router-cost-usd"])
    assert total["paid_usd"] == pytest.approx(cost + total["wasted_usd"], abs=1e-9)
    text = sent(served, "/metrics")[1].decode()
    (wasted,) = re.findall(r'wasted_usd_total\{tier="small",provider="torn",estimated="true"\} (\S+)', text)
    assert float(wasted) == pytest.approx(total["wasted_usd"])
    (share,) = re.findall(r"budget_spent_share\{.*\} (\S+)", text)
    assert float(share) == pytest.approx(total["paid_usd"], abs=1e-9)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_stream_that_is_an_error_costs_nothing(serve: Callable[..., Any], status: int) -> None:
    class Failing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = b'data: {"error": {"message": "overloaded"}}\n\n'
            self.send_response(status)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        only = {"base_url": f"http://127.0.0.1:{upstream.server_port}/v1", "name": "only", "model": "m"}
        priced = {**only, "input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
        tiers = [{"name": "small", "providers": [priced]}]
        served = serve({"tiers": tiers, "listen": {"port": 0}, "retry": {"attempts": 1}})
        with contextlib.closing(http.client.HTTPConnection(served.host, served.port, timeout=20)) as line:
            line.request("POST", "/v1/chat/completions", json.dumps({**ASK, "stream": True}))
            answer = line.getresponse()
            assert (answer.status, b"overloaded" in answer.read()) == (status, True)
        total = json.loads(sent(served, "/v1/accounts")[1])["total"]
        assert (total["requests"], total["paid_usd"], total["input_tokens"]) == (1, 0.0, 0)
        upstream.shutdown()
