"""Fit one network on some rows, stopping where rows held out from it stop improving."""

import io
import logging
import math
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from numpy.typing import NDArray
from torch import nn

from router_model.errors import FileError, TrainingError, one_line
from router_model.files import replace_file
from router_model.network import Network
from router_model.training.config import TrainConfig
from router_model.training.dataset import DataModule, Encoded
from router_model.training.encoders.encoder import Encoder
from router_model.training.module import Module
from router_model.training.start import refit_logits

logger = logging.getLogger(__name__)

PREDICT_ROWS = 256
PAIRED = 100  # a row that shows several tiers outweighs so many that show one: it tells of the gain itself

EpochDone = Callable[[int, int], None]  # epochs done, epochs at most


@dataclass(frozen=True)
class Fitted:
    """A fitted network.

    Attributes:
        network: in evaluation mode, with the weights of its best epoch.
        epochs: how many epochs those weights took.
        history: per epoch, the training loss and, where rows were held out, the validation loss.
    """

    network: nn.Module
    epochs: int
    history: list[dict[str, float]] = field(default_factory=list)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread.

    Steps are so small that a second thread gains a fifth at best, and where cores are shared with other
    work it waits: 40 times slower. The result does not depend on the number of cores either.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def fit(
    encoder: Encoder,
    encoded: Encoded,
    targets: NDArray[np.float64],
    train_rows: NDArray[np.int64],
    validation_rows: NDArray[np.int64],
    config: TrainConfig,
    *,
    stop_after: int | None = None,
    checkpoints: Path | None = None,
    epoch_done: EpochDone | None = None,
) -> Fitted:
    """Fit on ``train_rows``; keep the epoch of the least loss on ``validation_rows``.

    Args:
        targets: float64 [N, K], NaN unknown.
        validation_rows: may be empty, with ``stop_after`` then.
        stop_after: train for so many epochs, without looking at a validation loss.
        checkpoints: folder where each epoch is kept, and from which an interrupted fit goes on.

    Raises:
        TrainingError: the loss is not finite, or the checkpoint does not fit this run.
        FileError: ``checkpoints`` cannot be written.
    """
    torch.manual_seed(config.seed)
    network = encoder.new_network(encoded.features[train_rows], targets.shape[1], config)
    finished = checkpoints / "finished.pt" if checkpoints else None
    if finished and finished.is_file():
        return _finished(network, finished)
    if encoder.learned and isinstance(network, Network):
        refit_logits(network, predict(network.eval(), encoded, train_rows), targets[train_rows])
    steps = math.ceil(len(train_rows) / config.batch_size)
    epochs = planned_epochs(len(train_rows), config)
    best = BestEpoch(epochs, stop_after, max(1, math.ceil(config.patience * epochs)), epoch_done)
    penalty = config.gain_penalty * single_share(targets[train_rows]) / len(train_rows)
    groups = encoder.parameter_groups(network, config)
    if encoder.learned:
        groups = [group | {"lr": config.start_rate * group["lr"], "weight_decay": 0.0} for group in groups]
    pull = config.start_penalty / len(train_rows) if encoder.learned else None
    module = Module(network, groups, config.seed, steps * epochs, penalty, pull)
    data = DataModule(encoded, targets, train_rows, validation_rows, config.batch_size, config.seed)
    _run(module, data, best, stop_after or epochs, checkpoints)
    if best.weights:
        network.load_state_dict(best.weights)
    if finished:
        kept = {"weights": network.state_dict(), "epoch": best.epoch, "history": best.history}
        buffer = io.BytesIO()
        torch.save(kept, buffer)
        replace_file(finished, buffer.getvalue())
    return Fitted(network.eval(), best.epoch, best.history)


