"""The graph computes what the network computes, in float and after quantising."""

import dataclasses

import numpy as np
import pytest
import torch

from router_model.base import Base
from router_model.network import WIDTH, Network
from router_model.prompt import read
from router_model.session import Session
from router_model.training.calibrate import Calibration
from router_model.training.dataset import Encoded, encode
from router_model.training.export import export, float_graph, fold, int8_graph, run
from router_model.training.fit import predict

TEXTS = [
    f"{word} {number} " * (number % 40) for number in range(60) for word in ("prove", "hello", "表を作る")
]


@pytest.fixture(scope="module")
def base() -> Base:
    return Base.default()


@pytest.fixture(scope="module")
def encoded(base: Base) -> Encoded:
    return encode([read(text) for text in TEXTS], base, 128)


@pytest.fixture(scope="module")
def network(base: Base, encoded: Encoded) -> Network:
    """A network with weights of the size that training gives."""
    torch.manual_seed(0)
    features = torch.from_numpy(encoded.features)
    built = Network(base, features.mean(dim=0), features.std(dim=0), tiers=3)
    torch.nn.init.normal_(built.wide.weight, std=0.5)
    with torch.no_grad():
        built.token.weight.add_(torch.randn_like(built.token.weight) * 0.2)
    return built.eval()


CALIBRATION = Calibration(np.array([1.2, 0.8, 1.0]), np.array([0.1, -0.3, 0.0]))
ALL = np.arange(len(TEXTS))


def test_the_float_graph_is_the_network(network: Network, encoded: Encoded) -> None:
    expected = CALIBRATION(predict(network, encoded, ALL))
    found = run(float_graph(fold(network, CALIBRATION)), encoded, ALL)
    assert np.abs(found - expected).max() <= 1e-4


def test_the_int8_graph_is_near_it_and_a_quarter_of_the_size(network: Network, encoded: Encoded) -> None:
    folded = fold(network, CALIBRATION)
    assert (
        np.abs(run(int8_graph(folded), encoded, ALL) - run(float_graph(folded), encoded, ALL)).max() <= 0.02
    )
    assert len(int8_graph(folded)) < 0.27 * len(float_graph(folded))


def test_padding_changes_nothing(network: Network, encoded: Encoded) -> None:
    session = Session(int8_graph(fold(network, CALIBRATION)))
    ids, features = encoded.ids[5][None], encoded.features[5:6]
    padded = np.pad(ids, ((0, 0), (0, 50)))
    assert (session.sufficiency(padded, features) == session.sufficiency(ids, features)).all()


def test_export_keeps_int8_and_reports_its_checks(network: Network, encoded: Encoded) -> None:
    exported = export(network, CALIBRATION, encoded, [(0, 2), (1, 2)])
    assert exported.precision == "int8"
    assert exported.checks["float_error"] <= 1e-4
    assert exported.checks["int8_error"] <= 0.02


def test_a_network_that_int8_cannot_hold_keeps_its_float_graph(network: Network, encoded: Encoded) -> None:
    steep = dataclasses.replace(CALIBRATION, scale=np.full(3, 400.0))
    exported = export(network, steep, encoded, [(0, 2)])
    assert exported.precision == "float32"
    assert exported.checks["int8_error"] > 0.02


def test_a_feature_far_outside_training_counts_as_at_its_edge(network: Network, encoded: Encoded) -> None:
    session = Session(float_graph(fold(network, CALIBRATION)))
    far, farther = encoded.features[:1].copy(), encoded.features[:1].copy()
    far[0, 0], farther[0, 0] = 1e3, 1e6
    ids = encoded.ids[0][None]
    assert (session.sufficiency(ids, far) == session.sufficiency(ids, farther)).all()


def test_a_feature_that_was_constant_in_training_has_no_say(network: Network, encoded: Encoded) -> None:
    session = Session(float_graph(fold(network, CALIBRATION)))
    images = encoded.features[:1].copy()
    images[0, -1] = 3.0
    ids = encoded.ids[0][None]
    assert np.allclose(
        session.sufficiency(ids, images), session.sufficiency(ids, encoded.features[:1]), atol=1e-6
    )


def test_the_embedding_is_the_hidden_layer(network: Network, encoded: Encoded) -> None:
    session = Session(int8_graph(fold(network, CALIBRATION)))
    embedding = session.embedding(encoded.ids[0][None], encoded.features[:1])
    assert embedding.shape == (1, WIDTH)
    assert (embedding >= 0).all()
