"""Fit one network on some rows, stopping where rows held out from it stop improving."""

import dataclasses
import io
import logging
import math
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
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
from router_model.training.dataset import DataModule, Encoded, Share
from router_model.training.devices import BACKENDS, device_of, trainer_settings
from router_model.training.encoders.encoder import Encoder
from router_model.training.epochs import BestEpoch, EpochDone
from router_model.training.module import Module
from router_model.training.start import refit_logits
from router_model.training.together import together

logger = logging.getLogger(__name__)

PAIRED = 100  # a row that shows several tiers outweighs so many that show one: it tells of the gain itself


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
        ConfigError: ``config`` asks for devices that are not here.
        TrainingError: the loss is not finite, or the checkpoint does not fit this run.
        ProcessError: one of several processes failed.
        FileError: ``checkpoints`` cannot be written.
    """
    job = _Job(encoder, encoded, targets, train_rows, validation_rows, config, stop_after, checkpoints)
    device = device_of(config)
    if job.last and not job.is_finished:
        _load(job.last)
        logger.info("%s: going on after the last whole epoch", job.last)
    if config.devices == 1:
        return job.run(device, epoch_done)
    with TemporaryDirectory() as scratch:
        job = dataclasses.replace(job, checkpoints=checkpoints or Path(scratch))
        if not job.is_finished:
            together(partial(job.share, device), config.devices, BACKENDS[device], epoch_done)
        return job.run(device, None)


@dataclass(frozen=True)
class _Job:
    """One fit, as ``fit`` is told it: so each of several processes is."""

    encoder: Encoder
    encoded: Encoded
    targets: NDArray[np.float64]
    train_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    config: TrainConfig
    stop_after: int | None
    checkpoints: Path | None

    @property
    def finished(self) -> Path | None:
        """Where what came out is kept."""
        return self.checkpoints / "finished.pt" if self.checkpoints else None

    @property
    def is_finished(self) -> bool:
        """An earlier run, or another process, brought it to its end."""
        return bool(self.finished and self.finished.is_file())

    @property
    def last(self) -> Path | None:
        """The checkpoint to go on from."""
        last = self.checkpoints / "last.ckpt" if self.checkpoints else None
        return last if last and last.is_file() else None

    def share(self, device: str, rank: int, say: EpochDone) -> None:
        """Do one process's part; the first of them says how far all are, and keeps what came out."""
        self.run(device, None if rank else say, rank, self.config.devices)

    @one_thread()
    def run(self, device: str, epoch_done: EpochDone | None, rank: int = 0, ranks: int = 1) -> Fitted:
        """Fit, or read what was fitted."""
        encoder, encoded, config = self.encoder, self.encoded, self.config
        rows, targets = self.train_rows, self.targets[self.train_rows]
        torch.manual_seed(config.seed)
        network = encoder.new_network(encoded.features[rows], targets.shape[1], config)
        if self.finished and self.is_finished:
            return _finished(network, self.finished)
        if encoder.learned and isinstance(network, Network):
            refit_logits(network, predict(network.eval(), encoded, rows), targets)
            network.train()  # Lightning leaves the mode as it is, and there would be no dropout
        epochs = planned_epochs(len(rows), config)
        steps = epochs * math.ceil(len(rows) / config.batch_size)
        best = BestEpoch(epochs, self.stop_after, max(1, math.ceil(config.patience * epochs)), epoch_done)
        penalty = config.gain_penalty * single_share(targets) / len(rows)
        groups = encoder.parameter_groups(network, config)
        if encoder.learned:
            groups = [
                group | {"lr": config.start_rate * group["lr"], "weight_decay": 0.0} for group in groups
            ]
        pull = config.start_penalty / len(rows) if encoder.learned else None
        module = Module(network, groups, config.seed, steps, penalty, pull)
        share = Share(config.batch_size, rank, ranks)
        data = DataModule(encoded, self.targets, rows, self.validation_rows, share, config.seed)
        _train(module, data, best, self, trainer_settings(device, ranks))
        if best.weights:
            network.load_state_dict(best.weights)
        if self.finished and rank == 0:
            kept = {"weights": network.state_dict(), "epoch": best.epoch, "history": best.history}
            buffer = io.BytesIO()
            torch.save(kept, buffer)
            replace_file(self.finished, buffer.getvalue())
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
def predict(
    network: nn.Module, encoded: Encoded, rows: NDArray[np.int64], device: str = "cpu"
) -> NDArray[np.float64]:
    """Logits float64 [len(rows), K] of some rows, at least one; the network is on the CPU when it ends."""
    spans = encoded.spans(rows)
    network.to(device)
    blocks = [
        network(*(part.to(device) for part in encoded.block(rows[span]))).double().cpu().numpy()
        for span in spans
    ]
    network.cpu()
    logits: NDArray[np.float64] = np.concatenate(blocks)[np.argsort(np.concatenate(spans))]
    return logits


def _train(module: Module, data: DataModule, best: BestEpoch, job: _Job, settings: dict[str, Any]) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # its advice is not for our users
    last, checkpoints = job.last, job.checkpoints
    keeper = ModelCheckpoint(
        checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False
    )  # one file, replaced after each epoch; its own `save_last` writes no file before the end
    with warnings.catch_warnings():
        # Its advice (loader processes, few batches) and its own deprecations are not for our users.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = lightning.Trainer(
            **settings,
            max_epochs=job.stop_after or best.epochs,
            logger=False,
            callbacks=[best, keeper] if checkpoints else [best],
            enable_checkpointing=checkpoints is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if len(data.validation_rows) else 0,
        )
        try:
            trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
        except SystemExit:  # Lightning's answer to an interrupt, after which it ignores further ones
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from None
        except torch.OutOfMemoryError:
            raise TrainingError(
                "the GPU's memory is full; give a smaller --batch-size or --max-tokens, or more --devices"
            ) from None
        except OSError as error:
            raise FileError(
                f"{checkpoints}: {error.strerror or one_line(error)}; mend the disk and start the run again"
            ) from None
        except (RuntimeError, KeyError, TypeError, AttributeError, ValueError) as error:
            if last is None or best.started:
                raise
            raise _unusable(last, error) from None
