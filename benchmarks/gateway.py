"""What the gateway adds to a call, and how many it passes on: one worker on one core.

    python benchmarks/gateway.py [--litellm VENV] [--seconds S] [--rounds N] > gateway.json

The gateway has the first core to itself; the load and the upstream, a pretend model that answers at once,
share the last. Prompts are those of the starter corpus. Measured are

- ``added``: latency at a fixed rate, each request sent when it is due, less that of a direct call at the same
  rate. Rounds of both alternate, so that a busy moment of the machine falls on both;
- ``added_busy_polling``: the same, in the same rounds, of a second gateway on the same core, whose worker
  does not sleep for ``--busy-polling-ms`` after bytes came or went. The first is as it is by default;
- ``core``: the share of a core that either takes at some rates;
- ``most``: requests a second by ``wrk`` over 16 connections, with the processor time that one takes;
- ``chunk``: what a further chunk of a stream takes, from streams of 50 and of 2 chunks: the latency that it
  adds to the whole stream beside a direct one, and the processor time. Chunks are written ``together``, or
  ``one_by_one`` without a pause (which the bar is for), or 4 ms ``apart``, when the process sleeps before
  each; then streams overlap, pauses hide the latency, and only the processor's time tells. The ``relay``
  beside it passes bytes from socket to socket and does nothing else;
- ``router``: time of a decision by the gateway's own metrics, beside the latency added and the processor time
  of a request;
- ``litellm``: LiteLLM's Router in a process of its own on the gateway's core, with the same upstream and
  bodies, where ``--litellm`` names a virtual environment that has it. It is called in process: no client's
  connection is counted against it. ``one_at_a_time`` stands beside the same for the gateway.

It needs Linux, and two idle cores for steady figures.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import load
from load import Load, Reply, at
from stage import Gateway, Model, Relay, cores, cpu_seconds, progress, provider, running, start, stop

CHUNKS = 50
FEW = 2
RATES = (0, 1, 10, 50, 200)  # requests a second for which a core is shared
CONNECTIONS = 16
LANES = 8
PACES = {"together": 0.0, "one_by_one": 1e-6, "apart": 0.004}  # seconds between chunks
BARS = {
    "added_p50_ms": 1.0,
    "added_p99_ms": 5.0,
    "added_busy_polling_p50_ms": 1.0,
    "added_busy_polling_p99_ms": 5.0,
    "requests_per_second": 1500.0,
    "chunk_us": 20.0,
    "router_share": 0.05,
}
LUA = """
local bodies, place = {}, 0
for line in io.lines("%s") do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
request = function()
  place = place %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[place])
