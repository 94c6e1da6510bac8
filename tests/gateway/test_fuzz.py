"""Whatever a client sends, it gets the upstream's answer or a refusal: never a failure of the gateway's."""

import http.client
import json
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own use of other packages
    schemathesis = pytest.importorskip("schemathesis")

from router_model.serving.gateway.openapi import DOCUMENT

OPERATIONS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]
# Answers that are the upstream's or the gateway's refusals; 502 to 504 would say that the upstream failed.
FINE = range(200, 500)

usual = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])

Send = Callable[..., tuple[int, dict[str, str], bytes]]


@pytest.fixture(scope="module")
def send(gateway: Any, key: str) -> Iterator[Send]:
    """Sends requests over one connection; nothing in the gateway's log may speak of a failure afterwards."""
    with closing(http.client.HTTPConnection(gateway.host, gateway.port, timeout=20)) as connection:

        def sent(
            path: str, body: bytes, method: str = "POST", **headers: str
        ) -> tuple[int, dict[str, str], bytes]:
            connection.request(method, path, body, {"authorization": f"Bearer {key}", **headers})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

        yield sent
    log = gateway.log.read_text("utf-8", "replace")
    assert "Traceback" not in log
    assert key not in log


CHAT = "/v1/chat/completions"
PATHS = [CHAT, "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/messages", "/v1/route"]
MODELS = ["auto", "auto:quality=0.9", "auto:budget=0.2", "tier:small", "small", "large-openai"]
PART = {"type": "text", "text": "Hello"}
TOOL = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}
VALUES = {
    "model": MODELS,
    "messages": [[{"role": "user", "content": "Hi"}], [{"role": "user", "content": [PART]}]],
    "input": [
        "Hi",
        ["a", "b"],
        [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        [1, 2],
    ],
    "prompt": ["Once", ["a", "b"], [1, 2, 3]],
    "system": ["Be brief.", [PART]],
    "instructions": ["Be brief."],
    "stream": [True, False],
    "stream_options": [{"include_usage": True}],
    "tools": [[{"type": "function", "function": TOOL}], [TOOL]],
    "response_format": [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": TOOL}}],
    "text": [{"format": {"type": "json_schema", "schema": TOOL}}],
    "n": [1, 2],
    "max_tokens": [1, 10**9],
    "temperature": [0, 1.5],
    "metadata": [{"session": "s"}],
    "user": ["u"],
}
WORDS = "role content type text image_url url source data tool_calls function properties".split()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Bodies most of whose fields are sound and some of which are anything."""
    body: dict[str, Any] = {}
    for name, sound in VALUES.items():
        chance = draw(st.integers(0, 9))
        if (name in ("model", "messages", "input", "prompt") and chance < 7) or chance < 2:
            body[name] = draw(st.sampled_from(sound))
        elif chance == 9:
            body[name] = draw(values)
    return body


def is_answer(path: str, status: int, headers: dict[str, str], said: bytes) -> bool:
    """It came whole, in a shape that the path's clients read, with an id to ask by."""
    if status not in FINE or not headers["x-router-request-id"].startswith("req_"):
        return False
    if headers["content-type"].startswith("text/event-stream"):
        return status == 200 and said.endswith(b"\n\n")
    body = json.loads(said)
    if status < 400:
        return True
    return bool(body["error"]["message"]) and (body.get("type") == "error") == (path == "/v1/messages")


@usual
@given(path=st.sampled_from(PATHS), body=bodies())
def test_any_body(send: Send, path: str, body: dict[str, Any]) -> None:
    answer = send(path, json.dumps(body).encode())
    assert is_answer(path, *answer), answer


@usual
@given(path=st.sampled_from(PATHS), body=bodies(), data=st.data())
def test_any_bytes(send: Send, path: str, body: dict[str, Any], data: st.DataObject) -> None:
    raw = bytearray(json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    answer = send(path, bytes(raw))
    assert is_answer(path, *answer), answer


NAMES = (
    "accept accept-encoding anthropic-beta cache-control content-type idempotency-key if-none-match origin "
    "range te traceparent user-agent x-http-method-override x-router-details x-router-session"
).split()
TEXTS = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]))


@usual
@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]))
    )
)
def test_any_headers(send: Send, headers: dict[str, str]) -> None:
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    answer = send(CHAT, body, **headers)
    assert is_answer(CHAT, *answer), answer


@usual
@given(value=values | st.fixed_dictionaries({"request_id": st.text(max_size=40), "outcome": values}))
def test_any_feedback(send: Send, value: Any) -> None:
    answer = send("/v1/feedback", json.dumps(value).encode())
    assert is_answer("/v1/feedback", *answer), answer


@usual
@given(data=st.data())
def test_any_bytes_on_a_connection(gateway: Any, key: str, data: st.DataObject) -> None:
    body = b'{"model":"auto","messages":[]}'
    head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n"
    raw = bytearray(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=6))
    said = b""
    with closing(socket.create_connection((gateway.host, gateway.port), timeout=20)) as client:
        try:
            client.sendall(bytes(raw))
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(65_536):
                said += part
        except OSError:  # it was cut off, as it may be
            pass
    assert not said or said.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4")), said


def test_the_document_is_served(send: Send) -> None:
    status, _, said = send("/openapi.json", b"", "GET")
    assert status == 200
    assert json.loads(said) == json.loads(json.dumps(DOCUMENT))


@pytest.fixture(scope="module")
def document() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return schemathesis.openapi.from_dict(DOCUMENT)


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m} {p}" for m, p in OPERATIONS])
def test_what_the_published_document_allows_and_what_it_does_not(
    gateway: Any, send: Send, key: str, document: Any, method: str, path: str
) -> None:
    operation = document[path][method.upper()]
    modes = [schemathesis.GenerationMode.POSITIVE]
    if operation.body:
        modes.append(schemathesis.GenerationMode.NEGATIVE)

    @settings(usual, max_examples=15)
    @given(case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes]))
    def run(case: Any) -> None:
        answer = case.call(base_url=gateway.url, headers={"authorization": f"Bearer {key}"})
        assert answer.status_code in FINE, answer.text
        operation.validate_response(answer, case=case)

    run()


def test_many_at_once(gateway: Any, send: Send, key: str) -> None:
    """Clients of every kind beside each other: each gets its own answer."""
    wrong: list[str] = []

    def client(number: int) -> None:
        with closing(http.client.HTTPConnection(gateway.host, gateway.port, timeout=20)) as connection:
            for turn in range(10):
                word = f"word-{number}-{turn}"
                body = {"model": "large", "messages": [], "tools": [tool(word)], "stream": bool(turn % 2)}
                raw = json.dumps(body).encode()
                connection.request("POST", CHAT, raw, {"authorization": f"Bearer {key}"})
                said = connection.getresponse().read()
                if word.encode() not in said:
                    wrong.append(word)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {**TOOL, "name": name}}
