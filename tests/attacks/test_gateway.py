"""A gateway under attack refuses cheaply, goes on answering others, and its memory stays bounded."""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")

from router_model.serving.gateway.pretend import Behaviour, Pretend, start

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="there is no /proc to look into")

CHAT = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n"
ASK = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
PLACES, QUEUE = 8, 4  # of the gateway's capacity
BODY_BYTES = 1 << 20
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def upstream() -> Pretend:
    model = Pretend(Behaviour(), keep=64)
    start(model)
    return model


@pytest.fixture(autouse=True)
def behaves(upstream: Pretend) -> None:
    upstream.behaviour = Behaviour()


def settings(upstream: Pretend, **limits: float) -> dict[str, Any]:
    """Of a gateway in front of it."""
    provider = {
        "name": "model",
        "model": "model",
        "base_url": upstream.base_url,
        "input_usd_per_million": 1.0,
        "output_usd_per_million": 1.0,
    }
    return {
        "tiers": [{"name": "small", "providers": [provider]}],
        "listen": {"port": 0},
        "limits": {"body_bytes": BODY_BYTES, **limits},
        "capacity": {"concurrency": PLACES, "queue": QUEUE},
    }


@pytest.fixture(scope="module")
def gateway(serve: Callable[..., Any], upstream: Pretend) -> Any:
    return serve(settings(upstream, receive_seconds=1, request_seconds=5))


@contextmanager
def connected(gateway: Any) -> Iterator[socket.socket]:
    with closing(socket.create_connection((gateway.host, gateway.port), timeout=20)) as client:
        yield client


def body_of(value: Any) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class Read:
    """A connection's answers, one after the other."""

    def __init__(self, client: socket.socket) -> None:
        self._file = client.makefile("rb")

    def makefile(self, mode: str) -> Any:
        """For ``HTTPResponse``, which closes it after each answer."""
        file = self._file
        file.close = lambda: None  # type: ignore[method-assign]
        return file


def answer(client: Any) -> tuple[int, dict[str, str], bytes]:
    """The next answer on a connection."""
    response = HTTPResponse(client)
    response.begin()
    return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def ask(gateway: Any, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """The answer to one request, over a connection of its own."""
    with connected(gateway) as client:
        client.sendall(raw)
        return answer(client)


def everything(client: socket.socket) -> bytes:
    """All bytes until the gateway closes."""
    parts = []
    try:
        while part := client.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def still_answers(gateway: Any) -> None:
    status, _, body = ask(gateway, CHAT.encode() + body_of(ASK))
    assert status == 200, body


def told(body: bytes) -> dict[str, Any]:
    """The error of a refusal in OpenAI's shape."""
    error: dict[str, Any] = json.loads(body)["error"]
    assert error["message"]
    return error


# --- slow clients


def drip(gateway: Any, first: bytes, drop: bytes, ends: list[bytes]) -> None:
    """Send a little now and then, for as long as the gateway takes it."""
    with connected(gateway) as client:
        client.sendall(first)
        client.settimeout(0.1)
        got = b""
        for _ in range(200):
            try:
                client.sendall(drop)
                if not (part := client.recv(65_536)):
                    break
                got += part
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            got += b"never closed"
        ends.append(got)


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b"P"),
        (b"POST /v1/chat/completions HTTP/1.1\r\n", b"x-a: b\r\n"),
        (b"POST /v1/chat/completions HTTP/1.1\r\nx-a: ", b"b"),
        (CHAT.encode() + b"content-length: 1000\r\n\r\n", b"["),
        (CHAT.encode() + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n[\r\n"),
    ],
    ids=["method", "headers", "one header", "body", "chunks"],
)
def test_slow_clients_are_refused_and_others_answered_meanwhile(
    gateway: Any, first: bytes, drop: bytes
) -> None:
    ends: list[bytes] = []
    slow = [threading.Thread(target=drip, args=(gateway, first, drop, ends)) for _ in range(50)]
    for thread in slow:
        thread.start()
    for _ in range(20):
        still_answers(gateway)
    for thread in slow:
        thread.join()
    assert len(ends) == 50
    assert {end[:13] for end in ends} <= {b"HTTP/1.1 408 ", b"HTTP/1.1 400 "}


