"""Conversations through a gateway stay on their tier, however a client tells which one it goes on with."""

import contextlib
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from router_model.serving.gateway.pretend import Pretend

PRICES = {"small": (0.1, 0.4), "medium": (0.4, 1.6), "large": (3.0, 15.0)}
TEXT = "Chapter one of the book that we talk about, which is long. " * 400
FIRST = {"role": "user", "content": f"Prove that there is no largest prime, step by step. {TEXT}"}
NEXT = {"role": "user", "content": "Thank you! What is the capital of France?"}
WRONG = {"role": "user", "content": "No, that's wrong. Try again."}
DEAR, CHEAP = "auto:quality=1", "auto:quality=0.8"
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}
ONE_EACH = {"began": 1, "stayed": 1, "up": 1}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


def until(found: Callable[[], bool]) -> None:
    """Wait for a Redis that a busy machine has made slow: who does not hear from it in time goes on alone."""
    limit = time.monotonic() + 30
    while not found():
        assert time.monotonic() < limit
        time.sleep(0.05)


class Client:
    """Talks to one gateway, and says nothing of conversations unless told."""

    def __init__(self, served: Any) -> None:
        self.served = served

    def post(self, path: str, body: Any, **headers: str) -> tuple[dict[str, str], bytes]:
        with contextlib.closing(
            http.client.HTTPConnection(self.served.host, self.served.port, timeout=30)
        ) as line:
            line.request("POST", path, json.dumps(body), headers)
            answer = line.getresponse()
            raw = answer.read()
            assert answer.status == 200, raw
            return {name.lower(): value for name, value in answer.getheaders()}, raw

    def scrape(self) -> str:
        with contextlib.closing(
            http.client.HTTPConnection(self.served.host, self.served.port, timeout=30)
        ) as line:
            line.request("GET", "/metrics")
            return line.getresponse().read().decode()

    def chat(self, model: str, *messages: Any, session: str = "", **more: Any) -> dict[str, str]:
        headers = {"x-router-session": session} if session else {}
        return self.post("/v1/chat/completions", {"model": model, "messages": messages, **more}, **headers)[0]

    def begin(self, **more: Any) -> tuple[dict[str, str], list[Any]]:
        """A first turn that goes to the strongest tier, and the messages up to its answer."""
        headers, raw = self.post("/v1/chat/completions", {"model": DEAR, "messages": [FIRST], **more})
        assert headers["x-router-tier"] == "large"
        return headers, [FIRST, json.loads(raw)["choices"][0]["message"]]

    def tell(self, headers: dict[str, str], outcome: float) -> None:
        self.post("/v1/feedback", {"request_id": headers["x-router-request-id"], "outcome": outcome})


def config(upstreams: dict[str, Pretend], **more: Any) -> dict[str, Any]:
    tiers = [
        {
            "name": tier,
            "providers": [
                {
                    "name": f"{tier}-{shape}",
                    "model": tier,
                    "base_url": upstreams[tier].base_url,
                    "shape": shape,
                    "input_usd_per_million": paid,
                    "output_usd_per_million": answered,
                    "cached_input_usd_per_million": 0.01 * paid,
                    "written_input_usd_per_million": 1.25 * paid,
                    "abilities": ["tools"],
                }
                for shape in ("openai", "anthropic")
            ],
        }
        for tier, (paid, answered) in PRICES.items()
    ]
    return {"tiers": tiers, "listen": {"port": 0}, "traffic": {"folder": "traffic", "words": "whole"}, **more}


@pytest.fixture(scope="module")
def client(serve: Callable[..., Any], upstreams: dict[str, Pretend]) -> Client:
    return Client(serve(config(upstreams, sessions={})))


@pytest.fixture(scope="module")
def forgetful(serve: Callable[..., Any], upstreams: dict[str, Pretend]) -> Client:
    """A gateway that routes each turn by itself."""
    return Client(serve(config(upstreams)))


