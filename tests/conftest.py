"""What several tests share: a small labelled log, and a router trained on it once a session."""

import dataclasses
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# A shell's background jobs ignore SIGINT, and so would the tests of interrupts and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Small networks train no faster on two threads, and several processes that spin on two cores much slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

from router_model.base import Base
from router_model.ladder import Ladder
from router_model.policy.certificate import Certificate, Claim
from router_model.policy.curve import OperatingPoint
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.encoders.static import Static
from router_model.training.train import Trained
from router_model.training.train import train as run_training

# No test is of a time: one that others hold up is not wrong.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

REPOSITORY = Path(__file__).parent.parent
DATASETS = Path(os.environ.get("ROUTER_MODEL_DATASETS", REPOSITORY.parent / "shared" / "datasets"))

TIERS = [
    {"name": "small", "model": "model-s", "input_usd_per_million": 0.05, "output_usd_per_million": 0.2},
    {"name": "medium", "model": "model-m", "input_usd_per_million": 0.4, "output_usd_per_million": 1.6},
    {"name": "large", "model": "model-l", "input_usd_per_million": 3.0, "output_usd_per_million": 15.0},
]
EASY = "hello thanks weather capital recipe weekend colour spell name greet joke birthday lunch song".split()
MIDDLE = "summarise table email plan compare rewrite extract schedule budget draft review outline".split()
HARD = "prove theorem lemma deadlock integral manifold optimise invariant eigenvalue kernel".split()
WORDS = 6000  # of the vocabulary, the most frequent of which come first
# The command line, but for the further epochs that small data get.
TOLD_EPOCHS = """
from router_model.cli import main
from router_model.training import crossfit, fit
crossfit.planned_epochs = fit.planned_epochs = lambda rows, config: config.epochs
main()
"""
FILLER = "please the for with about into from under near river market engine garden window paper".split()


def make_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows whose words tell how hard they are, with the outcomes of three models that mostly follow."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        level = chance.choice([0, 0, 1, 2])
        words = chance.choices((EASY, MIDDLE, HARD)[level], k=4)
        words += chance.choices(FILLER, k=chance.randint(4, 40))
        chance.shuffle(words)
        likely = [0.95 if k >= level else 0.1 for k in range(len(TIERS))]
        outcomes = {tier["model"]: float(chance.random() < p) for tier, p in zip(TIERS, likely, strict=True)}
        prompt = f"{' '.join(words)} {number}"
        rows.append({"id": f"row-{number}", "task": f"level-{level}", "prompt": prompt, "outcomes": outcomes})
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as a JSON Lines file."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def ladder() -> Ladder:
    """Three tiers: model-s, model-m, model-l."""
    return Ladder.from_dict({"tiers": TIERS})


@pytest.fixture(scope="session")
def quick() -> TrainConfig:
    """Settings under which training takes seconds."""
    return TrainConfig(folds=2, epochs=8, min_steps=1, resamples=200, batch_size=16)


@pytest.fixture(scope="session")
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 labelled rows as JSON Lines."""
    return write_rows(tmp_path_factory.mktemp("log") / "log.jsonl", make_rows(400))


@pytest.fixture(scope="session")
def fresh_log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 labelled rows of the same kind that no training saw."""
    return write_rows(tmp_path_factory.mktemp("fresh") / "log.jsonl", make_rows(1000, seed=1))


