"""What clients notice when one of two providers fails, or Redis restarts.

    python benchmarks/gateway_faults.py [--seconds S] [--rate R] [--only NAME ...] > faults.json

Two pretend models answer for one tier, the cheaper of which fails from a sixth to a half of the time. Every
third request is a stream. Counted are

- ``preventable``: clients' errors that the healthy provider could have prevented, which should be 0: all of
  them, but for streams that broke after their first bytes had gone out. Such a stream cannot be asked for
  again, so it does not count if it was sent before as many had broken as open the breaker, or may have been
  one of the ``probes`` that see whether the provider has recovered;
- ``unclean``: of the streams that broke, those that did not end with an event that says so;
- ``noticed``: requests that took 100 ms longer than the 99th percentile before the fault, or failed;
- ``settled_seconds``: from the fault's beginning to the last request that was noticed, or failed, before a
  second without one;
- ``back_seconds``: from the fault's end to the first answer of the provider that had failed.

For Redis, which holds shared answers and a budget, the server is killed and started anew, empty, at a third
of the time. It needs Linux, and ``redis-server`` for that part.
"""

import argparse
import asyncio
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import load
from load import Load, Reply, at
from stage import Gateway, Model, Redis, cores, free_port, progress, provider, running, stop

FAULT = (1 / 6, 1 / 2)  # of the time
NOTICED_SECONDS = 0.1
CALM_SECONDS = 1.0
FLAP_SECONDS = 0.5
BREAKER: dict[str, Any] = {"failures": 5, "window": 20, "open_seconds": 2.0}
RETRY = {"first_byte_seconds": 1.0, "idle_seconds": 5.0}
LATENCY = {"first_byte_seconds": 0.1, "window": 50}
FAULTS: dict[str, dict[str, Any]] = {
    "slow": {"first_byte_seconds": 0.6},
    "silent": {"stall": True},
    "429": {"status": 429, "retry_after": "1"},
    "500": {"status": 500},
    "hangs up": {"hang_up": True},
    "cut": {"cut_after": 5},
}
NAMES = ("dead", "flapping", *FAULTS, "redis")
Step = tuple[float, Callable[[], Any]]