def test_without_sessions_each_turn_is_routed_by_itself(forgetful: Client) -> None:
    headers, so_far = forgetful.begin()
    assert "x-router-session" not in headers
    assert forgetful.chat(CHEAP, *so_far, NEXT)["x-router-tier"] != "large"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_knows_of_no_sessions_stays_on_its_tier(client: Client, stream: bool) -> None:
    _, so_far = client.begin(user=f"stream {stream}")
    again = client.chat(CHEAP, *so_far, NEXT, user=f"stream {stream}", stream=stream)
    assert again["x-router-tier"] == "large"
    assert len(again["x-router-session"]) < 512


def test_another_conversation_is_not_taken_for_this_one(client: Client) -> None:
    _, so_far = client.begin()
    other = {"role": "user", "content": f"Prove Fermat's little theorem. {TEXT}"}
    assert client.chat(CHEAP, other, *so_far[1:], NEXT)["x-router-tier"] != "large"
    assert client.chat(CHEAP, *so_far, NEXT, user="somebody else")["x-router-tier"] != "large"


def test_a_route_alone_is_that_of_the_next_turn_and_leaves_no_trace(client: Client) -> None:
    def routed(*messages: Any) -> str:
        body = {"model": CHEAP, "messages": messages, "user": "asks first"}
        return str(json.loads(client.post("/v1/route", body)[1])["tier"])

    _, so_far = client.begin(user="asks first")
    begun = {"role": "user", "content": f"What is the capital of France? {TEXT}"}
    assert routed(begun) != "large"
    assert routed(*so_far, NEXT) == "large"
    answer = {"role": "assistant", "content": "Paris."}
    assert routed(begun, answer, NEXT) == routed(NEXT)
    assert client.chat(CHEAP, *so_far, NEXT, user="asks first")["x-router-tier"] == "large"


def test_a_token_goes_on_where_the_messages_do_not_tell(client: Client) -> None:
    headers, _ = client.begin()
    summary = {"role": "user", "content": f"In short, so far: {TEXT}"}
    assert client.chat(CHEAP, summary, NEXT)["x-router-tier"] != "large"
    again = client.chat(CHEAP, summary, NEXT, session=headers["x-router-session"])
    assert again["x-router-tier"] == "large"
    assert again["x-router-session"] != headers["x-router-session"]


def test_a_token_that_was_altered_is_as_good_as_none(client: Client) -> None:
    headers, _ = client.begin()
    token, summary = headers["x-router-session"], {"role": "user", "content": f"In short: {TEXT}"}
    altered = token[:9] + ("A" if token[9] != "A" else "B") + token[10:]
    assert client.chat(CHEAP, summary, NEXT, session=altered)["x-router-tier"] != "large"


@pytest.mark.parametrize("way", ["header", "metadata"])
def test_a_conversation_may_have_a_name(client: Client, way: str) -> None:
    told: dict[str, Any] = {"metadata": {"session_id": "chat-7"}} if way == "metadata" else {}
    session = "chat-8" if way == "header" else ""
    assert client.chat(DEAR, FIRST, session=session, **told)["x-router-tier"] == "large"
    summary = {"role": "user", "content": f"In short, so far: {TEXT}"}
    assert client.chat(CHEAP, summary, NEXT, session=session, **told)["x-router-tier"] == "large"


def test_a_tool_loop_does_not_go_down_and_ends_with_the_next_user_turn(client: Client) -> None:
    """By a dial that would take the cheapest tier, and with prompts that no cache holds."""
    least, ask = "auto:budget=0.01", {"role": "user", "content": "Prove that there is no largest prime."}
    assert client.chat(DEAR, ask)["x-router-tier"] == "large"
    for turns in ((ask, CALL, RESULT), (ask, CALL, RESULT, CALL, RESULT)):
        assert client.chat(least, *turns)["x-router-tier"] == "large"
    answer = {"role": "assistant", "content": "It is 42."}
    assert client.chat(least, *turns, answer, NEXT)["x-router-tier"] == "small"


