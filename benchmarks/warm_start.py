"""What ``train --base default`` saves in labelled rows: 250 rows from a router against 250 and 1,000 without.

MMLU-Pro in five folds of near-duplicate groups; for each fold, rows are drawn from the others, group by
group, and all ways train on the draw as ``router-model train`` does and are judged on the fold. The ways:

- cold: from the base encoder, 250 and 1,000 rows;
- unseen: from a router that was trained on the other sets alone, as whoever has new tasks starts;
- like: from a router trained on all sets but the fold, the few rows and their near-duplicates, as whoever has
  prompts like those of the router that ships starts;
- shipped: from the router that ships. It saw the fold: contaminated, no evidence, and here for completeness.

    python benchmarks/warm_start.py DATASETS/train --ladder examples/ladders/default.yaml > result.json
"""

import argparse
import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.base import Base
from router_model.data.labels import Labels
from router_model.data.readers import Reading
from router_model.data.split import folds
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.crossfit import crossfit
from router_model.training.encoders.static import Static
from router_model.training.evaluation.metrics import GapRecovery, expected_calibration_error
from router_model.training.fit import fit, predict
from router_model.training.prepare import Prepared, prepare, read_all
from router_model.training.start import keep_learned

SETS = ("mmlu_pro", "mixed_tasks", "math_code", "arena_hard")  # the first is judged on
FOLDS = 5
Rows = NDArray[np.int64]


def start(prepared: Prepared, rows: Rows, config: TrainConfig, epochs: int) -> Base:
    """The base with what a router learns from ``rows``."""
    cold, targets = Base.default(), prepared.labels.sufficient
    fitted = fit(
        Static(cold), prepared.encoded, targets, rows, np.zeros(0, np.int64), config, stop_after=epochs
    )
    tiers = targets.shape[1]
    learned = keep_learned(fitted.network, Calibration(np.ones(tiers), np.zeros(tiers)), cold, "a router")
    return cold.taught(learned)


def draw(groups: NDArray[np.int64], rows: Rows, count: int, seed: int) -> Rows:
    """``count`` of ``rows``, group by group in an order drawn from ``seed``; a larger one holds a smaller."""
    order = np.random.default_rng(seed).permutation(np.unique(groups[rows]))
    place = {int(name): number for number, name in enumerate(order)}
    drawn: Rows = rows[np.argsort([place[int(name)] for name in groups[rows]], kind="stable")][:count]
    return drawn


def judged(
    base: Base, prepared: Prepared, rows: Rows, held: Rows, config: TrainConfig
) -> dict[str, float | list[float]]:
    """Figures on ``held`` of what training on ``rows`` gives."""
    part = prepared.take(rows)
    fitted = crossfit(Static(base), part.encoded, part.labels.sufficient, part.groups, config)
    said = fitted.calibration(predict(fitted.network, prepared.encoded, held))
    return figures(said, prepared.labels.take(held))


def figures(said: NDArray[np.float64], labels: Labels) -> dict[str, float | list[float]]:
    """APGR to the strongest tier, and the calibration error of each tier."""
    once, tiers = np.ones((1, len(said))), range(said.shape[1])
    pairs = {"small_to_large": 0, "medium_to_large": 1}
    recovered = {
        name: float(
            GapRecovery(said[:, -1] - said[:, k], labels.outcomes[:, k], labels.outcomes[:, -1]).figures(
                once
            )[0, 0]
        )
        for name, k in pairs.items()
    }
    errors = [expected_calibration_error(said[:, k], labels.sufficient[:, k]) for k in tiers]
    return {**recovered, "calibration_error": [float(error) for error in errors]}


def summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Means over the draws, and what each way has over 1,000 rows without a start, draw by draw."""
    keys = ("small_to_large", "medium_to_large")
    less = {
        key: {way: [one[key] - cold[key] for one, cold in zip(each, found["cold 1000"], strict=True)]
              for way, each in found.items()}
        for key in keys
    }  # fmt: skip
    return {
        way: {key: float(np.mean([one[key] for one in each])) for key in keys}
        | {"worst_calibration_error": float(np.mean([max(one["calibration_error"]) for one in each]))}
        | {f"{key}_less_cold_1000": np.round(less[key][way], 4).tolist() for key in keys}
        for way, each in found.items()
    }


def main() -> None:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--ladder", type=Path, required=True)
    parser.add_argument("--few", type=int, default=250)
    parser.add_argument("--many", type=int, default=1000)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    config, ladder, cold = TrainConfig(), Ladder.read(arguments.ladder), Base.default()
    sets = [read_all([arguments.data / f"{name}.jsonl.gz"], Reading()) for name in SETS]
    prepared = prepare([record for records in sets for record in records], ladder, config, Static(cold))
    own = {record.id for record in sets[0]}
    judged_on = np.array([record.id in own for record in prepared.records])
    every = np.arange(len(judged_on))
    fold_of = np.full(len(every), -1)
    fold_of[judged_on] = folds(prepared.groups[judged_on], FOLDS, config.seed)
    epochs = int(Router.default().artifact.manifest.metrics["epochs"])
    elsewhere = ~np.isin(prepared.groups, prepared.groups[judged_on])
    unseen = start(prepared, every[elsewhere], config, epochs)
    shipped, few, many = Base.find("default"), arguments.few, arguments.many
    found: dict[str, list[dict[str, Any]]] = {}
    for fold in range(FOLDS):
        inside = fold_of == fold
        held = every[inside & prepared.labels.complete]
        rest = every[judged_on & ~inside]
        own_rows = np.concatenate([every[inside], draw(prepared.groups, rest, few, fold)])
        others = every[~np.isin(prepared.groups, prepared.groups[own_rows])]
        like = start(prepared, others, config, epochs)
        config = dataclasses.replace(config, seed=fold)
        ways = {f"cold {few}": (cold, few), f"cold {many}": (cold, many)}
        ways |= {"unseen": (unseen, few), "like": (like, few), "shipped": (shipped, few)}
        for way, (base, count) in ways.items():
            rows = draw(prepared.groups, rest, count, fold)
            found.setdefault(way, []).append(judged(base, prepared, rows, held, config))
            print(f"fold {fold + 1}, {way}: {found[way][-1]}", file=sys.stderr, flush=True)
    json.dump({"rows": int(judged_on.sum()), "mean": summary(found), "draws": found}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
