"""Fit a router so that every row also judges it: each fold is predicted by a network that never saw it.

The out-of-fold logits calibrate the probabilities and measure the operating curve; the router itself is
then fitted on all rows, for as many epochs as the folds found best.
"""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from router_model.data.split import folds, holdout
from router_model.errors import DataError, FileError
from router_model.files import replace_file
from router_model.training.calibrate import Calibration, calibrate, calibrate_together
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded
from router_model.training.devices import device_of
from router_model.training.encoders.encoder import Encoder
from router_model.training.fit import Fitted, fit, planned_epochs, predict, single_share

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
StageDone = Callable[[str, float], None]  # what runs, share of the whole that is done
NO_ROWS = np.zeros(0, np.int64)
MIN_ROWS = 20
START_SPREAD = 0.1  # a start's tiers are calibrated to one another: a few rows may not set them apart


@dataclass(frozen=True)
class CrossFitted:
    """A router's network, and what it says of rows it had not seen.

    Attributes:
        network: fitted on all rows.
        calibration: of its logits, fitted on all out-of-fold logits.
        probabilities: float64 [N, K], each row's from networks and a calibration that did not see it.
        history: per fold, the losses of each epoch.
        epochs: of the final fit.
        networks: those of the folds, each without its own.
        fold_of: int64 [N], the fold of each row.
    """

    network: nn.Module
    calibration: Calibration
    probabilities: Floats
    history: list[list[dict[str, float]]]
    epochs: int
    networks: tuple[nn.Module, ...]
    fold_of: NDArray[np.int64]


def crossfit(
    encoder: Encoder,
    encoded: Encoded,
    targets: Floats,
    groups: NDArray[np.int64],
    config: TrainConfig,
    *,
    lessons: Floats | None = None,
    state: Path | None = None,
    stage_done: StageDone | None = None,
) -> CrossFitted:
    """Fit folds and the whole.

    Args:
        targets: float64 [N, K], NaN unknown; a row of which nothing is known is judged and not learnt from.
        groups: int64 [N]; a group is never on both sides.
        lessons: float64 [N, K], NaN unknown, what networks learn in place of ``targets``, which calibrate.
        state: folder in which finished parts are kept, and from which an interrupted run goes on.

    Raises:
        DataError: too few rows or groups, or labels that are all the same.
        TrainingError: a fit failed.
    """
    check_targets(targets)
    lessons = targets if lessons is None else lessons
    known = ~np.isnan(lessons).all(axis=1)  # [N]
    fold_of = folds(groups, config.folds, config.seed)
    logits = np.empty_like(targets)
    parts = []
    for fold in range(config.folds):
        part = _Part(state, f"fold-{fold}", _progress(stage_done, fold, config.folds))
        out = np.flatnonzero(fold_of == fold)
        rows = np.flatnonzero((fold_of != fold) & known)
        if single_share(lessons[rows]) > 0.5:
            # The loss turns before what sets tiers apart is learnt, which is little of it: no early stop.
            epochs = planned_epochs(len(rows), config)
            fitted = part.fit(encoder, encoded, lessons, rows, NO_ROWS, config, stop_after=epochs)
        else:
            held = holdout(groups[rows], config.validation, config.seed + fold)
            fitted = part.fit(encoder, encoded, lessons, rows[~held], rows[held], config)
        logits[out] = predict(fitted.network, encoded, out, device_of(config))
        parts.append(fitted)
    epochs = max(1, round(float(np.mean([part.epochs for part in parts]))))
    final = _Part(state, "final", _progress(stage_done, config.folds, config.folds))
    whole = final.fit(encoder, encoded, lessons, np.flatnonzero(known), NO_ROWS, config, stop_after=epochs)
    calibration = partial(_calibrated, learned=bool(encoder.learned))
    return CrossFitted(
        network=whole.network,
        calibration=calibration(logits, targets),
        probabilities=_held_out_probabilities(logits, targets, fold_of, calibration),
        history=[part.history for part in parts],
        epochs=epochs,
        networks=tuple(part.network for part in parts),
        fold_of=fold_of,
    )


def open_state(folder: Path, fingerprint: str) -> Path:
    """A folder for an interrupted run to go on from; emptied where it belongs to another run.

    Raises:
        DataError: what stands there is not of an interrupted run.
        FileError: the folder cannot be read or made.
    """
    note = folder / "run.json"
    ours = json.dumps({"fingerprint": fingerprint}).encode()
    try:
        if folder.exists() and not (note.is_file() and note.read_bytes() == ours):
            if not folder.is_dir() or (any(folder.iterdir()) and not note.is_file()):
                raise DataError(f"{folder}: exists and is not of an interrupted run; move it away")
            shutil.rmtree(folder)
        if folder.exists():
            logger.info("%s: going on with the run that was interrupted", folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: {error.strerror or error}; give --out another place or name") from None
    replace_file(note, ours)
    return folder


@dataclass(frozen=True)
class _Part:
    """One fit of the run, kept under ``state / name``."""

    state: Path | None
    name: str
    epoch_done: Callable[[int, int], None]

    def fit(
        self,
        encoder: Encoder,
        encoded: Encoded,
        targets: Floats,
        rows: NDArray[np.int64],
        validation: NDArray[np.int64],
        config: TrainConfig,
        stop_after: int | None = None,
    ) -> Fitted:
        return fit(
            encoder,
            encoded,
            targets,
            rows,
            validation,
            config,
            stop_after=stop_after,
            checkpoints=self.state / self.name if self.state else None,
            epoch_done=self.epoch_done,
        )


def _progress(stage_done: StageDone | None, part: int, folds_: int) -> Callable[[int, int], None]:
    name = f"fold {part + 1} of {folds_}" if part < folds_ else "all rows"

    def epoch_done(done: int, at_most: int) -> None:
        if stage_done:
            stage_done(name, (part + done / at_most) / (folds_ + 1))

    return epoch_done


def _held_out_probabilities(
    logits: Floats,
    targets: Floats,
    fold_of: NDArray[np.int64],
    calibrated: Callable[[Floats, Floats], Calibration],
) -> Floats:
    """Each fold's logits under a calibration fitted on the other folds."""
    probabilities = np.empty_like(logits)
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        probabilities[inside] = calibrated(logits[~inside], targets[~inside])(logits[inside])
    return probabilities


def _calibrated(logits: Floats, targets: Floats, learned: bool) -> Calibration:
    """A scale for each tier where many rows tell them apart; ``learned`` says that the start knew them."""
    if single_share(targets) > 0.5:
        return calibrate_together(logits, targets)
    return calibrate_together(logits, targets, START_SPREAD) if learned else calibrate(logits, targets)


def check_targets(targets: Floats) -> None:
    """Refuse targets [N, K] that hold nothing to learn; raises DataError."""
    rows = int((~np.isnan(targets)).any(axis=1).sum())
    if rows < MIN_ROWS:
        raise DataError(f"{rows} rows are too few to learn from; give at least {MIN_ROWS}")
    seen = [np.unique(column[~np.isnan(column)]) for column in targets.T]
    if all(len(values) < 2 for values in seen):
        raise DataError(
            "every row has the same label, so there is nothing to learn; "
            "give rows of which some need a dearer tier and some do not"
        )
