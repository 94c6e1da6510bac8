"""Speed and memory of ``router-model ingest`` on a JSON Lines file of a given size.

    python benchmarks/ingest.py [--gigabytes 5] [--format record|openai] [--folder DIR] > ingest.json

The file is made of random words with lengths as in real traffic (log-normal, about 1 KB a record, 2 KB a
pair), read once by the command as a user starts it, and deleted. Memory is the sum of the resident pages of
all its processes (proportional set size, so that shared pages count once), sampled ten times a second, at its
peak. For figures of two cores: ``taskset -c 0,1 python benchmarks/ingest.py``. It needs Linux.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from processes import run

MODELS = ("small-8b", "mid-70b", "large-400b")
DISTINCT = 4000  # rows that are made; they repeat under other ids


def text(chance: random.Random, words: list[str]) -> str:
    """Words, 75 in the median and some thousands at most."""
    return " ".join(chance.choices(words, k=min(4000, max(3, int(chance.lognormvariate(4.3, 1.0))))))


def record(chance: random.Random, words: list[str]) -> dict[str, Any]:
    """A row of this project's own format."""
    return {
        "id": "row-@",
        "prompt": text(chance, words),
        "outcomes": {model: float(chance.random() < 0.7) for model in MODELS},
        "output_tokens": {model: chance.randint(5, 900) for model in MODELS},
        "cost_usd": {model: chance.random() * 0.01 for model in MODELS},
        "timestamp": "2026-01-01T00:00:00Z",
        "session": f"session-{chance.randrange(10_000)}",
        "task": "chat",
    }


def pair(chance: random.Random, words: list[str]) -> dict[str, Any]:
    """A request and response of OpenAI chat completions."""
    system = {"role": "system", "content": "You are a helpful assistant."}
    tokens = {"prompt_tokens": 90, "completion_tokens": 110, "total_tokens": 200}
    message = {"role": "assistant", "content": text(chance, words), "refusal": None}
    return {
        "request": {
            "model": "gpt-4o",
            "messages": [system, {"role": "user", "content": text(chance, words)}],
            "temperature": 0.7,
        },
        "response": {
            "id": "chatcmpl-@",
            "object": "chat.completion",
            "created": 1_760_000_000,
            "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": tokens,
        },
    }


KINDS: dict[str, Callable[[random.Random, list[str]], dict[str, Any]]] = {"record": record, "openai": pair}


def lines(kind: str, size: int) -> Iterator[bytes]:
    """Rows of about ``size`` bytes in all, each with an id of its own."""
    chance = random.Random(0)  # noqa: S311  # of a benchmark, the same each time
    words = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(5000)]
    rows = [json.dumps(KINDS[kind](chance, words)).encode().split(b"@") for _ in range(DISTINCT)]
    written = number = 0
    while written < size:
        head, tail = rows[number % DISTINCT]
        line = b"%b%d%b\n" % (head, number, tail)
        number, written = number + 1, written + len(line)
        yield line


def measure(path: Path, out: Path) -> dict[str, Any]:
    """Seconds, peak memory and the command's own report."""
    command = [sys.executable, "-m", "router_model.cli", "ingest", str(path), "--out", str(out), "--json"]
    done = run(command)
    return {
        "seconds": done.seconds,
        "cpu_seconds": done.cpu_seconds,
        "peak_memory_mb": done.peak_pss_mb,
        "rows": json.loads(done.output)["tally"]["rows"],
    }


def main() -> None:
    """Make the file, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--format", choices=sorted(KINDS), default="record")
    parser.add_argument("--folder", help="for the files, some 1.5 times the size; the system's own otherwise")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path, out = Path(folder) / "log.jsonl", Path(folder) / "records.parquet"
        with path.open("wb") as file:
            file.writelines(lines(arguments.format, int(arguments.gigabytes * 1e9)))
        found = measure(path, out)
        size = path.stat().st_size
        found |= {"input_mb": size / 1e6, "output_mb": out.stat().st_size / 1e6}
    found["mb_per_second"] = found["input_mb"] / found["seconds"]
    cores = len(os.sched_getaffinity(0))
    print(json.dumps({"format": arguments.format, "cores": cores, **found}, indent=2))


if __name__ == "__main__":
    main()
