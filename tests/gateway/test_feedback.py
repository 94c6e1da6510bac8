"""Outcomes that clients tell: read strictly, and only for requests of their own tenant."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router_model.errors import RequestError
from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.feedback import Feedback, Outcome
from router_model.serving.gateway.keys import Caller
from router_model.serving.gateway.usage import Usage

ADA = Caller("ada", "acme", frozenset())
EVE = Caller("eve", "other", frozenset())
ENTRY = Entry("r1", 1.0, ADA, "chat", "small", "near", "m", 200, Usage(1, 1), 0.1)


def told(outcome: object, request_id: object = "r1") -> bytes:
    return json.dumps({"request_id": request_id, "outcome": outcome}).encode()


@pytest.mark.parametrize(("said", "outcome"), [("good", 1.0), ("bad", 0.0), (0.25, 0.25), (1, 1.0), (0, 0.0)])
def test_an_outcome_of_a_known_request_names_its_tier(said: object, outcome: float) -> None:
    feedback = Feedback(clock=lambda: 5.0)
    feedback.remember(ENTRY)
    assert feedback.read(told(said), ADA) == Outcome("r1", outcome, "acme", 5.0, "small")


def test_a_request_of_another_worker_is_taken_without_a_tier() -> None:
    assert Feedback().read(told("good", "elsewhere"), ADA).tier is None


def test_a_request_of_another_tenant_is_not_there() -> None:
    feedback = Feedback()
    feedback.remember(ENTRY)
    with pytest.raises(RequestError, match="no request 'r1' of yours") as refused:
        feedback.read(told("bad"), EVE)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "body",
    [
        *(told(1.5), told(-0.1), told(True), told("fine"), told(None), told("good", ""), told("good", 7)),
        *(told("good", "a\nb"), told("good", "a" * 200), b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b"NaN"),
        b'{"request_id": "r1", "outcome": NaN}',
        b'{"request_id": "r1", "outcome": 1, "more": 1}',
        b'{"request_id": "\\ud800", "outcome": 1}',
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        Feedback().read(body, ADA)
    assert refused.value.status == 400


@given(st.binary(max_size=60))
def test_no_bytes_do_worse_than_be_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        Feedback().read(body, ADA)


def test_only_the_last_requests_are_remembered() -> None:
    feedback = Feedback(remembered=2)
    for number in range(3):
        feedback.remember(replace(ENTRY, request_id=f"r{number}"))
    assert [feedback.read(told(1, f"r{number}"), ADA).tier for number in range(3)] == [None, "small", "small"]