def test_a_turn_that_was_told_to_have_failed_goes_up_and_stays_there(client: Client) -> None:
    ask = {"role": "user", "content": "What is the capital of Peru?"}
    least, answer = "auto:budget=0.01", {"role": "assistant", "content": "Cuzco."}
    first = client.chat(least, ask)
    assert first["x-router-tier"] == "small"
    client.tell(first, 0.0)
    so_far = [ask, answer, NEXT]
    assert client.chat(least, *so_far)["x-router-tier"] == "medium"
    assert client.chat(least, *so_far, answer, NEXT)["x-router-tier"] == "medium"


def test_feedback_is_heard_though_no_traffic_is_logged(
    serve: Callable[..., Any], upstreams: dict[str, Pretend]
) -> None:
    client = Client(serve(config(upstreams, sessions={}, traffic=None)))
    ask = {"role": "user", "content": "What is the capital of Peru?"}
    least, answer = "auto:budget=0.01", {"role": "assistant", "content": "Cuzco."}
    client.tell(client.chat(least, ask), 0.0)
    assert client.chat(least, ask, answer, NEXT)["x-router-tier"] == "medium"
    assert 'router_feedback_total{tier="small",outcome="bad"} 1' in client.scrape()


def test_a_turn_that_was_told_to_be_good_stays(client: Client) -> None:
    ask = {"role": "user", "content": "What is the capital of Chile?"}
    first = client.chat("auto:budget=0.01", ask)
    client.tell(first, 1.0)
    answer = {"role": "assistant", "content": "Santiago."}
    assert client.chat("auto:budget=0.01", ask, answer, NEXT)["x-router-tier"] == "small"


def test_a_user_who_says_that_it_is_wrong_gets_a_stronger_tier(client: Client) -> None:
    ask, answer = {"role": "user", "content": "Capital of Mali?"}, {"role": "assistant", "content": "Lagos."}
    assert client.chat("auto:budget=0.01", ask)["x-router-tier"] == "small"
    assert client.chat("auto:budget=0.01", ask, answer, WRONG)["x-router-tier"] == "medium"


def test_metrics_tell_what_became_of_turns(client: Client) -> None:
    def turns() -> dict[str, int]:
        scraped = client.scrape()
        found = re.findall(r'router_conversation_turns_total\{move="(\w+)"\} (\d+)', scraped)
        return {"began": 0, "stayed": 0, "up": 0, **{move: int(count) for move, count in found}}

    before = turns()
    ask, answer = {"role": "user", "content": "Capital of Chad?"}, {"role": "assistant", "content": "Lagos."}
    client.chat("auto:budget=0.01", ask)
    client.chat("auto:budget=0.01", ask, answer, WRONG)
    client.chat("auto:budget=0.01", ask, answer, WRONG, answer, NEXT)
    assert {move: turns()[move] - before[move] for move in before} == {**dict.fromkeys(before, 0), **ONE_EACH}


def test_anthropics_prompts_are_held_where_the_client_marks_them(client: Client) -> None:
    """And a mark that moves on with the conversation does not hide it."""

    def ask(model: str, *messages: Any) -> str:
        body = {"model": model, "max_tokens": 100, "messages": messages}
        return client.post("/v1/messages", body)[0]["x-router-tier"]

    def turn(text: str, **more: Any) -> dict[str, Any]:
        return {"role": "user", "content": [{"type": "text", "text": text, **more}]}

    mark = {"cache_control": {"type": "ephemeral"}}
    answer = {"role": "assistant", "content": [{"type": "text", "text": "Let p be prime."}]}
    marked = f"Marked. {FIRST['content']}"
    assert ask(DEAR, turn(marked, **mark)) == "large"
    assert ask(CHEAP, turn(marked), answer, turn("And Paris?", **mark)) == "large"
    assert ask(DEAR, FIRST) == "large"
    assert ask(CHEAP, FIRST, answer, NEXT) != "large"


