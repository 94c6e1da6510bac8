"""A worker that does not sleep between requests: it does all else, stops at once, and sleeps in the end."""

import asyncio
import http.client
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from router_model.serving.gateway.check import warnings
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.poll import Poll
from router_model.serving.gateway.pretend import Behaviour, Pretend, start

PATIENCE = 60.0
FOR_EVER_MS = 60_000

linux = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="what a process does is read from Linux's /proc"
)


@pytest.fixture(scope="module")
def model() -> Pretend:
    model = Pretend(Behaviour(), keep=4)
    start(model)
    return model


def config(model: Pretend, busy_polling_ms: float) -> dict[str, Any]:
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
    provider = {"name": "only", "base_url": model.base_url, "model": "m", **prices}
    return {
        "tiers": [{"name": "small", "providers": [provider]}],
        "listen": {"port": 0, "busy_polling_ms": busy_polling_ms},
    }


def awake(pid: int) -> float:
    """The share of half a second in which a process' first thread had a core, or waited for one."""

    def seconds() -> float:
        ran, waited, _ = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()
        return (int(ran) + int(waited)) / 1e9

    began, before = time.monotonic(), seconds()
    time.sleep(0.5)
    return (seconds() - before) / (time.monotonic() - began)


def answers(gateway: Any) -> bool:
    with closing(http.client.HTTPConnection(gateway.host, gateway.port, timeout=PATIENCE)) as connection:
        connection.request(
            "POST",
            "/v1/chat/completions",
            '{"model": "auto", "messages": [{"role": "user", "content": "hi"}]}',
        )
        return connection.getresponse().status == 200


@linux
def test_a_worker_stays_awake_while_it_is_to_and_stops_at_once(
    serve: Callable[..., Any], model: Pretend
) -> None:
    gateway = serve(config(model, FOR_EVER_MS))
    assert all(answers(gateway) for _ in range(5))
    assert awake(gateway.process.pid) > 0.8
    gateway.stop()  # within half of the time for which it would look on


@linux
@pytest.mark.parametrize("busy_polling_ms", [0, 20])
def test_a_worker_sleeps_where_nothing_comes(
    serve: Callable[..., Any], model: Pretend, busy_polling_ms: float
) -> None:
    gateway = serve(config(model, busy_polling_ms))
    assert answers(gateway)
    limit = time.monotonic() + PATIENCE
    while awake(gateway.process.pid) > 0.2:
        assert time.monotonic() < limit


@pytest.mark.parametrize(
    ("workers", "busy_polling_ms", "warned"), [(2, 5, True), (1, 5, False), (2, 0, False)]
)
def test_a_worker_for_each_core_that_never_sleeps_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, model: Pretend, workers: int, busy_polling_ms: float, warned: bool
) -> None:
    monkeypatch.setattr("router_model.serving.gateway.check.cores", lambda: 2)
    file = config(model, busy_polling_ms)
    file["listen"]["workers"] = workers
    told = "\n".join(warnings(GatewayConfig.from_dict(file)))
    assert ("busy_polling_ms" in told) is warned


def looking(seconds: float, meanwhile: Callable[[], Any]) -> tuple[Any, int]:
    """What comes of ``meanwhile`` in a loop that looks for so long, and how often it has looked."""

    async def run() -> tuple[Any, int]:
        poll, looks = Poll(seconds), 0
        look = poll._look

        def counted() -> None:
            nonlocal looks
            looks += 1
            look()

        poll._look = counted  # type: ignore[method-assign]
        poll.touch()
        async with asyncio.timeout(PATIENCE):
            return await meanwhile(), looks

    return asyncio.run(run())


async def timer() -> str:
    await asyncio.sleep(0.01)
    return "rang"


async def thread() -> str:
    return await asyncio.to_thread(lambda: "came back")


async def a_signal() -> str:
    caught = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, caught.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await caught.wait()
    return "caught"


@pytest.mark.parametrize("meanwhile", [timer, thread, a_signal])
def test_all_else_goes_on_while_it_looks(meanwhile: Callable[[], Any]) -> None:
    told, looks = looking(FOR_EVER_MS, meanwhile)
    assert told in ("rang", "came back", "caught")
    assert looks > 0


def test_it_looks_for_its_time_and_no_longer() -> None:
    async def ended() -> None:
        while len(asyncio.get_running_loop()._ready) > 0:  # type: ignore[attr-defined]
            await asyncio.sleep(0.001)

    _, looks = looking(0.02, ended)
    assert looks > 1
    assert looking(0.0, timer)[1] == 0
