"""A gateway in front of pretend models, for clients that know nothing of either."""

import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from router_model.serving.gateway.pretend import Behaviour, Pretend, start

KEY = "rm-of-the-tests"
# How the models behave. The tiers' own come first; the others answer to their names and to nothing else.
MODELS = {
    "small": Behaviour(chunks=20),
    "medium": Behaviour(chunks=30),
    "large": Behaviour(chunks=50),
    "slow": Behaviour(chunks=50, chunk_seconds=0.05),
    "limited": Behaviour(status=429, retry_after="0.05"),
    "picky": Behaviour(status=400),
    "failing": Behaviour(status=500),
    "overloaded": Behaviour(status=529),
    "cut": Behaviour(cut_after=5),
    "silent": Behaviour(stall_after=5),
    "gone": Behaviour(hang_up=True),
}
PRICES = {"small": (0.1, 0.4), "medium": (0.4, 1.6), "large": (3.0, 15.0)}
DEAR = (30.0, 150.0)  # what no request of the router's is sent to


def provider(model: str, upstream: Pretend, shape: str) -> dict[str, Any]:
    paid_in, paid_out = PRICES.get(model, DEAR)
    return {
        "name": f"{model}-{shape}",
        "model": model,
        "base_url": upstream.base_url,
        "shape": shape,
        "input_usd_per_million": paid_in,
        "output_usd_per_million": paid_out,
        "abilities": ["tools", "images", "json_schema"],
    }


@pytest.fixture(scope="session")
def upstreams() -> dict[str, Pretend]:
    """Pretend models by name, as ``MODELS`` says; they run in this process."""
    models = {name: Pretend(behaviour, keep=4) for name, behaviour in MODELS.items()}
    start(*models.values())
    return models


@pytest.fixture(scope="session")
def key() -> str:
    """The client's key, which may do all."""
    return KEY


@pytest.fixture(scope="session")
def gateway(serve: Callable[..., Any], upstreams: dict[str, Pretend], key: str) -> Any:
    """A gateway in front of all of them."""
    names = {tier: [tier] for tier in PRICES}
    names["large"] += [name for name in MODELS if name not in PRICES]
    tiers = [
        {
            "name": tier,
            "providers": [
                provider(model, upstreams[model], shape)
                for model in models
                for shape in ("openai", "anthropic")
            ],
        }
        for tier, models in names.items()
    ]
    client = {
        "name": "tests",
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "scopes": ["call", "route", "feedback", "metrics"],
    }
    return serve(
        {
            "tiers": tiers,
            "listen": {"port": 0},
            "keys": [client],
            "traffic": {"folder": "traffic"},
            "retry": {"attempts": 1, "idle_seconds": 0.5},
            "breaker": {"failures": 1000, "window": 1000},
        }
    )


class RedisServer:
    """A Redis of a test's own on a free port, without persistence; ``process`` takes real signals."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise AssertionError("redis-server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that runs; killed and started anew by whoever wants that."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(tmp_path)
    yield server
    server.kill()