@pytest.fixture(scope="session")
def ladder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ladder as a JSON file."""
    path = tmp_path_factory.mktemp("ladder") / "ladder.json"
    path.write_text(json.dumps({"tiers": TIERS}))
    return path


@pytest.fixture(scope="session")
def certificate() -> Certificate:
    """Of the router that ships, or one with as many tiers; nobody certified it."""
    return Certificate(
        point=OperatingPoint("certified", 0.02, "router", 0.1, (0.4, 0.3, 0.3), 0.99, 0.4),
        max_loss=0.02,
        relative=False,
        confidence=0.95,
        loss=0.011,
        test="hedged-bet",
        data="ab" * 32,
        rows=3000,
        groups=2900,
        leaks="none",
        date="2026-11-28",
        claims=(Claim("outcome", 0.6, 0.7, 0.4), Claim("length", 0.4, 0.5, 0.1)),
        claims_error=0.01,
        lengths=(3, 11),
    )


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, log_path: Path, ladder: Ladder, quick: TrainConfig
) -> Trained:
    """What training on the log gave; ``trained.out`` is the artifact. Do not write to it: copy first."""
    folder = tmp_path_factory.mktemp("router")
    return run_training([log_path], ladder, folder / "router.onnx", quick, report=folder / "report")


@pytest.fixture(scope="session")
def artifact_path(trained: Trained) -> Path:
    """The trained artifact. Do not write to it: copy first."""
    return Path(trained.out)


@pytest.fixture(scope="session")
def router(artifact_path: Path) -> Router:
    """The trained router, loaded."""
    return Router.load(artifact_path)


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of real routing data; tests that need it are skipped where it is absent."""
    if not DATASETS.is_dir():
        pytest.skip(f"{DATASETS} is absent; set ROUTER_MODEL_DATASETS to the folder of routing datasets")
    return DATASETS


@pytest.fixture(scope="session")
def small_base() -> Base:
    """The base that ships, cut to its frequent words and few columns, so that fitting takes a second."""
    whole = Base.default()
    tokenizer = json.loads(whole.tokenizer_json)
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {word: place for word, place in vocabulary.items() if place < WORDS}
    return dataclasses.replace(
        whole,
        table=whole.table[:WORDS, :32],
        scale=whole.scale[:32],
        log_weight=whole.log_weight[:WORDS],
        tokenizer_json=json.dumps(tokenizer),
    )


@pytest.fixture(scope="session")
def base_path(small_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("base") / "base.npz"
    small_base.write(path)
    return path


@pytest.fixture(scope="session")
def quick_command() -> list[str]:
    """The command line as a process of its own, which trains for no more epochs than it is told."""
    return [sys.executable, "-c", TOLD_EPOCHS]


@pytest.fixture
def told_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training in this process takes no more epochs than it is told."""
    for place in ("fit", "crossfit"):
        name = f"router_model.training.{place}.planned_epochs"
        monkeypatch.setattr(name, lambda rows, config: config.epochs)


@pytest.fixture(scope="session")
def small_encoder(small_base: Base) -> Static:
    """The static encoder over it."""
    return Static(small_base)


class Served:
    """A gateway that runs as a process of its own.

    Attributes:
        url: without a path.
        host, port: of the same.
        process: it.
        path: of its file.
        log: what it wrote to stderr, as a file that grows.
    """

    def __init__(self, config: dict[str, Any], folder: Path, *options: str) -> None:
        self.path = folder / "gateway.json"
        self.path.write_text(json.dumps(config))
        self.log = folder / "stderr.txt"
        command = [sys.executable, "-m", "router_model.cli", "serve", "--config", str(self.path), *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        said = self._said("serving ")
        self.url = said.split("serving ")[1].split("/v1")[0]
        self.host, port = self.url.removeprefix("http://").rsplit(":", 1)
        self.port = int(port)
        self._answers()

    def _said(self, words: str) -> str:
        for _ in range(3000):
            if words in (said := self.log.read_text("utf-8", "replace")):
                return said
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"the gateway did not start:\n{self.log.read_text('utf-8', 'replace')}")

    def _answers(self) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
        except OSError as error:
            raise AssertionError(f"{error}:\n{self.log.read_text('utf-8', 'replace')}") from None
        finally:
            connection.close()

    def resident_bytes(self) -> int:
        """Of its memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def stop(self) -> None:
        """Stop it as a service is stopped; nothing in it may have gone wrong."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        said = self.log.read_text("utf-8", "replace")
        assert "Traceback" not in said, said
        assert self.process.returncode == 0, said


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Starts gateways from what a file of theirs would say; they are stopped at the end."""
    running = []

    def start(config: dict[str, Any], *options: str) -> Served:
        running.append(Served(config, tmp_path_factory.mktemp("gateway"), *options))
        return running[-1]

    yield start
    for served in running:
        served.stop()
