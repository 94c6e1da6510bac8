"""The gateway as processes: signals, reloads, workers, and the ways to start it."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as parquet
import pytest

from router_model.serving.gateway.pretend import Behaviour, Pretend

PATIENCE = 60.0  # seconds, on a busy machine
CHUNKS = 20


class Gateway:
    """A gateway of one tier in a process of its own, with a file that can be changed."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.path = folder / "gateway.json"
        self.log = folder / "gateway.log"
        self.base_url = base_url
        self.process: subprocess.Popen[bytes]
        self.place = ("", 0)

    def config(self, model: str = "first", **more: Any) -> dict[str, Any]:
        provider = {"name": "only", "base_url": self.base_url, "model": model}
        priced = {**provider, "input_usd_per_million": 1, "output_usd_per_million": 2}
        tiers = [{"name": "small", "providers": [priced]}]
        return {"listen": {"port": 0}, "metrics_open": True, "tiers": tiers, **more}

    def write(self, config: dict[str, Any] | str) -> None:
        temporary = self.path.with_suffix(".partial")
        temporary.write_text(config if isinstance(config, str) else json.dumps(config))
        temporary.replace(self.path)

    def start(self, *flags: str) -> None:
        command = [
            sys.executable,
            "-m",
            "router_model.cli",
            "serve",
            *(flags or ("--config", str(self.path))),
        ]
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(command, stdout=said, stderr=said)
        url = until(lambda: re.search(r"serving (http://\S+)/v1", self.log.read_text()), self.process)
        parts = urlsplit(url[1])
        self.place = (str(parts.hostname), int(parts.port or 0))
        until(lambda: self.answers("/healthz"), self.process)

    def answers(self, path: str) -> bool:
        try:
            return self.ask("GET", path)[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
        with contextlib.closing(http.client.HTTPConnection(*self.place, timeout=PATIENCE)) as connection:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def chat(self, **more: Any) -> tuple[int, dict[str, str], bytes]:
        return self.ask("POST", "/v1/chat/completions", chat(**more))

    def stream(self) -> "Stream":
        return Stream(self.place)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


class Stream:
    """An answer that is read while other things happen."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.connection = http.client.HTTPConnection(*place, timeout=PATIENCE)
        self.connection.request("POST", "/v1/chat/completions", json.dumps(chat(stream=True)))
        self.answer = self.connection.getresponse()
        self.begun = self.answer.readline()

    def rest(self) -> bytes:
        try:
            return self.answer.read()
        finally:
            self.connection.close()


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": "hello"}], **more}


def until(found: Callable[[], Any], process: "subprocess.Popen[bytes] | None" = None) -> Any:
    """What ``found`` gives once it is true."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and (process is None or process.poll() is None):
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError(f"it did not come to pass, or the process ended: {process and process.poll()}")


@pytest.fixture
def model() -> Iterator[Pretend]:
    """A pretend model in a thread."""
    model, loop = Pretend(Behaviour(chunks=CHUNKS)), asyncio.new_event_loop()
    loop.run_until_complete(model.open())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield model
    asyncio.run_coroutine_threadsafe(model.close(), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def gateway(tmp_path: Path, model: Pretend) -> Iterator[Gateway]:
    """One that is not started yet; what is left of it is killed."""
    gateway = Gateway(tmp_path, model.base_url)
    yield gateway
    if hasattr(gateway, "process") and gateway.process.poll() is None:
        for pid in workers(gateway.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        gateway.process.kill()
        gateway.process.wait()


def workers(pid: int) -> list[int]:
    """The workers of a gateway that has several."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("children are found in /proc, as Linux has it")
    children = [int(p) for f in Path(f"/proc/{pid}/task").glob("*/children") for p in f.read_text().split()]
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def rows(folder: Path) -> int:
    return sum(parquet.read_metadata(path).num_rows for path in folder.glob("date=*/*.parquet"))


def test_a_changed_file_is_read_and_a_stream_under_way_goes_on(gateway: Gateway, model: Pretend) -> None:
    gateway.write(gateway.config("first"))
    gateway.start()
    model.behaviour = Behaviour(chunks=CHUNKS, chunk_seconds=0.2)
    stream = gateway.stream()
    model.behaviour = Behaviour()
    gateway.write(gateway.config("second"))
    until(lambda: gateway.chat()[1]["x-router-model"] == "second")
    gateway.write(gateway.config("third"))
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: gateway.chat()[1]["x-router-model"] == "third")
    rest = stream.rest()
    assert rest.endswith(b"data: [DONE]\n\n")
    assert b'"error"' not in rest
    assert b'"model":"first"' in rest
    assert gateway.stop() == 0


def test_a_request_that_waits_for_room_is_answered_however_often_the_file_changes(
    gateway: Gateway, model: Pretend
) -> None:
    one_at_a_time = {"concurrency": 1, "queue_seconds": PATIENCE}
    gateway.write(gateway.config("first", capacity=one_at_a_time))
    gateway.start()
    model.behaviour = Behaviour(chunks=CHUNKS, chunk_seconds=0.3)
    stream = gateway.stream()
    model.behaviour = Behaviour()
    gateway.write(gateway.config("second", capacity=one_at_a_time))
    until(lambda: reloads(gateway) == 1)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(gateway.chat)
        until(lambda: b'router_waiting{tier="small"} 1' in gateway.ask("GET", "/metrics")[2])
        gateway.write(gateway.config("third", capacity=one_at_a_time))
        until(lambda: reloads(gateway) == 2)
        assert stream.rest().endswith(b"data: [DONE]\n\n")
        status, headers, body = waiting.result(PATIENCE)
    assert (status, headers.get("x-router-model")) == (200, "second"), body


def reloads(gateway: Gateway) -> int:
    found = re.search(rb'router_reloads_total\{outcome="done"\} (\d+)', gateway.ask("GET", "/metrics")[2])
    return int(found[1]) if found else 0


def test_a_bad_file_or_router_is_refused_and_the_old_one_goes_on(
    gateway: Gateway, tmp_path: Path, artifact_path: Path
) -> None:
    router = tmp_path / "router.onnx"
    shutil.copy(artifact_path, router)
    gateway.write(gateway.config("first", router="router.onnx"))
    gateway.start()
    for number, bad in enumerate(("{", '{"tiers": []}', json.dumps(gateway.config(limits={"depth": 1})))):
        gateway.write(bad)
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda number=number: refusals(gateway) > number)
        assert gateway.chat()[1]["x-router-model"] == "first"
    router.write_bytes(router.read_bytes()[:1000])
    gateway.write(gateway.config("second", router="router.onnx"))
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: "router.onnx" in gateway.log.read_text().partition("reload refused")[2])
    assert gateway.chat()[1]["x-router-model"] == "first"
    shutil.copy(artifact_path, router)
    until(lambda: gateway.chat()[1]["x-router-model"] == "second")


def refusals(gateway: Gateway) -> int:
    return gateway.log.read_text().count("reload refused")


def test_a_stop_lets_streams_end_and_the_log_has_every_row(
    gateway: Gateway, model: Pretend, tmp_path: Path
) -> None:
    gateway.write(gateway.config(traffic={"folder": "traffic", "words": "off"}))
    gateway.start()
    for _ in range(5):
        assert gateway.chat()[0] == 200
    model.behaviour = Behaviour(chunks=CHUNKS, chunk_seconds=0.1)
    stream = gateway.stream()
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: not gateway.answers("/healthz"))  # nobody new comes in
    assert stream.rest().endswith(b"data: [DONE]\n\n")
    assert gateway.process.wait(PATIENCE) == 0
    assert rows(tmp_path / "traffic") == 6


def test_a_stop_does_not_wait_for_ever(gateway: Gateway, model: Pretend, tmp_path: Path) -> None:
    limits = {"stop_seconds": 0.5}
    gateway.write(gateway.config(limits=limits, traffic={"folder": "traffic", "words": "off"}))
    gateway.start()
    model.behaviour = Behaviour(stall_after=3)
    stream = gateway.stream()
    assert gateway.stop() == 0
    with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
        assert not stream.rest().endswith(b"data: [DONE]\n\n")
    assert rows(tmp_path / "traffic") == 1


def test_a_client_that_leaves_takes_its_call_with_it(gateway: Gateway, model: Pretend) -> None:
    gateway.write(gateway.config())
    gateway.start()
    model.behaviour = Behaviour(chunks=CHUNKS, chunk_seconds=30.0)
    stream = gateway.stream()
    assert model.left == 0
    stream.answer.close()
    stream.connection.close()
    until(lambda: model.left == 1)
    model.behaviour = Behaviour()
    assert gateway.chat()[0] == 200


def test_workers_share_a_port_and_a_killed_one_is_started_anew(gateway: Gateway) -> None:
    gateway.write(gateway.config(listen={"port": 0, "workers": 2}))
    gateway.start()
    first = until(lambda: len(found := workers(gateway.process.pid)) == 2 and found, gateway.process)
    os.kill(first[0], signal.SIGKILL)
    until(lambda: first[0] not in (now := workers(gateway.process.pid)) and len(now) == 2, gateway.process)
    for _ in range(10):
        assert gateway.chat()[0] == 200
    gateway.write(gateway.config("second", listen={"port": 0, "workers": 2}))
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: all(gateway.chat()[1]["x-router-model"] == "second" for _ in range(8)))
    last = workers(gateway.process.pid)
    assert gateway.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in last)


def test_workers_end_with_a_gateway_that_is_killed(gateway: Gateway, tmp_path: Path) -> None:
    traffic = {"folder": "traffic", "words": "off"}
    gateway.write(gateway.config(listen={"port": 0, "workers": 2}, traffic=traffic))
    gateway.start()
    assert gateway.chat()[0] == 200
    left = workers(gateway.process.pid)
    assert len(left) == 2
    assert gateway.stop(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))
    assert rows(tmp_path / "traffic") == 1


def test_workers_that_do_not_stay_up_end_the_gateway(gateway: Gateway) -> None:
    gateway.write(gateway.config(listen={"port": 0, "workers": 2}))
    gateway.start()
    limit = time.monotonic() + PATIENCE
    while gateway.process.poll() is None and time.monotonic() < limit:
        for pid in workers(gateway.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    assert gateway.process.wait(PATIENCE) == 1
    assert "workers end as soon as they start" in gateway.log.read_text()


def test_a_port_that_is_taken_is_told(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway.write(gateway.config(listen={"port": port}))
        done = serve("--config", str(gateway.path))
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr


def serve(*flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "router_model.cli", "serve", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def test_check_says_what_the_file_comes_to_and_calls_nobody(gateway: Gateway, model: Pretend) -> None:
    gateway.write(gateway.config())
    done = serve("--config", str(gateway.path), "--check", "--json")
    assert done.returncode == 0, done.stderr
    assert "only" in json.dumps(json.loads(done.stdout))
    assert model.connections == 0
    gateway.write({**gateway.config(), "tiers": [{"name": "huge", "providers": []}]})
    done = serve("--config", str(gateway.path), "--check")
    assert (done.returncode, done.stdout) == (2, "")
    assert "tiers[0].providers" in done.stderr


def test_a_dry_run_decides_and_calls_nobody(gateway: Gateway, model: Pretend) -> None:
    gateway.write(gateway.config())
    gateway.start("--config", str(gateway.path), "--dry-run")
    status, headers, body = gateway.chat()
    told = json.loads(body)
    assert (status, headers["x-router-dry-run"], told["tier"]) == (200, "true", "small")
    assert told["sufficiency"]
    assert model.requests == 0


def test_the_demo_answers_and_says_what_it_is(gateway: Gateway) -> None:
    gateway.start("--demo", "--port", "0")
    status, headers, body = gateway.chat()
    assert status == 200
    assert headers["x-router-provider"].startswith("pretend-")
    assert "pretend" in json.loads(body)["choices"][0]["message"]["content"]
