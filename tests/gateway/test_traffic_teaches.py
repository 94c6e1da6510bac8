"""From a gateway's log back to a router: what was logged and told is what `train` and `replay` read."""

import json
import random
from pathlib import Path

import pytest

from router_model.data.ingest import ingest
from router_model.data.told import Told
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.call import Asked, Call
from router_model.serving.gateway.config.traffic import Traffic
from router_model.serving.gateway.feedback import Feedback
from router_model.serving.gateway.keys import OPEN
from router_model.serving.gateway.traffic import TrafficLog
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.words import WordsKept
from router_model.training.config import TrainConfig
from router_model.training.replay import replay
from router_model.training.train import train


@pytest.fixture(scope="module")
def records_path(tmp_path_factory: pytest.TempPathFactory, log_path: Path, ladder: Ladder) -> Path:
    """The rows of the labelled log as traffic whose tiers were drawn at random, with outcomes told after."""
    folder, chance = tmp_path_factory.mktemp("traffic"), random.Random(0)
    models = {tier.name: tier.models[0] for tier in ladder.tiers}
    log = TrafficLog(Traffic(folder="", words="whole"), folder, WordsKept("whole"), models=models)
    feedback = Feedback()
    log.open()
    for number, line in enumerate(log_path.read_text(encoding="utf-8").splitlines()):
        row, tier = json.loads(line), chance.choice(ladder.names)
        body = {"model": "auto", "messages": [{"role": "user", "content": row["prompt"]}]}
        call = Call("chat", json.dumps(body).encode(), body, Asked("auto"), False, frozenset(), 1, 0)
        entry = Entry(
            f"r{number}", 1_770_000_000.0 + number, OPEN, "chat", tier, "near", "m", 200, Usage(50, 20), 1e-4,
            strongest_usd=4e-4, explored=True, propensity=1 / 3, seconds=0.2,
        )  # fmt: skip
        log.add(entry, call)
        feedback.remember(entry)
        told = {"request_id": f"r{number}", "outcome": row["outcomes"][models[tier]]}
        log.tell(feedback.read(json.dumps(told).encode(), OPEN))
    log.close()
    out = folder / "records.parquet"
    ingest(sorted(folder.glob("date=*/*.parquet")), out, steps=[Told.read(folder / "feedback")], workers=1)
    return out


def test_replay_reads_the_log_with_its_propensities_and_outcomes(records_path: Path, router: Router) -> None:
    found = replay(router, [records_path])
    assert (found.requests, found.marked, found.left_out) == (400, 400, 0)
    assert not found.estimated_propensity
    assert found.cost_usd.logged.value == pytest.approx(1e-4)


def test_a_router_is_trained_on_the_log(
    records_path: Path, ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    trained = train([records_path], ladder, tmp_path / "router.onnx", quick)
    assert trained.rows == 400
    assert Router.load(trained.out).route("hello thanks weather").tier in ladder.names