def main() -> None:
    """Run all, and print what was found as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each fault")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    asked = parser.parse_args()
    found = {}
    for name in asked.only:
        progress(f"{name}, for {asked.seconds:g} s")
        with tempfile.TemporaryDirectory() as folder:
            run = redis if name == "redis" else fault
            try:
                found[name] = run(name, Path(folder), asked.rate, asked.seconds)
            except FileNotFoundError as error:
                found[name] = {"not_run": str(error)}
    preventable = sum(one.get("preventable", 0) for one in found.values())
    print(json.dumps({"preventable": preventable, "faults": found}, indent=1))


def fault(name: str, folder: Path, rate: float, seconds: float) -> dict[str, Any]:
    """One fault of the cheaper provider."""
    own, other = cores()
    bad, sound = Model(other, folder / "bad.log"), Model(other, folder / "sound.log")
    gateway = Gateway(folder, own)
    os.sched_setaffinity(0, {other})
    with running(gateway, bad, sound):
        bad.start()
        sound.start()
        providers = [provider("bad", bad, 0.1), provider("sound", sound, 0.2)]
        config = {"breaker": BREAKER, "retry": RETRY, "latency": LATENCY}
        gateway.start({"tiers": [{"name": "small", "providers": providers}], **config})
        begin, end = (share * seconds for share in FAULT)
        replies, gone = driven(gateway, rate, seconds, steps(name, bad, begin, end))
        found = judged(replies, *gone)
        found["stopped_with"] = stop(gateway.process)
    return found


def steps(name: str, bad: Model, begin: float, end: float) -> list[Step]:
    """What is done to the provider, and when."""
    if name == "dead":
        return [(begin, lambda: stop(bad.process, signal.SIGKILL)), (end, bad.start)]
    if name != "flapping":
        return [(begin, lambda: bad.behave(**FAULTS[name])), (end, bad.behave)]
    flaps: list[Step] = []
    for number in range(int((end - begin) / FLAP_SECONDS)):
        status = 500 if number % 2 == 0 else 200
        flaps.append((begin + number * FLAP_SECONDS, lambda status=status: bad.behave(status=status)))
    return [*flaps, (end, bad.behave)]


def redis(name: str, folder: Path, rate: float, seconds: float) -> dict[str, Any]:
    """A Redis that is killed and comes back empty."""
    own, other = cores()
    model, server = Model(other, folder / "model.log"), Redis(other, folder / "redis.log", free_port())
    gateway = Gateway(folder, own, {"BENCHMARK_REDIS": server.url})
    os.sched_setaffinity(0, {other})
    with running(gateway, model, server):
        model.start()
        server.start()
        config = {
            "redis_url_env": "BENCHMARK_REDIS",
            "cache": {"exact": {"shared": True}},
            "budgets": [{"tenant": "default", "usd": 1000.0}],
        }
        gateway.start({"tiers": [{"name": "small", "providers": [provider("sound", model)]}], **config})
        begin, end = seconds / 3, seconds / 3 + min(2.0, seconds / 3)
        replies, gone = driven(
            gateway,
            rate,
            seconds,
            [(begin, lambda: stop(server.process, signal.SIGKILL)), (end, server.start)],
        )
        found = judged(replies, *gone)
        found["from_cache"] = round(gateway.counted("router_requests_total") - model_requests(model))
        found["stopped_with"] = stop(gateway.process)
    return found


def model_requests(model: Model) -> int:
    """Requests that came to a pretend model."""
    return int(json.loads(model._told() or b"{}")["requests"])


def driven(
    gateway: Gateway, rate: float, seconds: float, todo: Sequence[Step]
) -> tuple[list[Reply], tuple[float, float]]:
    """Replies to a load, and when of its time the first and the last step had been taken."""
    bodies = load.bodies("auto", stream_share=1 / 3, max_tokens=20)
    if not all(
        reply.good for reply in load.run(lambda: Load(gateway.url + "/v1", bodies).at_rate(rate, 1.0))
    ):
        raise SystemExit("requests fail without a fault")
    taken: list[float] = []
    began = time.monotonic() + 0.05

    def take() -> None:
        for when, step in todo:
            time.sleep(max(0.0, began + when - time.monotonic()))
            step()
            taken.append(time.monotonic() - began)

    async def both() -> list[Reply]:
        thread = threading.Thread(target=take)
        thread.start()
        replies = await Load(gateway.url + "/v1", bodies).at_rate(rate, seconds)
        await asyncio.to_thread(thread.join)
        return replies

    replies = load.run(both)
    return replies, (taken[0], taken[-1])


def judged(replies: Sequence[Reply], began: float, ended: float) -> dict[str, Any]:
    """What clients noticed."""
    calm = at([reply.seconds for reply in replies if reply.due + reply.seconds < began], 0.99)
    failed = [reply for reply in replies if not reply.good]
    broken = [reply for reply in failed if reply.stream and reply.status == 200]
    ends = sorted(reply.due + reply.seconds for reply in broken)
    opened = ends[BREAKER["failures"] - 1] if len(ends) >= BREAKER["failures"] else float("inf")
    after = sum(reply.due + reply.late > opened for reply in broken)
    probes = int((ended - began) / BREAKER["open_seconds"])
    noticed = [
        reply
        for reply in replies
        if reply.due >= began and (not reply.good or reply.seconds > calm + NOTICED_SECONDS)
    ]
    settled = began
    for reply in noticed:
        if reply.due - settled > CALM_SECONDS:
            break
        settled = reply.due + reply.seconds
    back = [reply.due for reply in replies if reply.due > ended and reply.provider == "bad" and reply.good]
    return {
        "requests": len(replies),
        "failed": len(failed),
        "broken_streams": len(broken),
        "broken_after_the_breaker_opened": after,
        "probes": probes,
        "preventable": len(failed) - len(broken) + max(0, after - probes),
        "unclean": sum(not reply.clean for reply in broken),
        "first_failures": sorted({f"{r.status} {r.said[-160:]}" for r in failed if r not in broken})[:3],
        "calm_p99_ms": round(calm * 1e3, 1),
        "noticed": len(noticed),
        "slowest_seconds": round(max(reply.seconds for reply in replies), 3),
        "settled_seconds": round(settled - began, 2),
        "back_seconds": round(back[0] - ended, 2) if back else None,
        "fault_seconds": round(ended - began, 2),
    }


if __name__ == "__main__":
    main()
