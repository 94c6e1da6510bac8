"""Microseconds of calls: rounds over distinct requests, the ones to compare taking turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
Summary = dict[str, float]


def laps(call: Callable[[Any], object], requests: Sequence[Any]) -> list[float]:
    """Microseconds of each call, in ascending order."""
    clock = time.perf_counter_ns
    times = []
    for request in requests:
        started = clock()
        call(request)
        times.append((clock() - started) / 1000)
    return sorted(times)


def summary(times: Sequence[float]) -> Summary:
    """p50, p90, p99 and the maximum of ascending times."""
    return {name: round(times[round(share * (len(times) - 1))], 1) for name, share in QUANTILES.items()}


def over_rounds(rounds: Sequence[Sequence[float]]) -> dict[str, Summary]:
    """Each figure's median over rounds and its best, since other work on a machine only ever adds time."""
    each = [summary(times) for times in rounds]
    return {
        "median": {name: round(statistics.median(one[name] for one in each), 1) for name in QUANTILES},
        "best": {name: min(one[name] for one in each) for name in QUANTILES},
    }


def compare(
    calls: Mapping[str, Callable[[Any], object]],
    requests: Mapping[str, Sequence[Any]],
    rounds: int,
    forget: Callable[[], object],
    remember: Callable[[], object],
) -> dict[str, dict[str, Any]]:
    """Time every call on its requests, in turn within each round.

    Args:
        forget: empties the tokenizer's cache of words.
        remember: fills it with those of other requests, as a service that runs has them.

    Returns:
        by call, in microseconds, "cold" (one round, begun with an empty cache) and "warm" (the others, each
        begun with the words of other requests alone, so that no timed request was seen before).
    """
    cold = {}
    for name, call in calls.items():
        forget()
        cold[name] = summary(laps(call, requests[name]))
    warm: dict[str, list[list[float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            forget()
            remember()
            warm[name].append(laps(call, requests[name]))
    return {name: {"cold": cold[name], "warm": over_rounds(warm[name])} for name in calls}


def per_second(
    call: Callable[[Sequence[Any]], object],
    requests: Sequence[Any],
    rounds: int,
    prepare: Callable[[], object],
) -> int:
    """Requests a second of the best round; ``prepare`` is called before each."""
    best = float("inf")
    for _ in range(rounds):
        prepare()
        started = time.perf_counter()
        call(requests)
        best = min(best, time.perf_counter() - started)
    return round(len(requests) / best)
