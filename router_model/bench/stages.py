"""Where a decision's time goes: the steps of ``Router.route``, each between two looks at the clock."""

import statistics
import time
from collections.abc import Sequence
from itertools import pairwise

from router_model import prompt as prompts
from router_model import tokens
from router_model.decision import Decision
from router_model.features import featurize
from router_model.offer import CHARACTERS_PER_TOKEN
from router_model.prompt import Request
from router_model.router import Router

STAGES = ("read", "tokens", "features", "graph", "policy and decision")


def shares(router: Router, requests: Sequence[Request]) -> dict[str, dict[str, float]]:
    """Median microseconds of each stage and its share of their sum; looking costs 0.1 a stage."""
    rows = [timed(router, request)[1] for request in requests]
    medians = [statistics.median(column) / 1000 for column in zip(*rows, strict=True)]
    return {
        name: {"microseconds": round(median, 2), "share": round(median / sum(medians), 3)}
        for name, median in zip(STAGES, medians, strict=True)
    }


def timed(router: Router, request: Request) -> tuple[Decision, list[int]]:
    """What ``Router.route`` does for one request, and the nanoseconds of each stage."""
    clock, session, tokenizer = time.perf_counter_ns, router._session, router._tokenizer
    point, limit = router.policy.default, router._max_tokens
    marks = [clock()]
    prompt = prompts.read(request)
    marks.append(clock())
    ids = tokenizer.encode(prompt.text)
    truncated = prompt.truncated
    if ids.size > limit:
        truncated = True
        ids = tokens.window(ids, limit)
    elif not ids.size:
        ids = router._nothing
    marks.append(clock())
    features = featurize(prompt)
    marks.append(clock())
    outputs = session.one(ids, features)
    marks.append(clock())
    if router._weights is not None and point.rule == "router":
        chosen = router._weights.choose(outputs, point.penalty, prompt.characters)
    else:
        chosen = router.policy.choose(outputs, point, prompt.text)
    characters, asked = prompt.characters, prompt.characters / CHARACTERS_PER_TOKEN
    decision = Decision(router._offers, chosen, outputs, characters, asked, truncated, point)
    marks.append(clock())
    return decision, [end - start for start, end in pairwise(marks)]
