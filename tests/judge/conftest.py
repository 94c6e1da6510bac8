"""A real endpoint on loopback that answers as a test tells it to, and records to judge."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from router_model.data.judge.config import JudgeConfig

USAGE = {"prompt_tokens": 100, "completion_tokens": 20}
CALL_USD = 100 * 1e-6 + 20 * 4e-6  # at the prices of ``config``


@dataclass(frozen=True)
class Answer:
    """What the endpoint does with a call."""

    content: str | None = '{"reason": "fine", "score": 4}'
    usage: Any = field(default_factory=lambda: dict(USAGE))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None  # the body, instead of a completion
    stall: bool = False  # until the server ends
    seconds: float = 0.0  # before it answers
    cut: bool = False  # close in the middle of the body


@dataclass
class Call:
    """A call that came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def material(self) -> str:
        text: str = self.body["messages"][1]["content"]
        return text


class FakeJudge(ThreadingHTTPServer):
    """Answers each call by ``answer(call, n)``, the n-th call with the same record's prompt, from 0."""

    daemon_threads = True
    request_queue_size = 256
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable[[Call, int], Answer] = lambda call, n: Answer()
        self.calls: list[Call] = []
        self.answered = threading.Semaphore(0)  # released once for each call that was answered
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.in_flight = self.most_in_flight = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def count(self, prompt: str) -> int:
        """Calls so far with this prompt."""
        return sum(f"\n{prompt}\n</request" in call.material for call in list(self.calls))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: FakeJudge

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = Call(self.path, dict(self.headers), body)
        server = self.server
        with server.lock:
            prompt = call.material.partition("\n")[2].partition("\n</request")[0]
            n = server.count(prompt)
            server.calls.append(call)
            server.in_flight += 1
            server.most_in_flight = max(server.most_in_flight, server.in_flight)
        answer = server.answer(call, n)
        server.over.wait(None if answer.stall else answer.seconds)
        with server.lock:  # before the client has the answer, and may ask again
            server.in_flight -= 1
        if not answer.stall:
            self.respond(answer)

    def respond(self, answer: Answer) -> None:
        completion = {"choices": [{"message": {"role": "assistant", "content": answer.content}}]}
        raw = json.dumps(completion | {"usage": answer.usage}).encode() if answer.raw is None else answer.raw
        with suppress(OSError):
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw) + 10 * answer.cut))
            self.end_headers()
            self.wfile.write(raw)
            self.wfile.flush()
        self.server.answered.release()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[FakeJudge]:
    """The endpoint, answering score 4 until it is told otherwise."""
    with FakeJudge() as fake:
        thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield fake
        fake.over.set()
        fake.shutdown()
        thread.join()


@pytest.fixture
def answer() -> type[Answer]:
    """The class of answers."""
    return Answer


@pytest.fixture
def config(server: FakeJudge, monkeypatch: pytest.MonkeyPatch) -> Callable[..., JudgeConfig]:
    """Settings that reach the endpoint, with prices, changed as told."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def make(**changes: Any) -> JudgeConfig:
        prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 4.0}
        quick = {"backoff_seconds": 0.01, "timeout_seconds": 20.0}
        return JudgeConfig(**({"model": "judge-1", "base_url": server.url} | prices | quick | changes))

    return make


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    """Writes records "question 0", "question 1", ... with an answer of model s, each changed as told."""

    def make(count: int, **changes: Any) -> Path:
        path = tmp_path / "log.jsonl"
        rows = [
            {"id": f"r{n}", "prompt": f"question {n}", "model": "s", "answer": f"answer {n}"} | changes
            for n in range(count)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return make
