"""The network: padding, empty texts, features, and what starts at nothing."""

import numpy as np
import pytest
import torch

from router_model.base import Base
from router_model.features import FEATURES
from router_model.network import REACH, WIDTH, Network, hidden_units

V, D, F, K = 50, 8, len(FEATURES), 3


@pytest.fixture
def network() -> Network:
    chance = np.random.default_rng(0)
    base = Base(
        table=chance.integers(-127, 128, (V, D)).astype(np.int8),
        scale=np.full(D, 0.01, np.float32),
        log_weight=chance.standard_normal(V).astype(np.float32),
        tokenizer_json="{}",
        source="none",
    )
    torch.manual_seed(0)
    deviation = torch.ones(F)
    deviation[2] = 0.0  # constant in training
    found = Network(base, torch.zeros(F), deviation, K).eval()
    with torch.no_grad():
        found.wide.weight.normal_()
    return found


def logits(network: Network, ids: list[list[int]], features: torch.Tensor | None = None) -> torch.Tensor:
    block = torch.tensor(ids, dtype=torch.int32)
    with torch.no_grad():
        found: torch.Tensor = network(block, torch.zeros(len(ids), F) if features is None else features)
    return found


def test_padding_has_no_say(network: Network) -> None:
    assert torch.allclose(logits(network, [[5, 9, 3]]), logits(network, [[5, 9, 3, 0, 0, 0]]), atol=1e-6)
    assert torch.allclose(logits(network, [[5, 9, 3]]), logits(network, [[5, 0, 9, 0, 3]]), atol=1e-6)


def test_a_row_is_computed_alike_alone_and_beside_others(network: Network) -> None:
    together = logits(network, [[5, 9, 3, 7], [4, 0, 0, 0], [0, 0, 0, 0]])
    assert torch.allclose(together[1], logits(network, [[4]])[0], atol=1e-6)
    assert torch.allclose(together[2], logits(network, [[0]])[0], atol=1e-6)
    assert together.shape == (3, K)


def test_a_text_without_tokens_has_finite_logits_and_gradients(network: Network) -> None:
    network.train()
    found = network(torch.zeros((2, 4), dtype=torch.int32), torch.zeros(2, F))
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_the_token_of_greater_weight_has_the_greater_say(network: Network) -> None:
    with torch.no_grad():
        network.token.weight[5], network.token.weight[9] = 8.0, -8.0
    assert torch.allclose(logits(network, [[5, 9]]), logits(network, [[5]]), atol=1e-3)


def test_a_feature_that_was_constant_in_training_has_no_say(network: Network) -> None:
    features = torch.zeros(1, F)
    features[0, 2] = 1e9
    assert torch.equal(logits(network, [[5]], features), logits(network, [[5]]))


def test_a_feature_beyond_what_training_saw_counts_as_at_its_edge(network: Network) -> None:
    edge, beyond = torch.zeros(1, F), torch.zeros(1, F)
    edge[0, 0], beyond[0, 0] = REACH, 1e9
    assert torch.equal(logits(network, [[5]], beyond), logits(network, [[5]], edge))
    assert not torch.equal(logits(network, [[5]], edge), logits(network, [[5]]))


def test_the_table_stays_as_it_is_and_the_token_weights_learn(network: Network) -> None:
    learned = {name for name, _ in network.named_parameters()}
    assert "token.weight" in learned
    assert "table" not in learned
    assert "table" not in network.state_dict()


@pytest.mark.parametrize("tiers", [2, 3, 16])
def test_hidden_units_both_wide_columns_of_each_tier_and_the_total_fill_the_table(tiers: int) -> None:
    assert hidden_units(tiers) + 2 * tiers + 1 == WIDTH
    assert hidden_units(tiers) >= 31
