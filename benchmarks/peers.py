"""Time per decision of other local routers, beside this one, on the same prompts.

    python benchmarks/peers.py ROUTER.onnx [PROMPTS.jsonl ...] > peers.json

Each peer runs in a process of its own, on one thread of a CPU, in a virtual environment of its own that is
made with pip on the first run and kept (``--environment DIR``). Its process can open no connection: what it
tried to reach is listed under ``network``. Rounds of the peers alternate, so that a busy moment of the
machine falls on all of them; each round sends every prompt once, one by one and then as the peer's batch.
Figures are medians of rounds; beside them stand those of the first round, when no prompt was seen before.
Prompts are those of the files, or those of the starter corpus that are not among the ``examples``, the
labelled prompts that some peers learn from.

Latency is from the string to the decision. Memory is the whole process, the interpreter's own included.
Import and load is everything from a started interpreter to the first possible decision, learning included.
For steady figures keep the run on one idle core: ``taskset -c 0 python benchmarks/peers.py ...``.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from peer import PEERS, Example, Peer

ROUNDS = 5
WARM_UP = 20
EXAMPLES = 300
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "router-model" / "peers"
ONE_THREAD = dict.fromkeys(
    "OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS RAYON_NUM_THREADS".split(), "1"
) | {
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else its import asks GitHub for the prices of models
}


def environment(peer: Peer, folder: Path) -> Path:
    """The interpreter of the peer's virtual environment, made where it is missing.

    Raises:
        CalledProcessError: it could not be made; ``stderr`` says why.
    """
    if not peer.requirements:
        return Path(sys.executable)
    pins = " ".join((platform.python_version(), *peer.requirements))
    place = folder / f"{peer.package}-{hashlib.sha256(pins.encode()).hexdigest()[:8]}"
    python, ready = place / "bin" / "python", place / "ready"
    if not ready.exists():
        progress(f"{peer.package}: installing into {place}")
        install = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *peer.requirements]
        for command in ([sys.executable, "-m", "venv", "--clear", place], install):
            subprocess.run(command, check=True, capture_output=True, text=True)
        ready.write_text(pins)
    return python


def start(name: str, folder: Path, job: str) -> tuple[subprocess.Popen[str] | None, dict[str, Any]]:
    """A peer's process, loaded, and what it says of that; no process where it cannot be had."""
    progress(f"{name}: loading")
    try:
        python = environment(PEERS[name], folder)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout or str(error)).splitlines()
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
        return None, {"unavailable": f"not installed: {reason:.200}"}
    process = subprocess.Popen(
        [python, "-P", Path(__file__).with_name("peer.py"), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ONE_THREAD,
    )
    loaded = ask(process, job)
    return (None if "unavailable" in loaded else process), loaded


def ask(process: subprocess.Popen[str], line: str) -> dict[str, Any]:
    """The peer's answer to one line."""
    assert process.stdin is not None  # noqa: S101  # both are pipes
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(line + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    return (
        json.loads(answer) if answer else {"unavailable": f"its process ended with status {process.wait()}"}
    )


def summary(peer: Peer, loaded: dict[str, Any], rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A peer's figures, medians over rounds."""
    return {
        "version": loaded["version"],
        "decides": peer.decides,
        "prompts": len(rounds[0]["times"]),
        "microseconds": microseconds(rounds),
        "microseconds_first_round": microseconds(rounds[:1]),
        "per_second": round(statistics.median(row["per_second"] for row in rounds)),
        "batch": peer.batch,
        "import_and_load_s": loaded["import_and_load_s"],
        "resident_mb": {"loaded": loaded["resident_mb"], "after": rounds[-1]["resident_mb"]},
        "picks": rounds[-1]["picks"],
        "network": sorted(set(rounds[-1]["network"])),
    }


def microseconds(rounds: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Quantiles of the times of prompts, medians over rounds."""
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return {
        name: round(
            statistics.median(row["times"][int(share * (len(row["times"]) - 1))] for row in rounds), 1
        )
        for name, share in at.items()
    }


def read_prompts(paths: Sequence[str]) -> tuple[list[Example], list[str]]:
    """The examples, and the distinct prompts to route, in an order that is the same each time."""
    from router_model.data.corpus import starter_records
    from router_model.data.readers import read_records
    from router_model.data.records import Record

    def text(record: Record) -> str:
        return record.request if isinstance(record.request, str) else record.prompt.text

    chance = random.Random(0)  # noqa: S311  # not a secret
    starter = list(starter_records())
    chance.shuffle(starter)
    examples = [(text(record), str(record.best_tier)) for record in starter[:EXAMPLES]]
    records = chain.from_iterable(map(read_records, paths)) if paths else starter[EXAMPLES:]
    prompts = list(dict.fromkeys(text(record) for record in records))
    chance.shuffle(prompts)
    return examples, prompts


def progress(line: str) -> None:
    """Tell a person who waits."""
    print(line, file=sys.stderr, flush=True)


def main(router: str, paths: Sequence[str], folder: Path) -> None:
    """Print one JSON object."""
    from router_model.bench.fresh import machine

    examples, prompts = read_prompts(paths)
    job = json.dumps({"router": router, "examples": examples})
    started = {name: start(name, folder, job) for name in PEERS}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in PEERS}
    running = {name: process for name, (process, _) in started.items() if process}
    for process in running.values():
        ask(process, json.dumps(prompts[:WARM_UP]))
    for number in range(ROUNDS):
        for name, process in running.items():
            progress(f"{name}: round {number + 1} of {ROUNDS}")
            rounds[name].append(ask(process, json.dumps(prompts[: PEERS[name].prompts])))
    for process in running.values():
        process.communicate()
    peers = {
        name: summary(PEERS[name], loaded, rounds[name]) if process else loaded
        for name, (process, loaded) in started.items()
    }
    result = {"rounds": ROUNDS, "examples": EXAMPLES, "machine": machine(), "peers": peers}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("router", metavar="ROUTER.onnx")
    parser.add_argument("prompts", nargs="*", metavar="PROMPTS.jsonl")
    parser.add_argument("--environment", type=Path, default=CACHE, metavar="DIR")
    arguments = parser.parse_args()
    main(arguments.router, arguments.prompts, arguments.environment)
