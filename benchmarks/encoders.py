"""Encoders side by side: each cross-validated on the same folds of the same rows, with paired intervals.

``python benchmarks/encoders.py DATA... --ladder LADDER --encoder NAME --encoder NAME ...`` prints one JSON
object. Differences are of the first encoder less each other one, by the same resamples of groups.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from router_model.data.readers import Reading
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.encoders.registry import load
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.compare import rank
from router_model.training.evaluation.folded import fold_by_fold
from router_model.training.prepare import prepare, read_all


def side_by_side(
    paths: list[Path], ladder: Ladder, config: TrainConfig, encoders: list[str]
) -> dict[str, Any]:
    """Rankings of each pair of a cheaper tier and the strongest, and seconds of each encoder."""
    records = read_all(paths, Reading())
    scores, seconds = {}, {}
    for name in encoders:
        started = time.monotonic()
        settings = dataclasses.replace(config, encoder=name)
        encoder = load(settings)
        prepared = prepare(records, ladder, settings, encoder)
        folded = fold_by_fold(prepared, ladder, 5, (), settings, encoder)
        folded = folded.take(np.flatnonzero(prepared.labels.complete[folded.rows]))
        judged = folded.judged
        scores[name] = judged.scores
        seconds[name] = round(time.monotonic() - started, 1)
    bootstrap = Bootstrap(judged.groups, config.resamples, config.confidence, config.seed)
    rankings = rank(scores, judged.labels.outcomes, ladder, bootstrap)
    return {
        "rows": len(judged.groups),
        "seconds": seconds,
        "rankings": [dataclasses.asdict(ranked) for ranked in rankings],
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--ladder", required=True, type=Path)
    parser.add_argument("--encoder", required=True, action="append")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    config = TrainConfig(seed=given.seed)
    found = side_by_side(given.data, Ladder.read(given.ladder), config, given.encoder)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
