"""The processes of a gateway's benchmark: the gateway, pretend models and a Redis, each on a core."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
STOP_SECONDS = 60.0


def cores() -> tuple[int, int]:
    """One for the gateway, and one for all else; the same where there is only one."""
    have = sorted(os.sched_getaffinity(0))
    return have[0], have[-1]


def start(command: Sequence[str], core: int, log: Path, env: Mapping[str, str] | None = None) -> Any:
    """Start a process on a core; all that it says goes to ``log``."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # which it inherits, with all its threads
    try:
        with log.open("ab") as said:
            return subprocess.Popen(command, stdout=said, stderr=said, env={**os.environ, **(env or {})})
    finally:
        os.sched_setaffinity(0, before)


def stop(process: Any, number: int = signal.SIGTERM) -> int:
    """Send a signal and wait for the end; its status."""
    if process.poll() is None:
        process.send_signal(number)
    return int(process.wait(STOP_SECONDS))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool | None:
    """True, or None."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return None
    return True


def fetch(url: str, body: bytes | None = None) -> bytes:
    """What is at a URL of this machine."""
    with urllib.request.urlopen(url, body, timeout=10) as answer:  # noqa: S310 - of this module's own servers
        return bytes(answer.read())


def _until(what: str, ready: Any, process: Any, log: Path) -> Any:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        if (found := ready()) is not None:
            return found
        time.sleep(0.02)
    raise SystemExit(f"{what} did not start:\n{log.read_text()[-2000:]}")


def cpu_seconds(pid: int) -> float:
    """Time that a process' threads have had on a core, to the nanosecond. It needs Linux."""
    told = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(line.split()[0]) for line in told) / 1e9


@dataclass
class Model:
    """A pretend model in a process of its own, which may be killed and started again on its port."""

    core: int
    log: Path
    port: int = field(default_factory=free_port)
    process: Any = None

    @property
    def base_url(self) -> str:
        """For a provider."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self, **behaviour: Any) -> None:
        """Listen, and behave so."""
        module = "router_model.serving.gateway.pretend"
        flags = ["--port", str(self.port), "--behaviour", json.dumps(behaviour)]
        self.process = start([sys.executable, "-m", module, *flags], self.core, self.log)
        _until("a pretend model", self._told, self.process, self.log)

    def behave(self, **behaviour: Any) -> None:
        """From now on behave so; what is not named goes back to its default."""
        fetch(f"http://127.0.0.1:{self.port}/pretend", json.dumps(behaviour).encode())

    def _told(self) -> bytes | None:
        try:
            return fetch(f"http://127.0.0.1:{self.port}/pretend")
        except OSError:
            return None


@dataclass
class Gateway:
    """A gateway in a process of its own.

    Attributes:
        folder: of its file, log and traffic.
        core: of its workers.
        env: beside this process' own.
    """

    folder: Path
    core: int
    env: Mapping[str, str] = field(default_factory=dict)
    process: Any = None
    url: str = ""

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / "gateway.json"

    @property
    def log(self) -> Path:
        """What it said."""
        return self.folder / "gateway.log"

    def write(self, config: Mapping[str, Any]) -> None:
        """Give it a file, whole at once."""
        temporary = self.path.with_suffix(".partial")
        temporary.write_text(json.dumps(config))
        temporary.replace(self.path)

    def start(self, config: Mapping[str, Any]) -> None:
        """Serve; ``url`` tells where."""
        self.write({"listen": {"port": 0}, "metrics_open": True, "json_logs": False, **config})
        command = [sys.executable, "-m", "router_model.cli", "serve", "--config", str(self.path)]
        self.process = start(command, self.core, self.log, self.env)
        self.url = _until("the gateway", self._told, self.process, self.log)

    def counted(self, name: str, label: str = "") -> float:
        """The sum of one name in its metrics, over all labels, or over those among which ``label`` stands."""
        lines = [line.rpartition(" ") for line in fetch(self.url + "/metrics").decode().splitlines()]
        return sum(float(value) for key, _, value in lines if key.partition("{")[0] == name and label in key)

    def _told(self) -> str | None:
        found = re.search(r"serving (http://\S+)/v1", self.log.read_text())
        if found is None:
            return None
        try:
            fetch(found[1] + "/readyz")
        except urllib.error.HTTPError:
            pass
        except OSError:
            return None
        return found[1]


@dataclass
class Redis:
    """A Redis in a process of its own, which keeps nothing when it is killed."""

    core: int
    log: Path
    port: int = field(default_factory=free_port)
    process: Any = None

    @property
    def url(self) -> str:
        """For the gateway."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Listen; raises FileNotFoundError where there is no redis-server."""
        found = shutil.which("redis-server")
        if found is None:
            raise FileNotFoundError("redis-server is not installed")
        flags = ["--port", str(self.port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        self.process = start([found, *flags], self.core, self.log)
        _until("redis-server", lambda: listens(self.port), self.process, self.log)


@dataclass
class Relay:
    """Something that passes bytes on to a pretend model, in a process of its own."""

    model: Model
    core: int
    log: Path
    port: int = field(default_factory=free_port)
    process: Any = None

    @property
    def base_url(self) -> str:
        """The model's, through it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Listen."""
        script = str(Path(__file__).with_name("relay.py"))
        command = [sys.executable, script, str(self.port), str(self.model.port)]
        self.process = start(command, self.core, self.log)
        _until("the relay", lambda: listens(self.port), self.process, self.log)


@contextmanager
def running(*parts: Model | Gateway | Redis | Relay) -> Iterator[None]:
    """End what runs of these when the block is left."""
    try:
        yield
    finally:
        for part in parts:
            if part.process is not None and part.process.poll() is None:
                part.process.kill()
                part.process.wait()


def provider(name: str, model: Model, dollars: float = 0.1, **more: Any) -> dict[str, Any]:
    """A provider of a gateway's file: a pretend model, at so many dollars per million input tokens."""
    paid = {"input_usd_per_million": dollars, "output_usd_per_million": 4 * dollars}
    return {"name": name, "base_url": model.base_url, "model": f"model-{name}", **paid, **more}


def progress(line: str) -> None:
    """Tell a person who waits."""
    print(line, file=sys.stderr, flush=True)
