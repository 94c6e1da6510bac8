"""What a router loses that learns from logs: one outcome a request, in place of every tier's.

For each of five folds, held out in turn: a router trained on the full outcomes of the others, and one trained
on logs of them (``data/simulate.py``: a length rule, 10 % of the requests at random), with feedback on all
answers and on 30 %. APGR from the cheapest to the strongest tier on the held-out rows; "share" is of the full
router's APGR over 0.5. With --exploration 1 every request is logged at random: what the outcomes alone allow.

    python benchmarks/logged_training.py DATA --ladder LADDER > result.json
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

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


def apgr(router: Router, held: list[Record], ladder: Ladder) -> float:
    """From the cheapest to the strongest tier."""
    sufficiency = router.route_prompts([record.prompt for record in held]).sufficiency
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
    found: dict[str, list[float]] = {"full": [], "logs": [], "logs, 30 % feedback": []}
    for fold in range(FOLDS):
        rest = [record for record, place in zip(records, fold_of, strict=True) if place != fold]
        held = [record for record, place in zip(records, fold_of, strict=True) if place == fold]
        how = [Logging(exploration=arguments.exploration, feedback=share, seed=fold) for share in (1.0, 0.3)]
        for name, data in zip(found, [rest, *(log(rest, ladder, one) for one in how)], strict=True):
            found[name].append(apgr(trained(data, ladder, fold), held, ladder))
            print(f"fold {fold + 1}, {name}: APGR {found[name][-1]:.4f}", file=sys.stderr)
    means = {name: float(np.mean(values)) for name, values in found.items()}
    shares = {name: (mean - 0.5) / (means["full"] - 0.5) for name, mean in means.items()}
    json.dump({"rows": len(records), "apgr": found, "mean": means, "share": shares}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
