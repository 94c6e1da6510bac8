"""Fitting: it learns, repeats itself, stops in time, and goes on after an interrupt as if nothing were."""

import dataclasses
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from router_model.base import Base
from router_model.errors import FileError, TrainingError
from router_model.tokens import Ragged
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded
from router_model.training.encoders.static import Static
from router_model.training.fit import Fitted, fit, planned_epochs, predict, single_share

VOCABULARY, ROWS = 60, 160
CONFIG = TrainConfig(
    epochs=10, min_steps=1, batch_size=16, patience=1.0, learning_rate=0.02, wide_learning_rate=0.05
)
TRAIN, HELD = np.arange(120), np.arange(120, ROWS)
NONE = np.zeros(0, np.int64)


class KilledError(Exception):
    """Ends a fit in its middle."""


@pytest.fixture(scope="module")
def encoder() -> Static:
    table = np.random.default_rng(0).integers(-127, 128, (VOCABULARY, 8)).astype(np.int8)
    base = Base(table, np.full(8, 0.01, np.float32), np.zeros(VOCABULARY, np.float32), "", "made here")
    return Static(base)


@pytest.fixture(scope="module")
def encoded() -> Encoded:
    """Rows of 3 to 12 tokens; those that begin with one of three tokens are hard."""
    chance = np.random.default_rng(1)
    ids = [chance.integers(1, 45, chance.integers(3, 12)).astype(np.int32) for _ in range(ROWS)]
    for row in range(0, ROWS, 2):
        ids[row][0] = chance.integers(46, 49)
    return Encoded(Ragged.of(ids), chance.normal(size=(ROWS, 3)).astype(np.float32))


@pytest.fixture(scope="module")
def targets() -> np.ndarray:
    """The cheap tier is sufficient for easy rows, the dear one for all; a tenth is unknown."""
    easy = (np.arange(ROWS) % 2).astype(np.float64)
    known = np.stack([easy, np.ones(ROWS)], axis=1)
    known[np.random.default_rng(2).random(known.shape) < 0.1] = np.nan
    return known


@pytest.fixture(scope="module")
def whole(encoder: Static, encoded: Encoded, targets: np.ndarray) -> Fitted:
    return fit(encoder, encoded, targets, TRAIN, HELD, CONFIG)


def largest_difference(one: Fitted, other: Fitted) -> float:
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def test_it_learns_what_tells_rows_apart(whole: Fitted, encoded: Encoded) -> None:
    logits = predict(whole.network, encoded, HELD)
    easy = HELD % 2 == 1
    assert logits[easy, 0].mean() > logits[~easy, 0].mean() + 0.3
    assert whole.history[-1]["train_loss"] < whole.history[0]["train_loss"]
    assert not whole.network.training


def test_what_sets_tiers_apart_is_held_back_where_targets_are_unknown(
    encoder: Static, encoded: Encoded, targets: np.ndarray
) -> None:
    logged = targets.copy()
    logged[np.arange(ROWS), np.random.default_rng(3).integers(0, 2, ROWS)] = np.nan
    rows = TRAIN[~np.isnan(logged[TRAIN]).all(axis=1)]
    spread = {}
    for penalty in (0.0, 1e4):
        config = dataclasses.replace(CONFIG, gain_penalty=penalty)
        fitted = fit(encoder, encoded, logged, rows, NONE, config, stop_after=8)
        spread[penalty] = np.diff(predict(fitted.network, encoded, HELD), axis=1).std()
    assert spread[1e4] < 0.3 * spread[0.0]


def test_rows_that_show_every_tier_outweigh_those_that_show_one() -> None:
    every, single = np.ones((90, 3)), np.where(np.arange(3) == 1, 1.0, np.full((90, 3), np.nan))
    assert single_share(every) == 0.0
    assert single_share(single) == 1.0
    assert single_share(np.concatenate([every, single])) == pytest.approx(1 / 101)
    assert single_share(np.full((4, 3), np.nan)) == 0.0


def test_the_weights_are_those_of_the_epoch_with_the_least_validation_loss(whole: Fitted) -> None:
    losses = [epoch["validation_loss"] for epoch in whole.history]
    assert whole.epochs == 1 + int(np.argmin(losses))


