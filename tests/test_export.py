"""The exported graph: what the network says, in floating point and in eighths of the memory."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.bag import PAIR_IDS, PAIRED_HEAD, Pairs
from router_model.base import Base
from router_model.errors import ExportError
from router_model.network import WIDTH, Network
from router_model.session import Session
from router_model.tokens import Ragged
from router_model.training.calibrate import Calibration
from router_model.training.dataset import Encoded
from router_model.training.encoders.encoder import Exported
from router_model.training.encoders.static import Static
from router_model.training.encoders.static_graph import float_graph, fold, int8_graph
from router_model.training.export import FLOAT_TOLERANCE, INT8_TOLERANCE, order_loss, run
from router_model.training.fit import predict

VOCABULARY, TIERS, ROWS = 300, 3, 200
CALIBRATION = Calibration(np.array([0.8, 1.2, 0.5]), np.array([0.3, -0.2, 1.0]))
ALL = np.arange(ROWS)
PAIRS = [(0, 2), (1, 2)]


def base_of(chance: np.random.Generator) -> Base:
    return Base(
        table=chance.integers(-127, 128, (VOCABULARY, 16)).astype(np.int8),
        scale=np.full(16, 0.01, np.float32),
        log_weight=chance.normal(0, 0.7, VOCABULARY).astype(np.float32),
        tokenizer_json="",
        source="made here",
    )


def network(seed: int = 0, outlier: float = 0.0) -> Network:
    """A network as training might leave it; ``outlier`` is what two tokens add to the first tier."""
    chance = np.random.default_rng(seed)
    base = base_of(chance)
    torch.manual_seed(seed)
    made = Network(base, torch.tensor([2.0, 0.1, 0.5]), torch.tensor([1.0, 0.05, 0.0]), TIERS)
    made.wide.weight.data = torch.from_numpy(chance.normal(0, 0.5, made.wide.weight.shape)).float()
    made.wide.weight.data[5, 0] += outlier
    made.wide.weight.data[6, 0] += 0.3 * outlier
    return made.eval()


def exported_of(made: Network, encoded: Encoded) -> Exported:
    return Static(base_of(np.random.default_rng(0))).export(made, CALIBRATION, encoded, PAIRS)


def encoded_of(lengths: np.ndarray, seed: int = 1) -> Encoded:
    chance = np.random.default_rng(seed)
    ids = [chance.integers(0, VOCABULARY, length).astype(np.int32) for length in lengths]
    features = chance.normal([2.0, 0.1, 0.5], [1.0, 0.05, 0.0], (len(lengths), 3))
    return Encoded(Ragged.of(ids), features.astype(np.float32), Pairs(VOCABULARY, PAIR_IDS, PAIRED_HEAD))


def logit(probability: np.ndarray) -> np.ndarray:
    return np.log(probability / (1 - probability))


@pytest.fixture(scope="module")
def encoded() -> Encoded:
    return encoded_of(np.random.default_rng(2).integers(1, 60, ROWS))


@pytest.fixture(scope="module")
def graphs() -> dict[str, Session]:
    folded = fold(network(), CALIBRATION)
    return {"float32": Session(float_graph(folded)), "int8": Session(int8_graph(folded))}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_float_graph_gives_the_networks_calibrated_probabilities(seed: int, encoded: Encoded) -> None:
    made = network(seed)
    expected = CALIBRATION(predict(made, encoded, ALL))
    found = run(float_graph(fold(made, CALIBRATION)), encoded, ALL)
    assert np.abs(found - expected).max() <= FLOAT_TOLERANCE


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_int8_graph_is_close_and_keeps_the_order(seed: int, encoded: Encoded) -> None:
    made = network(seed)
    exported = exported_of(made, encoded)
    expected = CALIBRATION(predict(made, encoded, ALL))
    assert exported.precision == "int8"
    assert np.abs(run(exported.graph, encoded, ALL) - expected).max() <= INT8_TOLERANCE
    assert exported.checks["float_error"] <= FLOAT_TOLERANCE
    assert len(exported.graph) < len(float_graph(fold(made, CALIBRATION))) / 2


def test_a_network_that_int8_does_not_carry_keeps_float32_and_says_so(encoded: Encoded) -> None:
    made = network(outlier=2e6)  # a step of what is left of these is wider than other tokens' addends
    exported = exported_of(made, encoded)
    assert exported.precision == "float32"
    assert exported.checks["int8_error"] > INT8_TOLERANCE
    expected = CALIBRATION(predict(made, encoded, ALL))
    assert np.abs(run(exported.graph, encoded, ALL) - expected).max() <= FLOAT_TOLERANCE


def test_a_float_graph_that_differs_from_the_network_is_not_exported(encoded: Encoded) -> None:
    broken = network()
    broken.head.bias.data[0] = float("nan")
    with pytest.raises(ExportError, match="differs from the network by nan"):
        exported_of(broken, encoded)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_padding_does_not_change_the_result(precision: str, graphs: dict[str, Session]) -> None:
    encoded = encoded_of(np.array([1, 7, 40]))
    for row in range(3):
        ids, features = encoded.ids.rows()[row][None].astype(np.int32), encoded.features[[row]]
        alone = graphs[precision].sufficiency(ids, features)
        padded = graphs[precision].sufficiency(np.pad(ids, ((0, 0), (0, 25))), features)
        assert np.abs(alone - padded).max() <= 1e-6


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_text_without_tokens_is_judged_by_its_features(precision: str, graphs: dict[str, Session]) -> None:
    made = network()
    nothing = Encoded(Ragged.of([[]]), np.array([[3.0, 0.12, 0.5]], np.float32))
    expected = CALIBRATION(predict(made, nothing, np.array([0])))
    ids = np.zeros((1, 1), np.int32)
    assert np.abs(graphs[precision].sufficiency(ids, nothing.features) - expected).max() <= FLOAT_TOLERANCE


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_features_far_outside_training_are_no_more_than_at_the_edge(
    precision: str, graphs: dict[str, Session]
) -> None:
    ids = np.array([[3, 4, 5]], np.int32)
    edge = graphs[precision].sufficiency(ids, np.array([[6.0, 0.3, 0.5]], np.float32))
    beyond = graphs[precision].sufficiency(ids, np.array([[1e30, 1e9, 0.5]], np.float32))
    within = graphs[precision].sufficiency(ids, np.array([[4.0, 0.2, 0.5]], np.float32))
    assert np.abs(edge - beyond).max() <= 1e-6
    assert np.abs(edge - within).max() > 1e-3


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_feature_that_was_constant_in_training_has_no_say(
    precision: str, graphs: dict[str, Session]
) -> None:
    ids = np.array([[3, 4, 5], [3, 4, 5]], np.int32)
    features = np.array([[2.0, 0.1, 0.5], [2.0, 0.1, 77.0]], np.float32)
    one, other = graphs[precision].sufficiency(ids, features)
    assert np.abs(one - other).max() <= 1e-6


def test_every_token_has_a_weight_in_the_int8_table_and_the_pad_has_none() -> None:
    made = network()
    made.token.weight.data[7] = -20.0  # so light that its weight rounds to nothing
    folded = fold(made, CALIBRATION)
    model = onnx.load_from_string(int8_graph(folded))
    table = next(
        onnx.numpy_helper.to_array(value) for value in model.graph.initializer if value.name == "table"
    )
    assert table.dtype == np.int8
    assert not table[0].any()
    assert table[1:VOCABULARY, -1].min() == table[7, -1] == 1
    assert not table[VOCABULARY:, -1].any()  # a mean is over tokens; pairs add to its sum alone
    assert table[VOCABULARY:, :-1].any()
    assert table.min() >= -127


def test_two_columns_carry_the_wide_part_where_one_would_round_too_much(encoded: Encoded) -> None:
    made = network()
    for layer in (made.hidden, made.head):
        layer.weight.data.zero_()
    expected = logit(CALIBRATION(predict(made, encoded, ALL)))
    model = onnx.load_from_string(int8_graph(fold(made, CALIBRATION)))
    both = logit(run(model.SerializeToString(), encoded, ALL))
    constant = next(value for value in model.graph.initializer if value.name == "table")
    table = onnx.numpy_helper.to_array(constant).copy()
    table[:, -1 - TIERS : -1] = 0
    constant.CopyFrom(onnx.numpy_helper.from_array(table, "table"))
    one = logit(run(model.SerializeToString(), encoded, ALL))
    assert np.abs(both - expected).max() <= 0.02
    assert np.abs(one - expected).max() > 0.05


def test_the_graph_takes_any_number_of_prompts_and_tokens(graphs: dict[str, Session]) -> None:
    for prompts, length in ((1, 1), (3, 9), (2, 2000)):
        ids = np.ones((prompts, length), np.int32)
        features = np.zeros((prompts, 3), np.float32)
        assert graphs["int8"].sufficiency(ids, features).shape == (prompts, TIERS)
        assert graphs["int8"].embedding(ids, features).shape == (prompts, WIDTH)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_order_loss_is_none_for_the_same_order_and_never_negative(seed: int) -> None:
    exact = np.random.default_rng(seed).random((20, 3))
    exact[:, 2] += 1
    squashed = dataclasses.replace(CALIBRATION, scale=np.full(3, 2.0), offset=np.zeros(3))(exact)
    assert order_loss(exact, exact, (0, 2)) == 0.0
    assert order_loss(exact, squashed[:, [1, 0, 2]], (0, 2)) >= -1e-12


def test_order_loss_of_the_reversed_order_by_hand() -> None:
    # Gains 3 and 1: recovered in order 3/4, 1; reversed 1/4, 1; the means differ by 1/4.
    exact, reverse = np.array([[0.0, 3.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 3.0]])
    assert order_loss(exact, reverse, (0, 1)) == pytest.approx(0.25)
