"""The epochs of one fit: which was best, when patience ends, who is told."""

import math
from collections.abc import Callable
from typing import Any

import lightning
import torch

from router_model.errors import TrainingError

EpochDone = Callable[[int, int], None]  # epochs done, epochs at most


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
        self.started = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stay stopped where a checkpoint is of the epoch at which patience ended."""
        self.started = True
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
            self.weights = {name: tensor.cpu().clone() for name, tensor in weights.items()}
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