def test_a_connection_kept_open_by_blank_lines_is_closed(gateway: Any) -> None:
    ends: list[bytes] = []
    drip(gateway, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", b"\r\n", ends)
    assert ends[0].startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in ends[0]


def test_a_client_that_reads_nothing_is_let_go(gateway: Any, upstream: Pretend) -> None:
    upstream.behaviour = Behaviour(chunks=100_000)
    with connected(gateway) as whole, connected(gateway) as stream:
        for client, more in ((whole, {"n": 16}), (stream, {"stream": True})):  # 10 MB and more
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(CHAT.encode() + body_of({**ASK, **more}))
        assert established(gateway, whole, stream) > 0
        wait_until(lambda: established(gateway, whole, stream) == 0)
    upstream.behaviour = Behaviour()
    still_answers(gateway)


def established(gateway: Any, *clients: socket.socket) -> int:
    """How many of these connections the gateway holds, as its kernel tells."""
    ports = {f":{client.getsockname()[1]:04X}" for client in clients}
    held = 0
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if fields[1].endswith(f":{gateway.port:04X}") and fields[2][-5:] in ports:
                held += fields[3] == "01"
    return held


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(1500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never came about")


def test_clients_that_hold_back_do_not_keep_the_gateway_from_stopping(
    serve: Callable[..., Any], upstream: Pretend
) -> None:
    patient = serve(settings(upstream, receive_seconds=600, stop_seconds=600))
    with connected(patient) as idle, connected(patient) as head, connected(patient) as refused:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        assert answer(idle)[0] == 200
        head.sendall(b"GET /healthz HTTP/1.1\r\nx:")
        refused.sendall(CHAT.encode() + b"content-length: 1073741824\r\n\r\n")
        assert answer(refused)[0] == 413
        still_answers(patient)
        patient.stop()


# --- large ones


def test_a_gigabyte_announced_is_refused_before_it_is_sent(gateway: Any) -> None:
    status, headers, body = ask(gateway, CHAT.encode() + b"content-length: 1073741824\r\n\r\n")
    assert status == 413
    assert headers["connection"] == "close"
    assert "1048576 bytes" in told(body)["message"]
    expecting = CHAT.encode() + b"content-length: 1073741824\r\nexpect: 100-continue\r\n\r\n"
    assert ask(gateway, expecting)[0] == 413


def test_a_gigabyte_without_length_is_broken_off(gateway: Any) -> None:
    before, chunk, sent = gateway.resident_bytes(), b"100000\r\n" + b" " * MEGABYTE + b"\r\n", 0
    with connected(gateway) as client:
        client.sendall(CHAT.encode() + b"transfer-encoding: chunked\r\n\r\n")
        try:
            while sent < 1024:
                client.sendall(chunk)
                sent += 1
        except OSError:
            pass
        assert sent < 64
    assert gateway.resident_bytes() - before < 32 * MEGABYTE
    still_answers(gateway)


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_client_that_sends_on_reads_why_its_body_was_refused(gateway: Any, framing: str) -> None:
    body = b" " * (2 * BODY_BYTES - 1)
    head = f"content-length: {len(body)}\r\n\r\n".encode()
    if framing == "chunks":
        head, body = b"transfer-encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for _ in range(5):
        with connected(gateway) as client:
            client.sendall(CHAT.encode() + head)
            for at in range(0, len(body), 100_000):
                client.sendall(body[at : at + 100_000])
            assert answer(client)[0] == 413


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("".join(f"x-{n}: {n}\r\n" for n in range(10_000)), 431),
        ("x: " + "y" * MEGABYTE + "\r\n", 431),
        ("x" * MEGABYTE + ": y\r\n", 431),
        ("".join("a: \r\n" for _ in range(200)), 431),
        ("cookie: " + "z" * 60_000 + "\r\ncookie: " + "z" * 60_000 + "\r\n", 431),
    ],
    ids=["10,000", "a long value", "a long name", "many small", "together too long"],
)
def test_many_or_long_headers_are_refused(gateway: Any, head: str, status: int) -> None:
    assert ask(gateway, CHAT.encode() + head.encode() + b"\r\n")[0] == status
    still_answers(gateway)


