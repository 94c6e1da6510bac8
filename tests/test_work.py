"""The work of one decision, counted, since time is not to be asserted: nodes, calls, memory."""

import sys
import tracemalloc
from collections import Counter
from types import FrameType
from typing import Any

import onnx
import pytest

from router_model.prompt import Request
from router_model.router import Router

TEXT = "Please summarise the history of bridges in a short paragraph. " * 4
CHAT = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": TEXT},
    {"role": "assistant", "content": TEXT},
    {"role": "user", "content": TEXT},
]


def calls(router: Router, request: Request) -> Counter[str]:
    """Functions of Python and of C that one decision calls."""
    found: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            found[event] += 1

    router.route(request)
    sys.setprofile(count)
    try:
        router.route(request)
    finally:
        sys.setprofile(None)
    found["c_call"] -= 1  # of ``setprofile`` itself
    return found


def test_the_graph_has_few_nodes(router: Router) -> None:
    graph = onnx.load_from_string(router.artifact.content).graph
    assert graph.node
    assert len(graph.node) <= 14


@pytest.mark.parametrize(("request_", "python", "c"), [(TEXT, 12, 26), (CHAT, 38, 64)], ids=["text", "chat"])
def test_a_decision_takes_few_calls(router: Router, request_: Request, python: int, c: int) -> None:
    found = calls(router, request_)
    assert found["call"] <= python, found
    assert found["c_call"] <= c, found


@pytest.mark.parametrize("words", [10, 500])
def test_a_decision_allocates_little_and_keeps_less(router: Router, words: int) -> None:
    text = "word " * words
    router.route(text)
    tracemalloc.start()
    try:
        decision = router.route(text)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decision.tier
    assert kept <= 500
    assert peak <= 4000 + 8 * len(text)


def test_decisions_leave_nothing_behind(router: Router) -> None:
    def route_all() -> None:
        for length in range(1, 60):
            router.route("word " * length)

    route_all()
    before = sys.getallocatedblocks()
    for _ in range(20):
        route_all()
    assert sys.getallocatedblocks() - before < 100
