"""What a router loses that learns from logs: one outcome a request, in place of every tier's.

For each of five folds, held out in turn: a router trained on the full outcomes of the others, and one trained
on logs of them (``data/simulate.py``: a length rule, 10 % of the requests at random), with feedback on all
answers and on 30 %. APGR from the cheapest to the strongest tier on the held-out rows; "share" is of the full
router's APGR over 0.5.

"tasks" knows the task of each prompt and nothing else: the logged outcomes of each task and tier, averaged
with inverse propensities. With --exploration 1 every request is logged at random: what outcomes alone allow.

    python benchmarks/logged_training.py DATA --ladder LADDER > result.json
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.groups import group
from router_model.data.readers import read_records
from router_model.data.records import Record, to_row
from router_model.data.simulate import Logging, log, observed
from router_model.data.split import folds
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.evaluation.metrics import GapRecovery
from router_model.training.train import train

FOLDS = 5


def trained(records: list[Record], ladder: Ladder, seed: int) -> Router:
    """A router of ``router-model train`` on these records."""
    with TemporaryDirectory() as folder:
        data, out = Path(folder) / "data.jsonl", Path(folder) / "router.onnx"
        data.write_text("".join(json.dumps(to_row(record)) + "\n" for record in records), "utf-8")
        train([data], ladder, out, TrainConfig(seed=seed, resamples=200))
        return Router.load(out)


def by_task(logs: list[Record], held: list[Record], ladder: Ladder) -> NDArray[np.float64]:
    """Mean outcome [M, K] of each held record's task and tier, by inverse propensity; 0.5 where none is."""
    sums: dict[tuple[str, int], list[float]] = {}
    for record in logs:
        tier = ladder.index_of_model(record.model or "")
        for outcome in record.outcomes.values():
            weight = 1 / (record.propensity or 1.0)
            known = sums.setdefault((record.task or "", tier or 0), [0.0, 0.0])
            known[0] += weight * outcome
            known[1] += weight
    rates = {place: total / weights for place, (total, weights) in sums.items()}
    tiers = range(len(ladder))
    return np.array([[rates.get((record.task or "", k), 0.5) for k in tiers] for record in held])


def apgr(sufficiency: NDArray[Any], held: list[Record], ladder: Ladder) -> float:
    """From the cheapest to the strongest tier."""
    cheap, dear = (
        np.array([next(r.outcomes[m] for m in tier.models if m in r.outcomes) for r in held])
        for tier in (ladder.tiers[0], ladder.tiers[-1])
    )
    gain = (sufficiency[:, -1] - sufficiency[:, 0]).astype(np.float64)
    return float(GapRecovery(gain, cheap, dear).figures(np.ones((1, len(held))))[0, 0])


def main() -> None:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--ladder", type=Path, required=True)
    parser.add_argument("--exploration", type=float, default=0.1)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    ladder = Ladder.read(arguments.ladder)
    records = observed(list(read_records(arguments.data)), ladder)
    fold_of = folds(group(records), FOLDS, 0)
    names = ("full", "logs", "logs, 30 % feedback", "tasks", "tasks, 30 % feedback")
    found: dict[str, list[float]] = {name: [] for name in names}
    for fold in range(FOLDS):
        rest = [record for record, place in zip(records, fold_of, strict=True) if place != fold]
        held = [record for record, place in zip(records, fold_of, strict=True) if place == fold]
        how = [Logging(exploration=arguments.exploration, feedback=share, seed=fold) for share in (1.0, 0.3)]
        logs = [log(rest, ladder, one) for one in how]
        prompts = [record.prompt for record in held]
        for name, data in zip(names[:3], [rest, *logs], strict=True):
            said = trained(data, ladder, fold).route_prompts(prompts).sufficiency
            found[name].append(apgr(said, held, ladder))
            print(f"fold {fold + 1}, {name}: APGR {found[name][-1]:.4f}", file=sys.stderr)
        for name, data in zip(names[3:], logs, strict=True):
            found[name].append(apgr(by_task(data, held, ladder), held, ladder))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    shares = {name: (mean - 0.5) / (means["full"] - 0.5) for name, mean in means.items()}
    json.dump({"rows": len(records), "apgr": found, "mean": means, "share": shares}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
