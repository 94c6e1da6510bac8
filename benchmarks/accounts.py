"""What accounting adds to a request of the gateway: microseconds of each part, as JSON.

`python benchmarks/accounts.py [--redis]`; with ``--redis`` it starts a redis-server of its own.
"""

import argparse
import asyncio
import json
import logging
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from router_model.data.privacy.hashing import hashed_name, hashed_prompt
from router_model.data.privacy.redaction import redact
from router_model.serving.gateway.accounts import Accounts, Entry
from router_model.serving.gateway.budgets import Budgets
from router_model.serving.gateway.call import Asked, Call
from router_model.serving.gateway.config.budget import Budget
from router_model.serving.gateway.config.key import Key
from router_model.serving.gateway.config.traffic import Traffic
from router_model.serving.gateway.keys import Keys, fresh_key
from router_model.serving.gateway.logs import log_entry, log_to
from router_model.serving.gateway.metrics import Metrics
from router_model.serving.gateway.traffic import TrafficLog
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.words import WordsKept

ROUNDS, KEYS = 20_000, 1000
KEY = b"0123456789abcdef"
TEXT = "Explain in a few sentences why the sky is blue, and what changes at sunset. " * 8


def median_us(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median microseconds of processor time of a call, over batches of 100."""
    times = []
    for _ in range(rounds // 100):
        start = time.process_time()
        for _ in range(100):
            work()
        times.append((time.process_time() - start) * 1e4)
    return round(sorted(times)[len(times) // 2], 2)


async def async_us(work: Callable[[], Awaitable[object]], rounds: int = 5000) -> dict[str, float]:
    """Microseconds of awaited calls, one after another: median and 99th percentile."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        await work()
        times.append((time.perf_counter() - start) * 1e6)
    times.sort()
    return {"p50": round(times[rounds // 2], 1), "p99": round(times[rounds * 99 // 100], 1)}


def log_us(words: str, call: Call, entry: Entry) -> dict[str, float]:
    """Microseconds of processor time of ``add``, and of the writing threads for a row, its part included."""
    with tempfile.TemporaryDirectory() as folder:
        kept = WordsKept(
            words,  # type: ignore[arg-type]
            redact,
            lambda field, text: (
                hashed_prompt(KEY, text) if field == "prompt" else hashed_name(KEY, field, text)
            ),
        )
        config = Traffic(folder="", words=words, flush_seconds=60.0)  # type: ignore[arg-type]
        log = TrafficLog(config, Path(folder), kept)
        add = median_us(lambda: log.add(entry, call))
        log.open()
        start = time.process_time()
        log.close()
        return {"add": add, "thread": round((time.process_time() - start) / ROUNDS * 1e6, 1)}


async def budgets_us(redis: bool, caller: object) -> dict[str, float]:
    """A reservation and its settlement."""
    if not redis:
        budgets = Budgets([Budget(usd=1e9, tenant="acme")])
        return await async_us(lambda: _spend(budgets, caller))
    from redis.asyncio import Redis

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(shutil.which("redis-server")), "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL
    )
    try:
        await asyncio.sleep(1.0)
        client = Redis(port=port)
        budgets = Budgets([Budget(usd=1e9, tenant="acme")], client)
        await budgets.open()
        found = await async_us(lambda: _spend(budgets, caller))
        await budgets.close()
        await client.aclose()
        return found
    finally:
        server.terminate()
        server.wait()


async def _spend(budgets: Budgets, caller: object) -> None:
    await (await budgets.room(caller, 0.01)).settle(0.001)  # type: ignore[arg-type]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--redis", action="store_true")
    with_redis = options.parse_args().redis
    made = [fresh_key() for _ in range(KEYS)]
    keys = Keys([Key(name=f"k{n}", sha256=sha256, tenant="acme") for n, (_, sha256) in enumerate(made)])
    headers = {"authorization": f"Bearer {made[KEYS // 2][0]}"}
    caller = keys.find(headers)
    body = {"model": "auto", "messages": [{"role": "user", "content": TEXT}]}
    call = Call("chat", json.dumps(body).encode(), body, Asked("auto"), False, frozenset(), 150, 0)
    entry = Entry(
        "r1", time.time(), caller, "chat", "small", "near", "m", 200, Usage(150, 80), 0.001, 0.01, seconds=0.4
    )
    accounts, metrics = Accounts(0.0), Metrics()
    null = Path("/dev/null").open("w")  # noqa: SIM115
    log_to(null, as_json=True, secrets=["a-providers-key"])
    logging.getLogger().setLevel(logging.INFO)
    found = {
        "keys": KEYS,
        "key_us": median_us(lambda: keys.find(headers)),
        "accounts_us": median_us(lambda: accounts.add(entry)),
        "metrics_us": median_us(lambda: metrics.add(entry)),
        "log_line_us": median_us(lambda: log_entry(entry)),
        "budget_in_memory_us": asyncio.run(budgets_us(False, caller)),
        "traffic_us": {words: log_us(words, call, entry) for words in ("off", "hashed", "redacted", "whole")},
        "prompt_characters": len(TEXT),
    }
    if with_redis:
        found["budget_in_redis_us"] = asyncio.run(budgets_us(True, caller))
    null.close()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
