"""How the recipe of the router that ships does on each of its training sets, on rows that it had not seen.

All sets are cross-fitted together, as in training; each row is judged by networks and a calibration that saw
neither it nor its near-duplicates. Prints one JSON object; with --state it goes on where it was cut off.

    python benchmarks/default_router.py DATASETS/train/* --ladder examples/ladders/default.yaml > result.json
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
from router_model.data.readers import Reading
from router_model.ladder import Ladder
from router_model.training.build import Built, build
from router_model.training.config import TrainConfig
from router_model.training.encoders.static import Static
from router_model.training.evaluation.judge import Judged, judge
from router_model.training.evaluation.metrics import expected_calibration_error
from router_model.training.prepare import Prepared, prepare, read_all


def measured(built: Built, prepared: Prepared, rows: NDArray[np.int64], ladder: Ladder) -> dict[str, Any]:
    """Each tier's rate and calibration error, and the whole evaluation of rows that know every tier."""
    said, labels = built.fitted.probabilities[rows], prepared.labels.take(rows)
    tiers = {}
    for k, name in enumerate(ladder.names):
        known = labels.observed[:, k]
        if known.any():
            tiers[name] = {
                "rows": int(known.sum()),
                "sufficient": float(labels.sufficient[known, k].mean()),
                "mean_probability": float(said[known, k].mean()),
                "calibration_error": float(
                    expected_calibration_error(said[known, k], labels.sufficient[known, k])
                ),
            }
    complete = np.flatnonzero(labels.complete)
    if not len(complete):
        return {"tiers": tiers}
    config = TrainConfig()
    judged = Judged.by_curve(
        built.relative_cost,
        built.curve.points,
        said[complete],
        labels.take(complete),
        prepared.groups[rows[complete]],
        [prepared.records[row].prompt.text for row in rows[complete].tolist()],
    )
    evaluation = judge(judged, ladder, config.resamples, config.confidence, config.seed)
    return {"tiers": tiers, "evaluation": dataclasses.asdict(evaluation)}


def main() -> None:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--ladder", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    config, ladder, encoder = TrainConfig(), Ladder.read(arguments.ladder), Static(Base.default())
    sets = {path.name.partition(".")[0]: read_all([path], Reading()) for path in arguments.data}
    records = [record for each in sets.values() for record in each]
    prepared = prepare(records, ladder, config, encoder)
    name_of = {id(record): name for name, each in sets.items() for record in each}
    names = np.array([name_of[id(record)] for record in prepared.records])
    built = build(prepared, ladder, config, encoder, state=arguments.state)
    found = {name: measured(built, prepared, np.flatnonzero(names == name), ladder) for name in sets}
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
