"""The network in training: a loss over what is known, and rates that warm up and decay."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from router_model.base import Base
from router_model.network import Network
from router_model.training.config import TrainConfig
from router_model.training.encoders.static import Static
from router_model.training.module import WARM_UP_STEPS, Module, gain_variance, masked_loss

NAN = float("nan")


CONFIG = TrainConfig()


def module(total_steps: int) -> Module:
    """A network of two tiers over a table drawn at random, in training."""
    table = np.random.default_rng(0).integers(-127, 128, (30, 6)).astype(np.int8)
    base = Base(table, np.full(6, 0.01, np.float32), np.zeros(30, np.float32), "", "made here")
    torch.manual_seed(0)
    network = Network(base, torch.zeros(3), torch.ones(3), tiers=2)
    return Module(network, Static(base).parameter_groups(network, CONFIG), CONFIG.seed, total_steps)


def test_unknown_targets_give_no_gradient() -> None:
    logits = torch.tensor([[0.3, -2.0], [1.5, 4.0]], requires_grad=True)
    masked_loss(logits, torch.tensor([[1.0, NAN], [NAN, 0.0]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1] == logits.grad[1, 0] == 0.0
    assert logits.grad[0, 0] < 0 < logits.grad[1, 1]


def test_the_loss_is_the_mean_over_known_targets() -> None:
    logits = torch.tensor([[0.3, -2.0, 0.7], [1.5, 4.0, 9.0]])
    targets = torch.tensor([[1.0, NAN, 0.0], [NAN, 0.0, NAN]])
    known = [(0, 0), (0, 2), (1, 1)]
    expected = sum(
        F.binary_cross_entropy_with_logits(logits[place], targets[place]).item() for place in known
    )
    assert masked_loss(logits, targets).item() == pytest.approx(expected / 3)


def test_the_gain_varies_by_what_tiers_do_not_share() -> None:
    difficulty = torch.tensor([[-1.0], [0.5], [2.0], [2.5]])
    assert gain_variance(difficulty + torch.tensor([[0.0, 1.0, 3.0]])).item() == pytest.approx(0.0, abs=1e-12)
    gain = torch.tensor([0.0, 1.0, 0.0, 1.0])
    logits = torch.cat([difficulty, difficulty + gain[:, None]], dim=1)
    assert gain_variance(logits).item() == pytest.approx(0.25)


def test_nothing_known_is_no_loss_and_no_gradient() -> None:
    logits = torch.ones(2, 2, requires_grad=True)
    loss = masked_loss(logits, torch.full((2, 2), NAN))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0.0


@given(value=st.floats(-30, 30), hidden=st.integers(0, 3))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_logit_whose_target_is_unknown_has_no_say(value: float, hidden: int) -> None:
    logits, targets = torch.tensor([[0.5, -1.0, 2.0, 0.0]]), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    targets[0, hidden] = NAN
    changed = logits.clone()
    changed[0, hidden] = value
    assert masked_loss(changed, targets).item() == masked_loss(logits, targets).item()


def test_rows_of_unknown_targets_leave_the_tables_as_they_were() -> None:
    made = module(total_steps=100)
    ids, features = torch.tensor([[4, 5], [8, 9]]), torch.zeros(2, 3)
    masked_loss(made.network(ids, features), torch.tensor([[1.0, NAN], [NAN, NAN]])).backward()
    gradient = made.network.wide.weight.grad
    assert gradient is not None
    assert gradient[[4, 5], 0].abs().min() > 0
    assert gradient[[4, 5], 1].abs().max() == 0.0
    assert gradient[[8, 9]].abs().max() == 0.0


def test_every_parameter_is_learned_at_its_own_rate_and_decays_at_it() -> None:
    made = module(total_steps=100)
    groups = made.configure_optimizers()["optimizer"].param_groups
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in made.network.parameters())
    rates = [CONFIG.token_learning_rate, CONFIG.wide_learning_rate, CONFIG.learning_rate]
    assert [group["initial_lr"] for group in groups] == rates
    decays = [0.0, CONFIG.wide_weight_decay, CONFIG.weight_decay]
    assert [group["weight_decay"] for group in groups] == decays


def test_the_rate_warms_up_then_decays_and_stays_above_zero() -> None:
    optimizers = module(total_steps=200).configure_optimizers()
    schedule = optimizers["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(300):
        rates.append(schedule.get_last_lr()[2] / CONFIG.learning_rate)
        optimizers["optimizer"].step()
        schedule.step()
    assert rates[0] == pytest.approx(1 / WARM_UP_STEPS)
    peak = int(np.argmax(rates))
    assert peak == WARM_UP_STEPS - 1
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)
