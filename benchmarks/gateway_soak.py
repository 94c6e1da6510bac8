"""Whether a gateway that is reloaded every few seconds drops a request, loses a row, or grows.

    python benchmarks/gateway_soak.py [--seconds S] [--rate R] [--reload S] [--workers N] > soak.json

Every fourth request is a stream. A reload is by a changed file and by SIGHUP in turn; each third time the
file is a broken one, which has to be refused. Memory is the gateway's proportional set size, all processes
together, each second: ``grown`` compares the median of the last quarter of the time with that of the second
quarter, as the first fills buffers and caches. At the end the gateway is stopped by SIGTERM, and the rows of
its traffic log are counted. It needs Linux.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import load
from load import Load, Reply, at
from processes import memory
from stage import Gateway, Model, cores, progress, provider, running, stop

MOST_GROWTH = 0.05
SAMPLE_SECONDS = 1.0


def main() -> None:
    """Run it, and print what was found as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--reload", type=float, default=10.0, help="seconds between two reloads")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(soak(Path(folder), asked), indent=1))


def soak(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    own, other = cores()
    model, gateway = Model(other, folder / "model.log"), Gateway(folder, own)
    os.sched_setaffinity(0, {other})
    with running(gateway, model):
        model.start()
        tiers = [("small", 0.1), ("medium", 0.4), ("large", 3.0)]
        config = {
            "tiers": [{"name": name, "providers": [provider(name, model, usd)]} for name, usd in tiers],
            "listen": {"port": 0, "workers": asked.workers},
            "traffic": {"folder": "traffic", "explore": 0.02},
        }
        gateway.start(config)
        replies, reloads, sizes = load.run(lambda: all_at_once(gateway, config, asked))
        counted = gateway.counted("router_requests_total")
        done, refused = (gateway.counted("router_reloads_total", word) for word in ("done", "refused"))
        status = stop(gateway.process)
    failed = [reply for reply in replies if not reply.good]
    written = rows(folder / "traffic")
    quarter = len(sizes) // 4
    early, late = statistics.median(sizes[quarter : 2 * quarter]), statistics.median(sizes[-quarter:])
    return {
        "requests": len(replies),
        "failed": len(failed),
        "first_failures": [f"{reply.due:.2f} s: {reply.status} {reply.said[-160:]}" for reply in failed[:3]],
        "rows": written,
        "rows_equal_requests": written == len(replies),
        "counted": round(counted),
        "reloads": {**reloads, "done": round(done), "refused": round(refused)},
        "p50_ms": round(at([reply.seconds for reply in replies], 0.5) * 1e3, 2),
        "p99_ms": round(at([reply.seconds for reply in replies], 0.99) * 1e3, 2),
        "slowest_ms": round(max(reply.seconds for reply in replies) * 1e3, 1),
        "memory_mb": {"early": round(early / 1e6, 1), "late": round(late / 1e6, 1), "most": max(sizes) / 1e6},
        "memory_each_minute_mb": [round(size / 1e6, 1) for size in sizes[:: round(60 / SAMPLE_SECONDS)]],
        "grown": round(late / early - 1, 4),
        "flat": late / early - 1 <= MOST_GROWTH,
        "stopped_with": status,
    }


async def all_at_once(
    gateway: Gateway, config: dict[str, Any], asked: argparse.Namespace
) -> tuple[list[Reply], dict[str, int], list[int]]:
    """Replies to the load, reloads that were asked for meanwhile, and sizes of the gateway in bytes."""
    bodies = load.bodies("auto", stream_share=0.25, max_tokens=20)
    reloads = {"by_file": 0, "by_signal": 0, "broken": 0}
    sizes: list[int] = []
    others = [
        asyncio.create_task(reload(gateway, config, asked.reload, reloads)),
        asyncio.create_task(watch(gateway, sizes)),
    ]
    try:
        replies = await Load(gateway.url + "/v1", bodies).at_rate(asked.rate, asked.seconds)
    finally:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    return replies, reloads, sizes


async def reload(gateway: Gateway, config: dict[str, Any], seconds: float, counts: dict[str, int]) -> None:
    """Change the file, send a signal, and break the file, in turn."""
    for number in range(1_000_000):
        await asyncio.sleep(seconds)
        if number % 3 == 2:
            counts["broken"] += 1
            gateway.write({"tiers": [], "number": number})
            continue
        gateway.write(
            {**config, "metrics_open": True, "json_logs": False, "dial": {"quality": 0.9 + number % 9 / 100}}
        )
        if number % 3 == 1:
            counts["by_signal"] += 1
            gateway.process.send_signal(signal.SIGHUP)
        else:
            counts["by_file"] += 1


async def watch(gateway: Gateway, sizes: list[int]) -> None:
    """Sample the memory."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        sizes.append((await asyncio.to_thread(memory, gateway.process.pid))[1])
        if len(sizes) % 60 == 0:
            progress(f"{time.monotonic() - began:.0f} s, {sizes[-1] / 1e6:.1f} MB")


def rows(folder: Path) -> int:
    """Of the log's parts; what is in a journal was not ended, and does not count."""
    import pyarrow.parquet as parquet

    return sum(parquet.read_metadata(path).num_rows for path in folder.glob("date=*/*.parquet"))


if __name__ == "__main__":
    main()