end
"""


def main() -> None:
    """Measure, and print what was found as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second of the latencies")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy-polling-ms", type=float, default=10.0, help="of the second gateway")
    parser.add_argument("--streams", type=int, default=200, help="of each kind")
    parser.add_argument("--litellm", type=Path, help="a virtual environment in which LiteLLM is installed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), asked), indent=1))


def measure(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    own, other = cores()
    model = Model(other, folder / "model.log")
    gateway, relay = Gateway(folder, own), Relay(model, own, folder / "relay.log")
    (folder / "busy").mkdir()
    busy = Gateway(folder / "busy", own)
    os.sched_setaffinity(0, {other})
    with running(gateway, busy, relay, model):
        model.start(chunks=CHUNKS)
        relay.start()
        tiers = [("small", 0.1), ("medium", 0.4), ("large", 3.0)]
        named = [{"name": name, "providers": [provider(name, model, usd)]} for name, usd in tiers]
        gateway.start({"tiers": named})
        busy.start({"tiers": named, "listen": {"port": 0, "busy_polling_ms": asked.busy_polling_ms}})
        bodies = load.bodies("auto", max_tokens=CHUNKS)
        added = measure_added({"added": gateway, "added_busy_polling": busy}, model, bodies, asked)
        core = measure_core({"default": gateway, "busy_polling": busy}, bodies, asked.seconds)
        stop(busy.process)
        found = {
            "machine": {
                "processor": processor(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
            },
            **added,
            "core": {"busy_polling_ms": asked.busy_polling_ms, **core},
            "most": measure_most(gateway, model, bodies, asked, folder),
            "chunk": measure_chunk(gateway, model, relay, asked.streams),
            "one_at_a_time": one_at_a_time(gateway.url + "/v1", bodies),
        }
        stop(gateway.process)
        found["litellm"] = measure_litellm(asked.litellm, model, bodies, own, folder)
    return {**found, **judged(found)}


def measure_added(
    gateways: Mapping[str, Gateway], model: Model, bodies: Sequence[bytes], asked: argparse.Namespace
) -> dict[str, Any]:
    """Milliseconds that a call takes longer than a direct one, at a fixed rate."""
    rounds = []
    urls = {"direct": model.base_url, **{name: gateway.url + "/v1" for name, gateway in gateways.items()}}
    for url in urls.values():  # to warm up
        good(load.run(lambda url=url: Load(url, bodies).at_rate(asked.rate, min(2.0, asked.seconds))))
    decided = {name: decisions(gateway) for name, gateway in gateways.items()}
    for number in range(asked.rounds):
        progress(f"latency at {asked.rate:g} requests/s, round {number + 1} of {asked.rounds}")
        one: dict[str, dict[str, float]] = {}
        for name, url in urls.items():
            replies = good(load.run(lambda url=url: Load(url, bodies).at_rate(asked.rate, asked.seconds)))
            one[name] = {**spread([r.seconds for r in replies]), "late_p99_ms": at_ms(replies, 0.99)}
        rounds.append(one)
    return {
        name: {
            "requests_per_second": asked.rate,
            **{
                f"{share}_ms": round(
                    statistics.median(
                        one[name][f"{share}_ms"] - one["direct"][f"{share}_ms"] for one in rounds
                    ),
                    3,
                )
                for share in ("p50", "p99")
            },
            "decision_us": decision_us(gateway, decided[name]),
            "rounds": [{"direct": one["direct"], "gateway": one[name]} for one in rounds],
        }
        for name, gateway in gateways.items()
    }


def decision_us(gateway: Gateway, since: tuple[float, float]) -> float | None:
    """Microseconds of a decision since ``decisions`` was asked, the mean."""
    count, total = (after - before for after, before in zip(decisions(gateway), since, strict=True))
    return round(total / count * 1e6, 1) if count else None


def measure_core(
    gateways: Mapping[str, Gateway], bodies: Sequence[bytes], seconds: float
) -> dict[str, dict[str, float]]:
    """The share of a core that each takes, by requests a second."""
    found: dict[str, dict[str, float]] = {}
    for rate in RATES:
        progress(f"share of a core at {rate} requests/s")
        for name, gateway in gateways.items():
            before, began = cpu_seconds(gateway.process.pid), time.monotonic()
            if rate:
                good(load.run(lambda g=gateway, r=rate: Load(g.url + "/v1", bodies).at_rate(r, seconds)))
            else:
                time.sleep(seconds)
            used = cpu_seconds(gateway.process.pid) - before
            found.setdefault(name, {})[str(rate)] = round(used / (time.monotonic() - began), 4)
    return found


def measure_most(
    gateway: Gateway, model: Model, bodies: Sequence[bytes], asked: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Requests a second that one worker passes on, and what the load and the upstream do without it."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return {"not_run": "wrk is not installed"}
    (folder / "bodies.txt").write_bytes(b"\n".join(bodies))
    (folder / "load.lua").write_text(LUA % (folder / "bodies.txt"))
    found: dict[str, Any] = {"connections": CONNECTIONS}
    for name, url in {"direct": model.base_url, "gateway": gateway.url + "/v1"}.items():
        rates, took = [], []
        for number in range(asked.rounds):
            progress(f"most requests a second, {name}, round {number + 1} of {asked.rounds}")
            flags = [
                "-t1",
                f"-c{CONNECTIONS}",
                f"-d{max(1, round(asked.seconds))}s",
                "-s",
                folder / "load.lua",
            ]
            before = cpu_seconds(gateway.process.pid)
            told = subprocess.run(
                [wrk, *flags, url + "/chat/completions"], capture_output=True, text=True, check=True
            ).stdout
            if "Non-2xx" in told or "Socket errors" in told:
                raise SystemExit(f"requests failed:\n{told}")
            rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1]))  # type: ignore[index]
            count = int(re.search(r"(\d+) requests in", told)[1])  # type: ignore[index]
            took.append((cpu_seconds(gateway.process.pid) - before) / count * 1e6)
        found[name] = {"requests_per_second": round(statistics.median(rates)), "rounds": rates}
        if name == "gateway":
            found[name]["processor_us_per_request"] = round(statistics.median(took), 1)
    return found


def measure_chunk(gateway: Gateway, model: Model, relay: Relay, streams: int) -> dict[str, Any]:
    """Microseconds that one more chunk of a stream takes, by how the upstream sends them."""
    bodies = load.bodies("auto", stream_share=1.0)
    targets = {
        "direct": (model.base_url, model.process.pid),
        "gateway": (gateway.url + "/v1", gateway.process.pid),
        "relay": (relay.base_url, relay.process.pid),
    }
    found: dict[str, Any] = {"streams": streams}
    for way, seconds in PACES.items():
        progress(f"streams, chunks {way.replace('_', ' ')}")
        took: dict[str, dict[int, tuple[float, float]]] = {name: {} for name in targets}
        for chunks in (FEW, CHUNKS):
            model.behave(chunks=chunks, chunk_seconds=seconds)
            for name, (url, pid) in targets.items():
                took[name][chunks] = streamed(url, pid, bodies, streams, LANES if way == "apart" else 1)
        wall, processor_us = (
            {name: (two[CHUNKS][k] - two[FEW][k]) / (CHUNKS - FEW) * 1e6 for name, two in took.items()}
            for k in (0, 1)
        )
        found[way] = {
            name: {
                "added_us": round(wall[name] - wall["direct"], 2),
                "processor_us": round(processor_us[name], 2),
            }
            for name in ("gateway", "relay")
        }
    model.behave(chunks=CHUNKS)
    return found


def streamed(url: str, pid: int, bodies: Sequence[bytes], streams: int, lanes: int) -> tuple[float, float]:
    """Seconds of a stream, the median, and of a process' time on a core for each."""
    good(load.run(lambda: Load(url, bodies).at_once(lanes, 2 * lanes)))  # to warm up
    before = cpu_seconds(pid)
    replies = good(load.run(lambda: Load(url, bodies).at_once(lanes, streams)))
    used = cpu_seconds(pid) - before
    return statistics.median(reply.seconds for reply in replies), used / streams


def one_at_a_time(url: str, bodies: Sequence[bytes], count: int = 200) -> dict[str, float]:
    """Latency of calls that follow each other."""
    return spread([r.seconds for r in good(load.run(lambda: Load(url, bodies).at_once(1, count)))])


def measure_litellm(
    venv: Path | None, model: Model, bodies: Sequence[bytes], core: int, folder: Path
) -> dict[str, Any]:
    """LiteLLM's Router over the same upstream."""
    if venv is None or not (python := venv / "bin" / "python").exists():
        return {"not_run": "give --litellm VENV, a virtual environment in which litellm is installed"}
    progress("LiteLLM's Router")
    script, out = Path(__file__).with_name("gateway_litellm.py"), folder / "litellm.json"
    (folder / "bodies.txt").write_bytes(b"\n".join(bodies))
    command = [str(python), str(script), model.base_url, str(folder / "bodies.txt"), str(out)]
    process = start(command, core, folder / "litellm.log")
    if process.wait(300):
        raise SystemExit(f"LiteLLM's Router failed:\n{(folder / 'litellm.log').read_text()[-2000:]}")
    told: dict[str, Any] = json.loads(out.read_text())
    return told


def judged(found: dict[str, Any]) -> dict[str, Any]:
    """The router's share, and each bar with whether it was met."""
    added, most, chunk = found["added"], found["most"], found["chunk"]
    router = {"decision_us": added["decision_us"]}
    if added["decision_us"]:
        router["share_of_added_p50"] = round(added["decision_us"] / 1e3 / added["p50_ms"], 4)
        if "gateway" in most:
            processor_us = most["gateway"]["processor_us_per_request"]
            router["share_of_processor_time"] = round(added["decision_us"] / processor_us, 4)
    values = {
        "added_p50_ms": added["p50_ms"],
        "added_p99_ms": added["p99_ms"],
        "added_busy_polling_p50_ms": found["added_busy_polling"]["p50_ms"],
        "added_busy_polling_p99_ms": found["added_busy_polling"]["p99_ms"],
        "requests_per_second": most.get("gateway", {}).get("requests_per_second"),
        "chunk_us": chunk["one_by_one"]["gateway"]["added_us"],
        "router_share": router.get("share_of_added_p50"),
    }
    bars = {}
    for name, bar in BARS.items():
        value = values[name]
        met = value is not None and (value >= bar if name == "requests_per_second" else value <= bar)
        bars[name] = {"value": value, "bar": bar, "met": met}
    return {"router": router, "bars": bars}


def decisions(gateway: Gateway) -> tuple[float, float]:
    """How many the router made, and their seconds together."""
    return tuple(gateway.counted(f"router_decision_seconds_{part}") for part in ("count", "sum"))  # type: ignore[return-value]


def good(replies: list[Reply]) -> list[Reply]:
    """The same, all of which are answers."""
    if bad := [reply for reply in replies if not reply.good]:
        raise SystemExit(f"{len(bad)} of {len(replies)} requests failed, the first as {bad[0]}")
    return replies


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    return {f"p{share * 100:g}_ms": round(at(seconds, share) * 1e3, 3) for share in (0.5, 0.9, 0.99)}


def at_ms(replies: Sequence[Reply], share: float) -> float:
    """By how much this generator was late."""
    return round(at([reply.late for reply in replies], share) * 1e3, 3)


def processor() -> str:
    """Its name."""
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor()


if __name__ == "__main__":
    main()
