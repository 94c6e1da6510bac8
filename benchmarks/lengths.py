"""How well answers' lengths are foretold on rows that no network had seen, and what weighing them saves.

Beside the router's own head: each tier's mean and median, ridge regression of log lengths, and gradient
boosting of the absolute error, both on the base encoder's embedding, the features and the tiers'
probabilities. The boosting is no candidate, for it takes milliseconds a prompt: it says about what is
possible.

With --ladder, the ladder's tiers, and the cost at equal quality by own expected costs over that by mean
costs. Without, every model of the data with lengths is a tier, at made-up prices, and lengths alone are
measured. Prints one JSON object.

    python benchmarks/lengths.py DATA --ladder LADDER > result.json
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from router_model.base import Base
from router_model.data.labels import answer_lengths
from router_model.data.readers import Reading
from router_model.data.records import Record
from router_model.ladder import Ladder
from router_model.training.build import build
from router_model.training.config import TrainConfig
from router_model.training.crossfit import CrossFitted, crossfit
from router_model.training.encoders.static import Static
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.lengths import HeldOut, held_out
from router_model.training.prepare import Prepared, prepare, read_all

Floats = NDArray[np.float64]
Learner = Callable[[Floats, Floats, Floats], Floats]  # inputs and lengths of known rows, inputs to foretell


def of_every_model(records: list[Record]) -> Ladder:
    """The models with lengths, by their mean outcome, at prices that double."""
    models = sorted({model for record in records for model in record.output_tokens})
    outcomes = {m: np.mean([r.outcomes[m] for r in records if m in r.outcomes]) for m in models}
    tiers = [
        {"name": m, "model": m, "input_usd_per_million": 0.1 * 2**k, "output_usd_per_million": 0.4 * 2**k}
        for k, m in enumerate(sorted(models, key=lambda m: outcomes[m]))
    ]
    return Ladder.from_dict({"tiers": tiers})


def ridge(inputs: Floats, lengths: Floats, others: Floats) -> Floats:
    """Ridge regression of log lengths."""
    scaler = StandardScaler().fit(inputs)
    model = Ridge(300.0).fit(scaler.transform(inputs), np.log1p(lengths))
    return np.asarray(np.expm1(model.predict(scaler.transform(others))))


def boosting(inputs: Floats, lengths: Floats, others: Floats) -> Floats:
    """Gradient-boosted trees of the least absolute error."""
    model = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=150,
        learning_rate=0.05,
        max_leaf_nodes=15,
        max_features=0.3,
        random_state=0,
    )
    return np.asarray(model.fit(inputs, lengths).predict(others))


LEARNERS: dict[str, Learner] = {"ridge of log lengths": ridge, "gradient boosting": boosting}


def foretold(learner: Learner, inputs: Floats, lengths: Floats, fold_of: NDArray[np.int64]) -> Floats:
    """Lengths [N, K], each row's by a model that did not see it."""
    said = np.empty_like(lengths)
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        for k in range(lengths.shape[1]):
            rows = ~inside & ~np.isnan(lengths[:, k])
            said[inside, k] = learner(inputs[rows], lengths[rows, k], inputs[inside])
    return said


def errors(
    said: Floats, lengths: Floats, constants: dict[str, Floats], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Mean, median and root mean square of each tier's errors, and how far they are below the constants'."""
    known = ~np.isnan(lengths)
    off = np.where(known, np.abs(said - lengths), 0.0)  # [N, K]
    found: dict[str, Any] = {
        "mean": (off.sum(axis=0) / known.sum(axis=0)).tolist(),
        "median": [float(np.median(column[rows])) for column, rows in zip(off.T, known.T, strict=True)],
        "rms": np.sqrt(np.square(off).sum(axis=0) / known.sum(axis=0)).tolist(),
    }
    for name, constant in constants.items():
        other = np.where(known, np.abs(constant - lengths), 0.0)
        sums = bootstrap.sums(np.hstack([off, other]))
        draws = 1 - np.divide(*np.split(sums, 2, axis=1))  # [R, K]
        own = 1 - off.sum(axis=0) / other.sum(axis=0)  # [K]
        found[f"below_{name}"] = {
            "tiers": own.tolist(),
            "tiers_intervals": [bootstrap.interval(column) for column in draws.T],
            "mean": float(own.mean()),
            "interval": bootstrap.interval(draws.mean(axis=1)),
        }
    return found


def measured(
    prepared: Prepared,
    ladder: Ladder,
    fitted: CrossFitted,
    lengths: HeldOut,
    config: TrainConfig,
    encoder: Static,
) -> dict[str, Any]:
    """Errors of the head, of constants, and of what else might foretell lengths."""
    true = answer_lengths(prepared.records, ladder)
    bootstrap = Bootstrap(prepared.groups, config.resamples, config.confidence, config.seed)
    constants = {}
    for name, of in (("mean", np.nanmean), ("median", np.nanmedian)):
        constants[name] = np.empty_like(true)
        for fold in np.unique(fitted.fold_of):
            inside = fitted.fold_of == fold
            constants[name][inside] = of(true[~inside], axis=0)
    odds = np.log(fitted.probabilities / (1 - fitted.probabilities))
    inputs = np.hstack([encoder.embeddings(prepared.encoded), prepared.encoded.features, odds])
    said = {"typical": lengths.typical, "expected": lengths.expected} | constants
    for name, learner in LEARNERS.items():
        said[name] = foretold(learner, inputs, true, fitted.fold_of)
    return {name: errors(values, true, constants, bootstrap) for name, values in said.items()}


def main() -> None:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--ladder", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    config, encoder = TrainConfig(), Static(Base.default())
    records = read_all([arguments.data], Reading())
    ladder = Ladder.read(arguments.ladder) if arguments.ladder else of_every_model(records)
    prepared = prepare(records, ladder, config, encoder)
    found: dict[str, Any] = {"rows": len(prepared.records), "tiers": ladder.names}
    if arguments.ladder:
        built = build(prepared, ladder, config, encoder)
        fitted, lengths = built.fitted, built.lengths
        found["own_costs"] = built.weighing and asdict(built.weighing) | {"weighs": built.weighing.weighs}
    else:
        sufficient = prepared.labels.sufficient
        fitted = crossfit(encoder, prepared.encoded, sufficient, prepared.groups, config)
        lengths = held_out(fitted, prepared, ladder, config, encoder)
    if lengths is None:
        sys.exit(f"{arguments.data}: tells too few answers' lengths (output_tokens) to measure")
    found["errors_in_tokens"] = measured(prepared, ladder, fitted, lengths, config, encoder)
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