@pytest.mark.parametrize(
    "head",
    [
        CHAT.encode() + b"x: ",
        CHAT.encode(),
        b"GET /",
        CHAT.encode() + b"transfer-encoding: chunked\r\n\r\n1\r\n[\r\n0\r\nx: ",
        CHAT.encode() + b"transfer-encoding: chunked\r\n\r\n1;",
    ],
    ids=["value", "name", "target", "trailer", "chunk extension"],
)
def test_what_never_ends_is_not_kept(gateway: Any, head: bytes) -> None:
    before, sent = gateway.resident_bytes(), 0
    with connected(gateway) as client:
        client.sendall(head)
        try:
            while sent < 256:
                client.sendall(b"y" * MEGABYTE)
                sent += 1
        except OSError:
            pass
        assert sent < 64
    assert gateway.resident_bytes() - before < 32 * MEGABYTE
    still_answers(gateway)


def test_a_long_target_is_refused(gateway: Any) -> None:
    assert ask(gateway, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n")[0] == 414
    assert ask(gateway, b"GET /" + b"a" * 4000 + b" HTTP/1.1\r\nhost: a\r\n\r\n")[0] == 404
    still_answers(gateway)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b'{"model":"auto","messages":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"model":"auto","messages":[{"role":"user","content":"' + b"\xff\xfe" + b'"}]}',
        b'{"model":"\xc3\x28"}',
        b'{"model":"auto","x":' + b"9" * 500_000 + b"}",
        b'{"model":"auto","messages":[{"role":"user","content":"\x00"}]}',
        b'{"model":"auto"',
        b"\x00" * 1000,
        b"",
        b"null",
        b"[]",
        b'"' + b"x" * 1_000_000 + b'"',
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route", "/v1/feedback"])
def test_bodies_that_are_none_are_refused(gateway: Any, path: str, body: bytes) -> None:
    head = CHAT.replace("/v1/chat/completions", path).encode()
    status, _, said = ask(gateway, head + body_of(body))
    assert 400 <= status < 500, said
    told(said)


def test_a_compressed_body_is_not_unpacked(gateway: Any) -> None:
    import gzip

    bomb = gzip.compress(b" " * (64 * MEGABYTE))
    status, _, said = ask(gateway, CHAT.encode() + b"content-encoding: gzip\r\n" + body_of(bomb))
    assert status == 415
    told(said)


# --- requests that two readers take differently

HIDDEN = b"GET /v1/hidden HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
        "content-length: 4\r\ncontent-length: 0\r\n\r\n",
        "content-length: 0\r\ncontent-length: 40\r\n\r\n",
        "content-length: +4\r\n\r\nabcd",
        "content-length: 0x4\r\n\r\nabcd",
        "content-length: 4 4\r\n\r\nabcd",
        "content-length: -1\r\n\r\n",
        "content-length: 99999999999999999999999\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "content-length : 4\r\n\r\nabcd",
        "x: y\r\n content-length: 4\r\n\r\nabcd",
        "transfer-encoding: chunked\r\n\r\nzz\r\n",
        "transfer-encoding: chunked\r\n\r\n-1\r\n",
        "transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "x\x00y: z\r\n\r\n",
        "x: y\x00z\r\n\r\n",
        "x: y\rz\r\n\r\n",
        ": empty\r\n\r\n",
        "no colon\r\n\r\n",
    ],
)
def test_what_can_be_framed_in_two_ways_is_refused_whole(gateway: Any, upstream: Pretend, head: str) -> None:
    asked = upstream.requests
    with connected(gateway) as client:
        client.sendall(CHAT.encode() + head.encode("latin-1") + HIDDEN)
        said = everything(client)
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert said.count(b"HTTP/1.1 ") == 1
    assert upstream.requests == asked


@pytest.mark.parametrize(
    "line",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"G\x00T /healthz HTTP/1.1\r\n\r\n",
        b"GET /\x00healthz HTTP/1.1\r\n\r\n",
        b"BREW /healthz HTTP/1.1\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        bytes(range(256)),
    ],
)
def test_what_is_no_request_is_refused(gateway: Any, line: bytes) -> None:
    with connected(gateway) as client:
        client.sendall(line)
        said = everything(client)
    assert said.startswith(b"HTTP/1.1 4"), said
    still_answers(gateway)


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_no_other_protocol_is_taken_up(gateway: Any, upgrade: str) -> None:
    head = f"connection: upgrade\r\nupgrade: {upgrade}\r\nsec-websocket-key: eA==\r\n"
    with connected(gateway) as client:
        client.sendall(CHAT.encode() + head.encode() + body_of(ASK))
        assert b" 101 " not in client.recv(65_536)
    still_answers(gateway)