def test_the_same_seed_gives_the_same_weights_on_any_number_of_threads(
    whole: Fitted, encoder: Static, encoded: Encoded, targets: np.ndarray
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        again = fit(encoder, encoded, targets, TRAIN, HELD, CONFIG)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert largest_difference(whole, again) == 0.0


def test_another_seed_gives_other_weights(
    whole: Fitted, encoder: Static, encoded: Encoded, targets: np.ndarray
) -> None:
    other = fit(
        encoder, encoded, targets, TRAIN, HELD, TrainConfig(seed=1, epochs=2, min_steps=1, batch_size=16)
    )
    assert largest_difference(whole, other) > 1e-3


@pytest.mark.parametrize("at", [2, 7])
def test_a_fit_that_was_cut_off_goes_on_from_its_last_epoch_to_the_same_weights(
    at: int, whole: Fitted, encoder: Static, encoded: Encoded, targets: np.ndarray, tmp_path: Path
) -> None:
    def cut(done: int, _: int) -> None:
        if done == at:
            raise KilledError

    with pytest.raises(KilledError):
        fit(encoder, encoded, targets, TRAIN, HELD, CONFIG, checkpoints=tmp_path, epoch_done=cut)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    epochs: list[int] = []
    resumed = fit(
        encoder,
        encoded,
        targets,
        TRAIN,
        HELD,
        CONFIG,
        checkpoints=tmp_path,
        epoch_done=lambda done, _: epochs.append(done),
    )
    assert epochs == list(range(at, 11))
    assert resumed.epochs == whole.epochs
    assert resumed.history == whole.history
    assert largest_difference(whole, resumed) <= 1e-6


def test_a_finished_fit_is_read_and_not_run_again(
    whole: Fitted, encoder: Static, encoded: Encoded, targets: np.ndarray, tmp_path: Path
) -> None:
    fit(encoder, encoded, targets, TRAIN, HELD, CONFIG, checkpoints=tmp_path)
    epochs: list[int] = []
    again = fit(
        encoder,
        encoded,
        targets,
        TRAIN,
        HELD,
        CONFIG,
        checkpoints=tmp_path,
        epoch_done=lambda done, _: epochs.append(done),
    )
    assert epochs == []
    assert (again.epochs, again.history) == (whole.epochs, whole.history)
    assert largest_difference(whole, again) == 0.0


def test_a_fit_that_stopped_early_stays_stopped_when_it_is_taken_up(
    encoder: Static, encoded: Encoded, tmp_path: Path
) -> None:
    noise = np.random.default_rng(5).integers(0, 2, (ROWS, 2)).astype(np.float64)
    config = TrainConfig(epochs=30, min_steps=1, batch_size=16, patience=0.1)
    first = fit(encoder, encoded, noise, TRAIN, HELD, config, checkpoints=tmp_path)
    assert len(first.history) == first.epochs + 3 < 30
    (tmp_path / "finished.pt").unlink()
    again = fit(encoder, encoded, noise, TRAIN, HELD, config, checkpoints=tmp_path)
    assert (again.epochs, again.history) == (first.epochs, first.history)
    assert largest_difference(first, again) == 0.0


@pytest.mark.parametrize("name", ["last.ckpt", "finished.pt"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_state_is_named(
    name: str, content: bytes | None, encoder: Static, encoded: Encoded, targets: np.ndarray, tmp_path: Path
) -> None:
    if content is None:
        torch.save({"something": "else"}, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match="delete it") as caught:
        fit(encoder, encoded, targets, TRAIN, HELD, CONFIG, checkpoints=tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_state_of_another_number_of_tiers_is_refused(
    encoder: Static, encoded: Encoded, targets: np.ndarray, tmp_path: Path
) -> None:
    fit(encoder, encoded, targets, TRAIN, HELD, TrainConfig(epochs=2, min_steps=1), checkpoints=tmp_path)
    with pytest.raises(TrainingError, match="cannot go on"):
        fit(encoder, encoded, np.hstack([targets, targets]), TRAIN, HELD, CONFIG, checkpoints=tmp_path)


def test_a_place_for_checkpoints_that_cannot_be_written_is_named(
    encoder: Static, encoded: Encoded, targets: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="file/state"):
        fit(encoder, encoded, targets, TRAIN, HELD, CONFIG, checkpoints=tmp_path / "file" / "state")


def test_a_loss_that_is_not_finite_ends_the_fit_with_the_cure(encoder: Static, targets: np.ndarray) -> None:
    ids = [np.ones(2, np.int32)] * ROWS
    wild = TrainConfig(epochs=5, min_steps=1, token_learning_rate=10, learning_rate=10, wide_learning_rate=10)
    features = np.full((ROWS, 3), np.nan, np.float32)
    with pytest.raises(TrainingError, match=r"epoch 1: the loss is not finite; lower --learning-rate"):
        fit(encoder, Encoded(Ragged.of(ids), features), targets, TRAIN, HELD, wild)


def test_an_interrupt_comes_out_as_one_and_the_next_is_not_ignored(
    encoder: Static, encoded: Encoded, targets: np.ndarray
) -> None:
    def interrupt(done: int, _: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(encoder, encoded, targets, TRAIN, HELD, CONFIG, epoch_done=interrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_fit_without_validation_rows_takes_the_epochs_it_is_told(
    encoder: Static, encoded: Encoded, targets: np.ndarray
) -> None:
    fitted = fit(encoder, encoded, targets, np.arange(ROWS), NONE, CONFIG, stop_after=3)
    assert fitted.epochs == len(fitted.history) == 3


def test_predictions_depend_neither_on_order_nor_on_the_rows_beside(whole: Fitted, encoded: Encoded) -> None:
    rows = np.random.default_rng(0).permutation(ROWS)
    together = predict(whole.network, encoded, rows)
    alone = np.concatenate([predict(whole.network, encoded, np.array([row])) for row in rows])
    assert np.abs(together - alone).max() <= 1e-5


def test_small_data_get_more_epochs() -> None:
    config = TrainConfig(epochs=12, min_steps=300, batch_size=100)
    assert planned_epochs(100, config) == 300
    assert planned_epochs(1000, config) == 30
    assert planned_epochs(100_000, config) == 12


def test_a_feature_that_never_varies_has_no_say(encoder: Static) -> None:
    features = np.array([[0.3, 1.0], [0.3, 2.0], [0.3, 3.0]], np.float32)
    network = encoder.new_network(features, 2, CONFIG).eval()
    ids = torch.ones(2, 1, dtype=torch.int64)
    with torch.no_grad():
        constant = network(ids, torch.tensor([[0.3, 2.0], [99.0, 2.0]]))
        varying = network(ids, torch.tensor([[0.3, 1.0], [0.3, 3.0]]))
    assert (constant[0] - constant[1]).abs().max() < 1e-6
    assert (varying[0] - varying[1]).abs().max() > 1e-4
