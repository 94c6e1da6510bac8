"""How long each tier's answer will be: a small head on the router's own embedding.

The embedding is what the exported graph gives, so any encoder has one and the routing head is not touched.
The head has one hidden layer, of bounded units, so that a prompt unlike all that training saw gets a length
like those that training saw. It learns the typical length, which half of the answers fall short of: that has
the least absolute error, and one answer that ran on for thousands of tokens does not drag it. What a bill
adds up is the mean, so a line from typical to expected tokens is fitted on rows that the head had not seen.

N: rows, D: columns of the embedding, H: hidden units, K: tiers. Lengths are float64 [N, K], NaN unknown.
"""

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from router_model.data.labels import DEFAULT_OUTPUT_TOKENS, answer_lengths
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.crossfit import CrossFitted
from router_model.training.encoders.encoder import Encoder
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.export import embeddings
from router_model.training.fit import one_thread
from router_model.training.prepare import Prepared

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
HIDDEN = 32
MIN_ROWS = 50  # of known lengths, that a tier's are learnt from
EPOCHS, MIN_STEPS, MAX_STEPS, WARM_UP_STEPS = 16, 300, 20_000, 20
BATCH, RATE, DECAY, DROPOUT = 128, 8e-3, 1e-2, 0.1
STILL = 1e-3  # of the widest column's deviation: a column that varies less was dead in training
EXPORTED_ROWS = 64  # on which a fold's graph is checked; the router's own is checked on many more


@dataclass(frozen=True)
class LengthHead:
    """Typical tokens: ``relu(tanh(embedding @ hidden + hidden_bias) @ head + head_bias)``.

    Attributes:
        hidden: float32 [D, H].
        hidden_bias: float32 [H].
        head: float32 [H, K].
        head_bias: float32 [K].
    """

    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    head: NDArray[np.float32]
    head_bias: NDArray[np.float32]

    def __call__(self, embedding: NDArray[np.float32]) -> Floats:
        """Typical tokens float64 [N, K] of float32 [N, D]."""
        units = np.tanh(embedding @ self.hidden + self.hidden_bias)  # [N, H]
        tokens: Floats = np.maximum(units @ self.head + self.head_bias, 0).astype(np.float64)  # [N, K]
        return tokens


@dataclass(frozen=True)
class Line:
    """``offset + scale * typical`` is the expected length; both float64 [K], 0 or more."""

    offset: Floats
    scale: Floats

    def __call__(self, typical: Floats) -> Floats:
        """Expected tokens [N, K]."""
        return self.offset + self.scale * typical


@dataclass(frozen=True)
class HeldOut:
    """What heads say of rows that they had not seen.

    Attributes:
        typical: float64 [N, K].
        expected: float64 [N, K], each row's by a line that did not see it either.
        line: fitted on all of ``typical``.
        errors: of ``typical``, ``expected``, and each tier's mean and median, for people and the manifest.
        better: whether absolute errors are below the medians', beyond chance.
    """

    typical: Floats
    expected: Floats
    line: Line
    errors: dict[str, Any]
    better: bool


def held_out(
    fitted: CrossFitted, prepared: Prepared, ladder: Ladder, config: TrainConfig, encoder: Encoder
) -> HeldOut | None:
    """Fit a head on each fold's network and measure it on the fold; None where no lengths are known."""
    lengths = answer_lengths(prepared.records, ladder)
    known = ~np.isnan(lengths)  # [N, K]
    if not (known.sum(axis=0) >= MIN_ROWS).any():
        return None
    typical, constants = np.empty_like(lengths), np.empty((2, *lengths.shape))
    for fold, network in enumerate(fitted.networks):
        inside = fitted.fold_of == fold
        embedding = prepared.encoded.embeddings
        if embedding is None:
            few = prepared.encoded.take(np.arange(min(EXPORTED_ROWS, len(prepared.encoded))))
            graph = encoder.export(network, fitted.calibration, few, [(0, len(ladder) - 1)]).graph
            embedding = embeddings(graph, prepared.encoded)
        typical[inside] = fit_head(embedding[~inside], lengths[~inside], config.seed)(embedding[inside])
        constants[:, inside] = _constants(lengths[~inside])[:, None]
    expected = np.empty_like(lengths)
    for fold in range(len(fitted.networks)):
        inside = fitted.fold_of == fold
        expected[inside] = line(typical[~inside], lengths[~inside])(typical[inside])
    said = {"typical": typical, "expected": expected, "mean": constants[0], "median": constants[1]}
    bootstrap = Bootstrap(prepared.groups, config.resamples, config.confidence, config.seed)
    gain = _relative_gain(said["typical"], said["median"], lengths, bootstrap)
    errors = {
        "rows": int(known.any(axis=1).sum()),
        "tiers": {name: _errors(said, lengths, k) for k, name in enumerate(ladder.names)},
        "absolute_error_below_mean": _relative_gain(said["typical"], said["mean"], lengths, bootstrap),
        "absolute_error_below_median": gain,
    }
    better = gain["interval"][0] > 0
    logger.info(
        "absolute errors of answers' lengths over those of medians: %.1f %% less", 100 * gain["share"]
    )
    if not better:
        logger.warning("prompts tell nothing of answers' lengths: each tier's mean prices its calls")
    return HeldOut(typical, expected, line(typical, lengths), errors, better)


