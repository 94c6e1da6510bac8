"""The whole benchmark of one router, as plain data."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from router_model.bench import fresh, requests, stages, timing
from router_model.bench.requests import Sample
from router_model.prompt import Request, read
from router_model.router import Router

HOSTILE_CALLS = 15
SLOW_CALLS = 40  # of a yardstick that takes milliseconds
SLOW = 2000.0  # microseconds
Call = Callable[[Request], object]
Done = Callable[[str, float], None]


def bench(
    router_path: Path,
    real: Sample,
    yardsticks: Mapping[str, Call],
    *,
    rounds: int = 5,
    count: int = 1000,
    junk: int = 1_000_000,
    done: Done = lambda stage, share: None,
) -> dict[str, Any]:
    """Time a router from the request to the ``Decision``, and against yardsticks in the same rounds.

    Args:
        real: requests to time beside English of known lengths, and those that warm the tokenizer's cache.
        yardsticks: by name, what takes the same requests.
        rounds: each figure is a median over so many, and their best is given beside it.
        count: distinct prompts of each length.
        junk: distinct prompts of random letters, after which memory is read.
        done: called with what is done and its share of the whole.

    Raises:
        FileError, ArtifactError, TokenizerError: as ``Router.load``.
    """
    router = Router.load(router_path)
    english = {f"{n} tokens": requests.english(n, count) for n in requests.LENGTHS}
    classes: dict[str, Sequence[Request]] = {**english, "real mix": real.timed}
    others = [*real.others, *(text for n in requests.LENGTHS for text in requests.english(n, 100, seed=1))]

    def remember() -> None:
        for request in others:
            router.route(request)

    parts = len(classes) + 4
    result: dict[str, Any] = {"unit": "microseconds", "rounds": rounds, "machine": fresh.machine()}
    result["route"] = {}
    for position, (name, prompts) in enumerate(classes.items()):
        done(name, position / parts)
        result["route"][name] = _of_class(router, prompts, yardsticks, rounds, remember)
    done("messages", len(classes) / parts)
    result["messages"] = _of_messages(router, real.timed, rounds, remember)
    done("hostile requests", (len(classes) + 1) / parts)
    result["hostile"] = hostile(router, rounds)
    done("throughput", (len(classes) + 2) / parts)
    streams: dict[str, Sequence[Request]] = {**english, "real mix": [*real.timed, *real.others]}
    result["per_second"] = {name: _throughput(router, stream, rounds) for name, stream in streams.items()}
    done("memory", (len(classes) + 3) / parts)
    result["process"] = fresh.measure(router_path, junk)
    return result


def hostile(router: Router, rounds: int) -> dict[str, Any]:
    """Each class of a megabyte, its median and maximum; "worst" is the class of the largest median.

    The tokenizer's cache is emptied before each call, since an adversary does not send the same twice.
    """
    classes = {}
    for name, make in requests.HOSTILE.items():
        request = make()
        best = timing.over_rounds([_cold(router, request) for _ in range(rounds)])["best"]
        classes[name] = {"p50": best["p50"], "max": best["max"]}
    worst = max(classes, key=lambda name: classes[name]["p50"])
    return {"worst": {"class": worst, **classes[worst]}, "classes": classes}


def _cold(router: Router, request: Request) -> list[float]:
    times = []
    for _ in range(HOSTILE_CALLS):
        router.forget()
        times += timing.laps(router.route, [request])
    return sorted(times)


def _of_class(
    router: Router,
    prompts: Sequence[Request],
    yardsticks: Mapping[str, Call],
    rounds: int,
    remember: Callable[[], None],
) -> dict[str, Any]:
    calls: dict[str, Call] = {"router": router.route, **yardsticks}
    asked = {name: prompts if _quick(call, prompts) else prompts[:SLOW_CALLS] for name, call in calls.items()}
    timed = timing.compare(calls, asked, rounds, router.forget, remember)
    ours = timed.pop("router")
    medians = {name: one["warm"]["median"]["p50"] for name, one in timed.items()}
    return {
        "prompts": len(prompts),
        **ours,
        "stages": stages.shares(router, prompts),
        "yardsticks": timed,
        "times_faster": {
            name: round(p50 / ours["warm"]["median"]["p50"], 1) for name, p50 in medians.items()
        },
    }


def _of_messages(
    router: Router, prompts: Sequence[Request], rounds: int, remember: Callable[[], None]
) -> dict[str, Any]:
    """What it costs to pass four messages over passing the text that the router reads of as many others."""
    texts = [read(prompt).text for prompt in prompts]
    asked: dict[str, Sequence[Request]] = {
        "messages": requests.conversations(texts, len(prompts), seed=0),
        "text": [read(chat).text for chat in requests.conversations(texts, len(prompts), seed=1)],
    }
    timed = timing.compare(dict.fromkeys(asked, router.route), asked, rounds, router.forget, remember)
    both = {name: one["warm"] for name, one in timed.items()}
    extra = {
        kind: round(both["messages"][kind]["p50"] - both["text"][kind]["p50"], 1)
        for kind in ("median", "best")
    }
    return {**both, "extra_p50": extra}


def _quick(call: Call, prompts: Sequence[Request]) -> bool:
    return timing.summary(timing.laps(call, prompts[:5]))["p50"] < SLOW


def _throughput(router: Router, stream: Sequence[Request], rounds: int) -> dict[str, Any]:
    """Decisions a second over distinct requests: "cold", the tokenizer's cache empty at first, and "warm"."""

    def one_by_one(every: Sequence[Request]) -> None:
        for request in every:
            router.route(request)

    def nothing() -> None:
        """The words of all requests are left in the cache."""

    result: dict[str, Any] = {"requests": len(stream)}
    for state, prepare in (("cold", router.forget), ("warm", nothing)):
        one = timing.per_second(one_by_one, stream, rounds, prepare)
        batch = timing.per_second(router.route_batch, stream, rounds, prepare)
        result[state] = {"one_by_one": one, "batch": batch, "times": round(batch / one, 2)}
    return result