def test_a_trailer_is_no_header(gateway: Any) -> None:
    body = json.dumps(ASK).encode()
    chunks = b"%x\r\n%b\r\n0\r\nx-router-details: 1\r\ncontent-encoding: gzip\r\n\r\n" % (len(body), body)
    status, headers, _ = ask(gateway, CHAT.encode() + b"transfer-encoding: chunked\r\n\r\n" + chunks)
    assert status == 200
    assert "x-router-details" not in headers


# --- what clients put into other places


@pytest.mark.parametrize(
    "model",
    [
        "a\r\nset-cookie: b=c",
        "tier:a\r\n\r\nHTTP/1.1 200 OK",
        "auto:quality=1\nx: y",
        "\x00",
        "é" * 200,
        "模型\u2028x",
    ],
)
def test_a_models_name_gets_into_no_header(gateway: Any, model: str) -> None:
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/route"):
        raw = CHAT.replace("/v1/chat/completions", path).encode() + b"x-router-details: 1\r\n"
        status, headers, _ = ask(gateway, raw + body_of({**ASK, "model": model}))
        assert status in (400, 404)
        assert not {"set-cookie", "x"} & set(headers)


def test_headers_of_a_client_that_hold_anything_go_nowhere(gateway: Any, upstream: Pretend) -> None:
    raw = CHAT.encode() + b"user-agent: \xff\xe9\x80\r\nx-request-id: \xff\r\nanthropic-beta: a\tb\r\n"
    status, _, body = ask(gateway, raw + body_of(ASK))
    assert status == 200, body
    seen = upstream.seen[-1].headers
    assert "anthropic-beta" not in seen
    assert "x-request-id" not in seen


def test_odd_paths_are_not_found(gateway: Any) -> None:
    for path in (
        "//v1/models",
        "/v1/../v1/models",
        "/%00",
        "/%ff%fe",
        "/v1/models%0d%0ax:y",
        "*",
        "/;/",
        "/{}",
    ):
        status, headers, body = ask(gateway, f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        assert status in (400, 404), path
        assert "x" not in headers
        assert b"Traceback" not in body


# --- connections used in odd ways


def test_old_clients_are_answered_and_closed(gateway: Any) -> None:
    body = json.dumps(ASK).encode()
    with connected(gateway) as client:
        head = f"POST /v1/chat/completions HTTP/1.0\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        said = everything(client)
    assert b" 200 " in said.splitlines()[0]
    assert said.endswith(b"}")


def test_requests_sent_ahead_are_answered_in_turn(gateway: Any) -> None:
    with connected(gateway) as client:
        one = CHAT.encode() + body_of(ASK)
        two = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"
        three = CHAT.encode() + body_of({**ASK, "stream": True})
        client.sendall(one + two + three + two)
        read = Read(client)
        answers = [answer(read) for _ in range(4)]
    assert [status for status, _, _ in answers] == [200] * 4
    assert [body[:12] for _, _, body in answers][1] == b'{"status":"o'
    assert answers[2][2].endswith(b"data: [DONE]\n\n")


def test_a_flood_of_requests_sent_ahead_waits_outside(gateway: Any, upstream: Pretend) -> None:
    upstream.behaviour = Behaviour(first_byte_seconds=1.0)
    before = gateway.resident_bytes()
    with connected(gateway) as client:
        client.settimeout(0.3)
        client.sendall(CHAT.encode() + body_of(ASK))
        flood = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n" * 30_000
        try:
            for _ in range(64):
                client.sendall(flood)
        except TimeoutError:
            pass
        else:
            raise AssertionError("64 MB of requests were taken in")
        assert gateway.resident_bytes() - before < 64 * MEGABYTE
    upstream.behaviour = Behaviour()
    still_answers(gateway)


def test_garbage_sent_ahead_does_not_get_into_an_answer(gateway: Any, upstream: Pretend) -> None:
    upstream.behaviour = Behaviour(chunks=10, chunk_seconds=0.02)
    with connected(gateway) as client:
        client.sendall(CHAT.encode() + body_of({**ASK, "stream": True}))
        said = client.recv(100)
        client.sendall(b"\x00garbage\r\n\r\n")
        said += everything(client)
    assert said.count(b"HTTP/1.1 ") == 1
    with connected(gateway) as client:  # nor does a head that is not finished
        upstream.behaviour = Behaviour(chunks=10, chunk_seconds=0.2)
        client.sendall(CHAT.encode() + body_of({**ASK, "stream": True}) + b"GET /heal")
        status, _, body = answer(client)
        assert status == 200
        assert body.endswith(b"data: [DONE]\n\n")


def accounts(gateway: Any) -> dict[str, Any]:
    page: dict[str, Any] = json.loads(ask(gateway, b"GET /v1/accounts HTTP/1.1\r\nhost: a\r\n\r\n")[2])
    return page


@pytest.mark.parametrize("rudely", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("when", ["at once", "before the first byte", "in the stream"])
def test_clients_that_leave_take_their_calls_with_them(
    gateway: Any, upstream: Pretend, when: str, rudely: bool
) -> None:
    clients, files = 3 * PLACES, open_files(gateway)
    first_byte = 0.0 if when == "in the stream" else 0.2
    upstream.behaviour = Behaviour(chunks=1000, chunk_seconds=0.05, first_byte_seconds=first_byte)
    asked, left = upstream.requests, upstream.left
    for number in range(1, clients + 1):
        with connected(gateway) as client:
            if rudely:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(CHAT.encode() + body_of({**ASK, "stream": True}))
            if when == "before the first byte":
                wait_until(lambda number=number: upstream.requests - asked == number)
            elif when == "in the stream":
                assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: upstream.left - left == upstream.requests - asked)
    assert when == "at once" or upstream.requests - asked == clients
    upstream.behaviour = Behaviour()
    for _ in range(2 * PLACES):  # every place is free again
        still_answers(gateway)
    wait_until(lambda: open_files(gateway) <= files + PLACES)  # which the connections upwards may have


def open_files(gateway: Any) -> int:
    """That the gateway holds, connections among them."""
    return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))


