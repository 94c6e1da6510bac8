"""Connections of clients: how many there may be, and clients of HTTP/1.0, which knows no chunks."""

import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from router_model.serving.gateway.connection import TURNED_AWAY
from router_model.serving.gateway.pretend import Behaviour, Pretend, start

MOST = 3
PATIENCE = 60.0


@pytest.fixture(scope="module")
def model() -> Pretend:
    model = Pretend(Behaviour(chunks=20), keep=4)
    start(model)
    return model


def config(model: Pretend, **limits: Any) -> dict[str, Any]:
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
    provider = {"name": "only", "base_url": model.base_url, "model": "m", **prices}
    return {
        "tiers": [{"name": "small", "providers": [provider]}],
        "listen": {"port": 0},
        "limits": limits,
        "metrics_open": True,
    }


@pytest.fixture
def gateway(serve: Callable[..., Any], model: Pretend) -> Iterator[Any]:
    """One that takes few connections."""
    gateway = serve(config(model, connections=MOST))
    yield gateway
    gateway.stop()


def connect(gateway: Any) -> HTTPConnection:
    connection = HTTPConnection(gateway.host, gateway.port, timeout=PATIENCE)
    connection.connect()
    return connection


def ask(connection: HTTPConnection, path: str = "/healthz") -> HTTPResponse:
    connection.request("GET", path)
    return connection.getresponse()


def full(gateway: Any, room: ExitStack) -> list[HTTPConnection]:
    """As many connections as there may be, each of which has been served and is kept."""
    until(lambda: counted(gateway, "router_connections") == 1)
    kept = [room.enter_context(closing(connect(gateway))) for _ in range(MOST)]
    for connection in kept:
        answer = ask(connection)
        assert answer.status == 200
        answer.read()
    return kept


def counted(gateway: Any, name: str, connection: HTTPConnection | None = None) -> int:
    with ExitStack() as room:
        answer = ask(connection or room.enter_context(closing(connect(gateway))), "/metrics")
        text = answer.read().decode()
    assert answer.status == 200, text
    found = re.search(rf"^{name}(?:{{.*}})? (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else -1


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_a_connection_too_many_is_refused_with_a_status_and_the_others_are_served(gateway: Any) -> None:
    with ExitStack() as room:
        kept = full(gateway, room)
        with closing(connect(gateway)) as late:
            answer = ask(late)
            assert (answer.status, answer.read()) == (503, b"")
            assert answer.getheader("retry-after") == "1"
            assert answer.getheader("connection") == "close"
        assert counted(gateway, "router_connections_refused_total", kept[0]) == 1
        assert counted(gateway, "router_connections", kept[0]) == MOST
        kept.pop().close()
        until(lambda: counted(gateway, "router_connections", kept[0]) == MOST - 1)
        with closing(connect(gateway)) as next_one:
            assert ask(next_one).status == 200


def test_a_flood_of_connections_takes_no_room(gateway: Any) -> None:
    with ExitStack() as room:
        kept = full(gateway, room)
        for _ in range(2 * TURNED_AWAY):
            room.enter_context(closing(socket.create_connection((gateway.host, gateway.port), PATIENCE)))
        until(lambda: counted(gateway, "router_connections_refused_total", kept[0]) == 2 * TURNED_AWAY)
        assert all(ask(connection).status == 200 for connection in kept[1:])
        open_files = len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))
        assert open_files < 2 * TURNED_AWAY


def test_a_reload_changes_the_bound_of_new_connections(gateway: Any, model: Pretend) -> None:
    with ExitStack() as room:
        kept = full(gateway, room)
        gateway.path.write_text(json.dumps(config(model, connections=MOST + 1)))
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: counted(gateway, "router_reloads_total", kept[0]) == 1)
        with closing(connect(gateway)) as late:
            assert ask(late).status == 200
        assert all(ask(connection).status == 200 for connection in kept)


# --- HTTP/1.0


def old_client(gateway: Any, path: str = "/v1/chat/completions", **more: Any) -> tuple[bytes, bytes]:
    """Head and body, as they come over a connection until it is closed."""
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hi"}], **more}).encode()
    head = f"POST {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with closing(socket.create_connection((gateway.host, gateway.port), PATIENCE)) as client:
        client.sendall(head.encode() + body)
        parts = []
        while part := client.recv(65_536):
            parts.append(part)
    head_bytes, _, rest = b"".join(parts).partition(b"\r\n\r\n")
    return head_bytes.lower(), rest


def events(body: bytes) -> list[str]:
    return [line for line in body.decode().splitlines() if line]


def test_a_stream_to_an_old_client_is_no_chunks_and_ends_with_the_connection(gateway: Any) -> None:
    head, body = old_client(gateway, stream=True)
    assert b" 200 ok" in head
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert events(body)[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: ")) for line in events(body)[:-1])
    assert len(events(body)) > 20


def test_a_whole_answer_to_an_old_client_has_its_length(gateway: Any) -> None:
    head, body = old_client(gateway)
    assert re.search(rb"content-length: (\d+)", head)[1] == str(len(body)).encode()  # type: ignore[index]
    assert json.loads(body)["choices"]


def test_a_refusal_to_an_old_client_is_read(gateway: Any) -> None:
    head, body = old_client(gateway, model="nobody's")
    assert b" 404 " in head
    assert json.loads(body)["error"]["code"] == "model_not_found"


def test_a_stream_that_breaks_is_ended_by_an_error_event(gateway: Any, model: Pretend) -> None:
    model.behaviour = Behaviour(cut_after=5)
    try:
        _, body = old_client(gateway, stream=True)
    finally:
        model.behaviour = Behaviour(chunks=20)
    assert '"error"' in events(body)[-1]