@one_thread()
def fit_head(embedding: NDArray[np.float32], lengths: Floats, seed: int) -> LengthHead:
    """A head that learnt from float32 [N, D] and lengths [N, K]; a tier with too few has one for all rows."""
    torch.manual_seed(seed)
    unit, median = _constants(lengths)  # [K], [K]
    unit = np.maximum(unit, 1.0)
    mean, deviation = embedding.mean(axis=0), embedding.std(axis=0)  # [D]
    alive = deviation > STILL * deviation.max()  # [D]
    scale = np.where(alive, 1 / np.where(alive, deviation, 1.0), 0.0)  # [D]
    inputs = torch.from_numpy(((embedding - mean) * scale).astype(np.float32))  # [N, D]
    hidden, head = nn.Linear(inputs.shape[1], HIDDEN), nn.Linear(HIDDEN, len(unit))
    head.bias.data = torch.from_numpy(median / unit).float()
    learnt = np.sum(~np.isnan(lengths), axis=0) >= MIN_ROWS  # [K]
    head.weight.data[~torch.from_numpy(learnt)] = 0.0
    targets = np.where(learnt, lengths / unit, np.nan)  # [N, K]
    rows = np.flatnonzero(~np.isnan(targets).all(axis=1))
    if rows.size:
        _descend(hidden, head, inputs[rows], torch.from_numpy(targets[rows]).float(), seed)
    weight = hidden.weight.detach().numpy().astype(np.float64) * scale  # [H, D]
    return LengthHead(
        hidden=weight.T.astype(np.float32),
        hidden_bias=(hidden.bias.detach().numpy() - weight @ mean).astype(np.float32),
        head=(head.weight.detach().numpy().T * unit).astype(np.float32),
        head_bias=(head.bias.detach().numpy() * unit).astype(np.float32),
    )


def line(typical: Floats, lengths: Floats) -> Line:
    """Least squares of each tier's lengths on its typical ones, through their means and never falling."""
    offset, scale = np.empty(lengths.shape[1]), np.zeros(lengths.shape[1])
    for k in range(lengths.shape[1]):
        known = ~np.isnan(lengths[:, k])
        offset[k] = _constants(lengths)[0, k]
        if known.sum() < MIN_ROWS:
            continue
        x, y = typical[known, k], lengths[known, k]
        variance = float(x.var())
        slope = max(0.0, float(np.cov(x, y, bias=True)[0, 1]) / variance) if variance > 0 else 0.0
        if slope * x.mean() > y.mean():  # no answer is shorter than nothing
            slope = y.mean() / x.mean()
        scale[k], offset[k] = slope, max(0.0, y.mean() - slope * x.mean())
    return Line(offset, scale)


def _descend(hidden: nn.Linear, head: nn.Linear, inputs: Tensor, targets: Tensor, seed: int) -> None:
    """AdamW on the absolute error: [N, D], lengths over each tier's mean [N, K] with NaN unknown."""
    learning = [*hidden.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(learning, lr=RATE, weight_decay=DECAY)
    a_pass = math.ceil(len(inputs) / BATCH)
    steps = min(max(EPOCHS * a_pass, MIN_STEPS), MAX_STEPS)
    random, order = np.random.default_rng(seed), np.zeros(0, np.int64)
    for step in range(steps):
        if not order.size:
            order = random.permutation(len(inputs))
        rows, order = torch.from_numpy(order[:BATCH]), order[BATCH:]
        units = F.dropout(torch.tanh(hidden(F.dropout(inputs[rows], DROPOUT))), DROPOUT)  # [B, H]
        said = head(units)  # [B, K]; below 0 only once learnt, where a floor would stop the learning
        known = ~targets[rows].isnan()  # [B, K]
        errors = (said - targets[rows].nan_to_num()).abs() * known  # [B, K]
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.02, 1 - step / steps)
        optimizer.zero_grad()
        (errors.sum() / known.sum().clamp_min(1)).backward()
        optimizer.step()


def _constants(lengths: Floats) -> Floats:
    """Mean and median of each tier's lengths, [2, K]; of all tiers' where a tier has none."""
    known = lengths[~np.isnan(lengths)]
    default = (known.mean(), np.median(known)) if known.size else (DEFAULT_OUTPUT_TOKENS,) * 2
    columns = [column[~np.isnan(column)] for column in lengths.T]
    return np.array([(c.mean(), np.median(c)) if c.size else default for c in columns]).T


def _errors(said: dict[str, Floats], lengths: Floats, tier: int) -> dict[str, Any]:
    """Mean, median and root mean square of a tier's errors in tokens, by what said its lengths."""
    known = ~np.isnan(lengths[:, tier])
    if not known.any():
        return {"rows": 0}
    errors: dict[str, Any] = {"rows": int(known.sum()), "mean_tokens": float(lengths[known, tier].mean())}
    for name, values in said.items():
        off = np.abs(values[known, tier] - lengths[known, tier])
        errors[name] = {
            "mean": float(off.mean()),
            "median": float(np.median(off)),
            "rms": float(np.sqrt(np.square(off).mean())),
            "mean_said": float(values[known, tier].mean()),
        }
    return errors


def _relative_gain(said: Floats, constant: Floats, lengths: Floats, bootstrap: Bootstrap) -> dict[str, Any]:
    """By what share absolute errors are below a constant's, as a mean over tiers, with its interval."""
    known = ~np.isnan(lengths)
    told = known.sum(axis=0) >= MIN_ROWS  # [K]
    off = [np.where(known, np.abs(values - lengths), 0.0)[:, told] for values in (said, constant)]
    values = np.hstack(off)  # [N, 2 K]

    def gain(sums: Floats) -> Floats:
        own, other = np.split(sums, 2, axis=1)  # [R, K] each
        return np.asarray(np.mean(1 - own / np.maximum(other, 1e-9), axis=1))

    draws = gain(bootstrap.sums(values))
    return {"share": float(gain(values.sum(axis=0)[None])[0]), "interval": list(bootstrap.interval(draws))}