def test_what_was_said_before_a_client_left_is_accounted_for(gateway: Any, upstream: Pretend) -> None:
    upstream.behaviour = Behaviour(chunks=1000, chunk_seconds=0.01)
    before = accounts(gateway)["total"]
    with connected(gateway) as client:
        client.sendall(CHAT.encode() + body_of({**ASK, "stream": True}))
        got = b""
        while got.count(b"data: ") < 10:
            got += client.recv(65_536)
    wait_until(lambda: accounts(gateway)["total"]["requests"] == before["requests"] + 1)
    assert accounts(gateway)["total"]["paid_usd"] > before["paid_usd"]


def test_a_flood_is_told_when_to_come_back(gateway: Any, upstream: Pretend) -> None:
    upstream.behaviour = Behaviour(first_byte_seconds=0.5)
    answers: list[tuple[int, dict[str, str], bytes]] = []
    raw = CHAT.encode() + body_of(ASK)
    clients = [threading.Thread(target=lambda: answers.append(ask(gateway, raw))) for _ in range(40)]
    for thread in clients:
        thread.start()
    assert ask(gateway, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")[0] == 200
    for thread in clients:
        thread.join()
    assert sum(status == 200 for status, _, _ in answers) >= PLACES + QUEUE
    refused = [(headers, body) for status, headers, body in answers if status != 200]
    assert refused
    assert {status for status, _, _ in answers} == {200, 429}
    for headers, body in refused:
        assert int(headers["retry-after"]) >= 1
        assert told(body)["type"] == "rate_limit_error"


def test_pages_of_others_may_not_call(gateway: Any) -> None:
    for method in ("OPTIONS", "GET"):
        raw = f"{method} /v1/models HTTP/1.1\r\nhost: a\r\norigin: https://example.org\r\n\r\n"
        status, headers, _ = ask(gateway, raw.encode())
        assert status == (405 if method == "OPTIONS" else 200)
        assert not any(name.startswith("access-control") for name in headers)


def test_memory_is_given_back(gateway: Any) -> None:
    body = body_of({**ASK, "messages": [{"role": "user", "content": "x" * 900_000}]})

    def burst() -> int:
        for _ in range(40):
            ask(gateway, CHAT.encode() + body)
        return gateway.resident_bytes()

    burst()
    first = burst()
    assert burst() - first < 16 * MEGABYTE
