"""The window encoder: it sees word order, and its graph says what its network says."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from router_model.base import Base
from router_model.ladder import Ladder
from router_model.prompt import read
from router_model.router import Router
from router_model.session import Session
from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded
from router_model.training.encoders.static import Static
from router_model.training.encoders.window import Window
from router_model.training.encoders.window_graph import graphs
from router_model.training.encoders.window_network import WindowNetwork
from router_model.training.export import FLOAT_TOLERANCE, INT8_TOLERANCE, run
from router_model.training.fit import predict
from router_model.training.train import Trained, train

TIERS = 3
CALIBRATION = Calibration(np.array([0.8, 1.2, 0.5]), np.array([0.3, -0.2, 1.0]))
TEXTS = ["the engine of the garden", "the garden of the engine", "a", "", "river " * 90, "prove it " * 40]


@pytest.fixture(scope="module")
def encoder(small_base: Base) -> Window:
    return Window(small_base, 128)


@pytest.fixture(scope="module")
def encoded(encoder: Window) -> Encoded:
    return encoder.encode([read(text) for text in TEXTS])


@pytest.fixture(scope="module")
def network(encoder: Window, encoded: Encoded) -> WindowNetwork:
    """A network whose every part has a say, as training might leave it."""
    torch.manual_seed(0)
    made = encoder.new_network(encoded.features, TIERS, TrainConfig()).eval()
    torch.nn.init.normal_(made.wide.weight, std=0.3)
    torch.nn.init.normal_(made.window_head.weight, std=0.5)
    torch.nn.init.normal_(made.places_bias, std=0.1)
    return made


@pytest.fixture(scope="module", params=["float32", "int8"])
def graph(request: pytest.FixtureRequest, network: WindowNetwork) -> bytes:
    return dict(zip(("float32", "int8"), graphs(network, CALIBRATION), strict=True))[request.param]


@pytest.fixture(scope="module")
def trained(
    log_path: Path,
    ladder: Ladder,
    quick: TrainConfig,
    small_base: Base,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    out = tmp_path_factory.mktemp("window") / "router.onnx"
    return train([log_path], ladder, out, dataclasses.replace(quick, encoder="window"), base=small_base)


def test_the_graphs_give_the_networks_calibrated_probabilities(
    network: WindowNetwork, encoded: Encoded
) -> None:
    rows = np.arange(len(TEXTS))
    expected = CALIBRATION(predict(network, encoded, rows))
    exact, small = graphs(network, CALIBRATION)
    assert np.abs(run(exact, encoded, rows) - expected).max() <= FLOAT_TOLERANCE
    assert np.abs(run(small, encoded, rows) - expected).max() <= INT8_TOLERANCE
    assert len(small) < len(exact) / 3


def test_the_same_words_in_another_order_have_other_probabilities(graph: bytes, encoded: Encoded) -> None:
    one, other = run(graph, encoded, np.array([0, 1]))
    assert sorted(encoded.ids.rows()[0]) == sorted(encoded.ids.rows()[1])
    assert np.abs(one - other).max() > 1e-3


def test_order_is_seen_beyond_the_head_that_is_paired(graph: bytes) -> None:
    ids = np.arange(1000, 1128, dtype=np.uint32)[np.newaxis]
    turned = ids.copy()
    turned[0, [100, 101]] = turned[0, [101, 100]]
    session, features = Session(graph), np.zeros((1, 7), np.float32)
    given = [session.sufficiency(row, features) for row in (ids, turned)]
    assert np.abs(given[0] - given[1]).max() > 1e-6


def test_a_row_alone_and_in_a_batch_have_the_same_probabilities(graph: bytes, encoded: Encoded) -> None:
    together = run(graph, encoded, np.arange(len(TEXTS)))
    alone = np.concatenate([run(graph, encoded, np.array([row])) for row in range(len(TEXTS))])
    assert np.abs(together - alone).max() <= 1e-5


def test_its_bag_is_the_static_encoders(encoder: Window, network: WindowNetwork) -> None:
    prompts = [read("prove the theorem of the garden in the paper " * 9), read("hello")]
    static, _ = Static(encoder.base, 128).encode(prompts).block([0, 1])
    bag = network.bag(encoder.encode(prompts).block([0, 1])[0])
    assert (bag == static).all()


def test_a_trained_router_routes_alone_as_in_a_batch(trained: Trained) -> None:
    router = Router.load(trained.out)
    manifest = router.artifact.manifest
    assert (manifest.encoder, manifest.pairs) == ("window", None)
    batch = router.route_batch(TEXTS).sufficiency
    alone = [list(router.route(text).sufficiency.values()) for text in TEXTS]
    assert np.abs(np.array(alone) - batch).max() <= 1e-5
    hard, easy = router.route_batch(["prove the theorem of the manifold", "hello thanks weather joke"])
    assert easy.sufficiency["small"] > hard.sufficiency["small"]
