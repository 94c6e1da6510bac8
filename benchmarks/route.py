"""Time per decision, from the string to the ``Decision``, against a bare tokenizer and graph.

    python benchmarks/route.py ROUTER [PROMPTS.jsonl ...] > route.json

Prompts are those of the files, or English filler of several lengths where none is given. Each prompt is
routed once a round, so that no decision is served from a cache of itself; figures are medians of rounds.
The yardstick, in the same rounds, is the Hugging Face tokenizer where installed and nothing else: what a
router that tokenises the usual way pays before it has looked at a single weight.
"""

import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from router_model import Router
from router_model.data.readers import read_records
from router_model.errors import TokenizerError
from router_model.tokens import HuggingFaceTokenizer

ROUNDS = 5
PROMPTS = 400
WORDS = (10, 32, 128, 512)
VOCABULARY = (
    "when the server restarts we lose open orders so please find why and suggest one safe fix".split()
)


def filler(words: int, seed: int) -> list[str]:
    """Distinct prompts of so many words."""
    chance = random.Random(seed)  # noqa: S311  # not a secret
    return [" ".join(chance.choices(VOCABULARY, k=words - 1)) + f" {number}" for number in range(PROMPTS)]


def microseconds(call: Callable[[str], object], prompts: Sequence[str]) -> list[float]:
    """Time of each call, in ascending order."""
    times = []
    for prompt in prompts:
        started = time.perf_counter_ns()
        call(prompt)
        times.append((time.perf_counter_ns() - started) / 1000)
    return sorted(times)


def measure(call: Callable[[str], object], prompts: Sequence[str]) -> dict[str, float]:
    """p50 and p99 in microseconds, each the median over rounds."""
    rounds = [microseconds(call, prompts) for _ in range(ROUNDS)]
    at = {"p50": 0.5, "p99": 0.99}
    return {
        name: round(statistics.median(times[int(share * (len(times) - 1))] for times in rounds), 1)
        for name, share in at.items()
    }


def main(router_path: str, *data: str) -> None:
    """Print one JSON object."""
    router = Router.load(router_path)
    sets = {f"{words} words": filler(words, seed=words) for words in WORDS}
    for path in data:
        sets[Path(path).name] = [record.prompt.text for record in read_records(path)]
    try:
        yardstick = HuggingFaceTokenizer(router.artifact.manifest.tokenizer_json)
    except TokenizerError:
        yardstick = None
    results = {}
    for name, prompts in sets.items():
        microseconds(router.route, prompts[:50])
        results[name] = {"prompts": len(prompts), "route": measure(router.route, prompts)}
        if yardstick:
            results[name]["hugging_face_tokenizer"] = measure(yardstick.encode, prompts)
        started = time.perf_counter()
        router.route_batch(prompts)
        results[name]["batch_per_second"] = round(len(prompts) / (time.perf_counter() - started))
    machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
    print(
        json.dumps(
            {"unit": "microseconds", "rounds": ROUNDS, "machine": machine, "results": results}, indent=1
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