def test_responses_go_on_too(client: Client) -> None:
    def ask(model: str, *items: Any) -> str:
        return client.post("/v1/responses", {"model": model, "input": items})[0]["x-router-tier"]

    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "42"}
    assert ask(DEAR, FIRST) == "large"
    assert ask("auto:budget=0.01", FIRST, {"type": "reasoning", "summary": []}, call, output) == "large"


def test_a_cached_answer_does_not_lose_the_conversation(
    serve: Callable[..., Any], upstreams: dict[str, Pretend]
) -> None:
    client = Client(serve(config(upstreams, sessions={}, cache={"exact": {}})))
    _, so_far = client.begin()
    ask = (CHEAP, *so_far, NEXT)
    assert client.chat(*ask)["x-router-tier"] == "large"
    assert client.chat(*ask)["x-router-cache"] == "exact"
    assert client.chat(*ask, {"role": "assistant", "content": "Paris."}, NEXT)["x-router-tier"] == "large"


def test_an_answer_that_breaks_sends_the_same_request_up(
    serve: Callable[..., Any], upstreams: dict[str, Pretend]
) -> None:
    broken = config(upstreams, sessions={}, retry={"upwards": False, "attempts": 1})
    broken["tiers"][0]["providers"][0]["base_url"] = upstreams["failing"].base_url
    client, told = Client(serve(broken)), {"x-router-session": "breaks"}
    assert client.chat("auto:quality=0.9", FIRST, session="breaks")["x-router-tier"] == "medium"
    body = {"model": "auto:budget=0.01", "messages": [FIRST, {"role": "assistant", "content": "So."}, NEXT]}
    with pytest.raises(AssertionError, match="pretend"):
        client.post("/v1/chat/completions", body, **told)
    again = client.post("/v1/chat/completions", body, **told)[0]
    assert again["x-router-tier"] == "large"


@pytest.fixture
def replicas(
    serve: Callable[..., Any], upstreams: dict[str, Pretend], server: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Client, Client]]:
    """Two gateways with one Redis."""
    monkeypatch.setenv("REDIS_URL", server.url)
    shared = config(upstreams, sessions={}, redis_url_env="REDIS_URL")
    running = [serve(shared), serve(shared)]
    yield Client(running[0]), Client(running[1])
    for served in running:
        served.stop()


def test_replicas_with_a_redis_know_each_others_conversations_and_failures(
    replicas: tuple[Client, Client],
) -> None:
    one, other = replicas
    _, so_far = one.begin()
    until(lambda: other.chat(CHEAP, *so_far, NEXT)["x-router-tier"] == "large")
    ask = {"role": "user", "content": "What is the capital of Peru?"}
    first = one.chat("auto:budget=0.01", ask)
    other.tell(first, 0.0)
    answer = {"role": "assistant", "content": "Cuzco."}
    until(lambda: one.chat("auto:budget=0.01", ask, answer, NEXT)["x-router-tier"] == "medium")
    assert other.chat("auto:budget=0.01", ask)["x-router-tier"] == "small"


def test_the_traffic_log_names_the_conversation_of_each_row(
    serve: Callable[..., Any], upstreams: dict[str, Pretend]
) -> None:
    served = serve(config(upstreams, sessions={}))
    client = Client(served)
    _, so_far = client.begin()
    client.chat(CHEAP, *so_far, NEXT)
    client.begin(user="another")
    served.stop()
    folder = Path(served.log).parent / "traffic"
    rows = [row for path in folder.glob("date=*/*.parquet") for row in parquet.read_table(path).to_pylist()]
    sessions = [row["session"] for row in sorted(rows, key=lambda row: row["timestamp"])]
    assert sessions[0] == sessions[1] != sessions[2]
    assert {row["propensity"] for row in rows} == {1.0}
