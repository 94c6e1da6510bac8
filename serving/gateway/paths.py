"""What answers at each path of the gateway."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from router_model.errors import RequestError
from router_model.serving.gateway.call import Call, Endpoint, read_call
from router_model.serving.gateway.keys import Caller, Scope
from router_model.serving.gateway.openapi import DOCUMENT
from router_model.serving.gateway.replies import models_body
from router_model.serving.gateway.state import State
from router_model.serving.gateway.turn import Head, Pieces, Turn

GOOD = 0.5  # outcomes from here on are counted as good
JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class Incoming(Struct, frozen=True, gc=False):
    """A request as it came.

    Attributes:
        id: the gateway's.
        headers: names in lower case.
        body: whole.
        caller: who sent it; None where the path is open to all.
        dry: whether decisions are made and no upstream is called.
    """

    id: str
    headers: dict[str, str]
    body: bytes
    caller: Caller | None
    dry: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """What answers, which scope of a key it needs, and in whose shape errors are told."""

    answer: Callable[[State, Incoming], Pieces]
    scope: Scope | None = None
    shape: Endpoint = "chat"


def calling(endpoint: Endpoint) -> Path:
    """A path whose calls go upstream."""

    def answer(state: State, incoming: Incoming) -> Pieces:
        call = read_call(endpoint, incoming.body, incoming.headers, state.config.limits)
        if incoming.dry:
            return dry(state, call, incoming)
        assert incoming.caller is not None  # noqa: S101  # the path has a scope
        return Turn(state, call, incoming.caller, incoming.id, incoming.headers).run()

    return Path(answer, "call", endpoint)


async def dry(state: State, call: Call, incoming: Incoming) -> Pieces:
    """What would be done, and nothing is."""
    told = await decided(state, call, incoming)  # before the head: it may be refused
    yield Head(200, [JSON, (b"x-router-dry-run", b"true")])
    yield told


async def route(state: State, incoming: Incoming) -> Pieces:
    """The decision alone, for a body of any shape, with or without a model."""
    body = parsed(incoming.body)
    raw = incoming.body if "model" in body else msgspec.json.encode({"model": "auto", **body})
    endpoint: Endpoint = "responses" if "input" in body else "completions" if "prompt" in body else "chat"
    call = read_call(endpoint, raw, incoming.headers, state.config.limits)
    told = await decided(state, call, incoming)
    yield Head(200, [JSON])
    yield told


async def decided(state: State, call: Call, incoming: Incoming) -> bytes:
    """The decision as JSON: tier, the providers that could answer, probabilities, expected cost, why.

    It is that of the next turn, where the request goes on with a conversation, of which nothing is kept.
    """
    conversation = None
    if state.sessions is not None and incoming.caller is not None:
        conversation = await state.sessions.find(call, incoming.caller.tenant, incoming.headers)
    able = state.able(call)
    plan = state.planner.plan(call, able, conversation=conversation)
    decision = plan.decision
    told: dict[str, Any] = {
        "tier": plan.tier,
        "tiers": plan.tiers,
        "providers": [provider.name for provider in state.dispatch.able(call, plan.tier)],
        "propensity": plan.propensity,
        "explored": plan.explored,
    }
    if decision is not None:
        told |= {
            "router_tier": decision.tier,
            "sufficiency": decision.sufficiency,
            "expected_quality": decision.expected_quality,
            "expected_cost_usd": decision.expected_cost_usd,
            "truncated": decision.truncated,
            "why": decision.why,
        }
    return msgspec.json.encode(told)


async def feedback(state: State, incoming: Incoming) -> Pieces:
    """An outcome for an earlier request, by its id."""
    if not state.hears_feedback:
        what = "nothing here goes by feedback; give 'traffic' or 'sessions', or a certified router"
        raise RequestError(404, "invalid_request_error", what)
    assert incoming.caller is not None  # noqa: S101  # the path has a scope
    outcome = state.feedback.read(incoming.body, incoming.caller)
    if state.traffic is not None:
        state.traffic.tell(outcome)
    if state.sessions is not None and outcome.outcome < GOOD:
        state.sessions.fail(outcome.request_id, outcome.tenant)
    if state.guarantee is not None:
        state.guarantee.tell(outcome)
    state.metrics.count("feedback_total", outcome.tier or "", "good" if outcome.outcome >= GOOD else "bad")
    yield Head(200, [JSON])
    yield b'{"kept":true}'


async def models(state: State, incoming: Incoming) -> Pieces:
    """Words that ``model`` takes."""
    yield Head(200, [JSON])
    yield models_body(state.config)


async def health(state: State, incoming: Incoming) -> Pieces:
    """Alive."""
    yield Head(200, [JSON])
    yield b'{"status":"ok"}'


async def ready(state: State, incoming: Incoming) -> Pieces:
    """Whether requests are wanted: not where every provider of every tier is out."""
    out = [tier.name for tier in state.config.tiers if not state.dispatch.up(tier.name)]
    down = len(out) == len(state.config.tiers)
    told: dict[str, Any] = {"status": "down" if down else "ready", "tiers_out": out}
    if state.guarantee is not None:
        told["certificate"] = state.guarantee.status()
    yield Head(503 if down else 200, [JSON])
    yield msgspec.json.encode(told)


async def metrics(state: State, incoming: Incoming) -> Pieces:
    """Prometheus text of all workers."""
    state.measure()
    text = state.metrics.text(state.lasting.others("metrics"))
    yield Head(200, [TEXT])
    yield text


async def accounts(state: State, incoming: Incoming) -> Pieces:
    """What was spent and saved since the gateway began."""
    page = msgspec.json.encode(state.accounts.page(state.lasting.others("accounts")))
    yield Head(200, [JSON])
    yield page


async def openapi(state: State, incoming: Incoming) -> Pieces:
    """The description of all this."""
    yield Head(200, [JSON])
    yield OPENAPI


def parsed(raw: bytes) -> dict[str, Any]:
    """A body that is a JSON object; raises RequestError."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise RequestError(400, "invalid_request_error", "the body is not JSON; send an object") from None
    if not isinstance(body, dict):
        raise RequestError(400, "invalid_request_error", "the body is not a JSON object; send one")
    return body


OPENAPI = msgspec.json.encode(DOCUMENT)
PATHS: dict[tuple[str, str], Path] = {
    ("POST", "/v1/chat/completions"): calling("chat"),
    ("POST", "/v1/completions"): calling("completions"),
    ("POST", "/v1/responses"): calling("responses"),
    ("POST", "/v1/embeddings"): calling("embeddings"),
    ("POST", "/v1/messages"): calling("messages"),
    ("POST", "/v1/route"): Path(route, "route"),
    ("POST", "/v1/feedback"): Path(feedback, "feedback"),
    ("GET", "/v1/models"): Path(models, "route"),
    ("GET", "/v1/accounts"): Path(accounts, "metrics"),
    ("GET", "/metrics"): Path(metrics, "metrics"),
    ("GET", "/healthz"): Path(health),
    ("GET", "/readyz"): Path(ready),
    ("GET", "/openapi.json"): Path(openapi),
}