def _finished(network: nn.Module, path: Path) -> Fitted:
    """A fit that an earlier, interrupted run brought to its end."""
    kept = _load(path)
    try:
        network.load_state_dict(kept["weights"])
        return Fitted(network.eval(), kept["epoch"], kept["history"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(path, error) from None


def _load(path: Path) -> Any:
    try:
        return torch.load(path, weights_only=True)
    except Exception:  # torch.load raises whatever the bytes provoke, with advice to trust them
        raise TrainingError(f"{path}: cut short or altered, so cannot go on from it; delete it") from None


def _unusable(path: Path, error: Exception) -> TrainingError:
    return TrainingError(f"{path}: cannot go on from this file: {one_line(error)}; delete it")


def planned_epochs(rows: int, config: TrainConfig) -> int:
    """Epochs that the learning rate's decay spans: more where an epoch has few steps."""
    return max(config.epochs, math.ceil(config.min_steps / math.ceil(rows / config.batch_size)))


def single_share(targets: NDArray[np.float64]) -> float:
    """How far rows show one tier alone, from 0 to 1; one that shows several counts a hundredfold: [N, K]."""
    shown = (~np.isnan(targets)).sum(axis=1)  # [N]
    single, several = int((shown == 1).sum()), int((shown > 1).sum())
    return single / max(1, single + PAIRED * several)


@one_thread()
@torch.no_grad()
def predict(network: nn.Module, encoded: Encoded, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logits float64 [len(rows), K] of some rows, at least one."""
    order = np.argsort(encoded.ids.lengths[rows], kind="stable")
    blocks = [
        network(*encoded.block(rows[order[start : start + PREDICT_ROWS]])).double().numpy()
        for start in range(0, len(order), PREDICT_ROWS)
    ]
    logits: NDArray[np.float64] = np.concatenate(blocks)[np.argsort(order)]
    return logits


class BestEpoch(lightning.Callback):
    """Keeps the weights of the best epoch, stops when patience ends, and is part of each checkpoint."""

    def __init__(
        self, epochs: int, stop_after: int | None, patience: int, epoch_done: EpochDone | None
    ) -> None:
        self.epochs = epochs
        self.stop_after = stop_after
        self.patience = patience
        self.epoch_done = epoch_done
        self.epoch = 0
        self.loss = math.inf
        self.weights: dict[str, torch.Tensor] = {}
        self.history: list[dict[str, float]] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stay stopped where a checkpoint is of the epoch at which patience ended."""
        trainer.should_stop = self._impatient()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Judge the epoch; Lightning has run its validation by now."""
        losses = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not all(math.isfinite(loss) for loss in losses.values()):
            raise TrainingError(
                f"epoch {trainer.current_epoch + 1}: the loss is not finite; lower --learning-rate"
            )
        self.history.append(losses)
        done = trainer.current_epoch + 1
        if self.stop_after is not None:
            self.epoch = done
        elif losses["validation_loss"] < self.loss:
            self.epoch, self.loss = done, losses["validation_loss"]
            weights = pl_module.network.state_dict()  # type: ignore[union-attr]
            self.weights = {name: tensor.clone() for name, tensor in weights.items()}
        trainer.should_stop = self._impatient()
        if self.epoch_done:
            self.epoch_done(done, self.stop_after or self.epochs)

    def _impatient(self) -> bool:
        return self.stop_after is None and len(self.history) - self.epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the callback."""
        return {"epoch": self.epoch, "loss": self.loss, "weights": self.weights, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.epoch, self.loss = state_dict["epoch"], state_dict["loss"]
        self.weights, self.history = state_dict["weights"], state_dict["history"]


def _run(module: Module, data: DataModule, best: BestEpoch, epochs: int, checkpoints: Path | None) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # its advice is not for our users
    keeper = ModelCheckpoint(
        checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False
    )  # one file, replaced after each epoch; its own `save_last` writes no file before the end
    last = checkpoints / "last.ckpt" if checkpoints and (checkpoints / "last.ckpt").is_file() else None
    if last:
        _load(last)
        logger.info("%s: going on after the last whole epoch", last)
    validated = len(data.validation_rows) > 0
    with warnings.catch_warnings():
        # Its advice (loader processes, few batches) and its own deprecations are not for our users.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=epochs,
            deterministic=True,
            logger=False,
            callbacks=[best, keeper] if checkpoints else [best],
            enable_checkpointing=checkpoints is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if validated else 0,
        )
        try:
            trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
        except SystemExit:  # Lightning's answer to an interrupt, after which it ignores further ones
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from None
        except OSError as error:
            raise FileError(
                f"{checkpoints}: {error.strerror or one_line(error)}; mend the disk and start the run again"
            ) from None
        except (RuntimeError, KeyError, TypeError, AttributeError, ValueError) as error:
            if last is None:
                raise
            raise _unusable(last, error) from None
