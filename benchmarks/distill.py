"""What a MiniLM router teaches a static student on prompts without labels.

Each of two sets is judged in five folds of near-duplicate groups. In each fold learn, and are judged on the
held-out fold:

- teacher: a frozen MiniLM, on the labels of the fold's training rows;
- alone: a static encoder, on the same labels;
- taught: a static encoder, as ``router-model distill --teacher`` teaches it, by the training rows with their
  labels and by all prompts of the other sets, whose labels are not read;
- unlabelled, where ``--unlabelled`` asks for it: the same without any label, on what the teacher says of all
  these prompts.

Nothing learns from a prompt of the held-out fold, or from a near-duplicate of one. Each is one fit that a
held-out eighth of its groups stops and calibrates, a sixth of the work of whole trainings (``--whole``:
these). Teachers answer as networks in PyTorch, since a graph would embed all prompts anew in each fold.

    python benchmarks/distill.py DATASETS/train --ladder LADDER > result.json
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.bench.fresh import machine
from router_model.data.groups import group
from router_model.data.labels import label
from router_model.data.readers import Reading
from router_model.data.records import Record
from router_model.data.split import folds, holdout
from router_model.ladder import Ladder
from router_model.training.calibrate import calibrate
from router_model.training.config import TrainConfig
from router_model.training.crossfit import crossfit
from router_model.training.dataset import Encoded
from router_model.training.distill import MINILM
from router_model.training.encoders.encoder import Encoder
from router_model.training.encoders.registry import load
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.compare import rank
from router_model.training.evaluation.folded import centred_by_fold
from router_model.training.fit import fit, predict
from router_model.training.prepare import read_all
from router_model.training.teach import lessons

SETS = ("mmlu_pro", "mixed_tasks", "math_code", "arena_hard")
JUDGED = SETS[:2]
FOLDS = 5
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Ask = Callable[[Rows], Floats]  # probabilities [len(rows), K] of some prompts


@dataclass(frozen=True)
class Reader:
    """An encoder, what it reads of all M prompts, and the groups of these, int64 [M]."""

    encoder: Encoder
    encoded: Encoded
    groups: Rows

    def learn(self, targets: Floats, config: TrainConfig, whole: bool) -> Ask:
        """A router of the prompts that have targets: float64 [M, K], all of a row's NaN where it has none."""
        rows = np.flatnonzero(~np.isnan(targets).all(axis=1))
        if whole:
            part = self.encoded.take(rows)
            fitted = crossfit(self.encoder, part, targets[rows], self.groups[rows], config)
            return lambda asked: fitted.calibration(predict(fitted.network, self.encoded, asked))
        held = holdout(self.groups[rows], config.validation, config.seed)
        network = fit(self.encoder, self.encoded, targets, rows[~held], rows[held], config).network
        calibration = calibrate(predict(network, self.encoded, rows[held]), targets[rows[held]])
        return lambda asked: calibration(predict(network, self.encoded, asked))


def judge(
    name: str,
    records: dict[str, list[Record]],
    ladder: Ladder,
    config: TrainConfig,
    students: list[str],
    whole: bool,
) -> dict[str, Any]:
    """Figures of one set: each student's ranking less those of the others."""
    labels = label(records[name], ladder, config.bar, config.margin)
    known = np.flatnonzero(labels.complete)  # [N]
    labels, own = labels.take(known), [records[name][row] for row in known.tolist()]
    every = [*own, *(record for other in SETS if other != name for record in records[other])]  # [M]
    progress(f"{name}: {len(own)} prompts with labels, {len(every) - len(own)} of other sets")
    prompts, groups = [record.prompt for record in every], group(every)
    encoders = [load(dataclasses.replace(config, encoder=encoder)) for encoder in (MINILM, "static")]
    minilm, static = (Reader(encoder, encoder.encode(prompts), groups) for encoder in encoders)
    sufficient = np.full((len(every), len(ladder)), np.nan)  # [M, K]
    sufficient[: len(own)] = labels.sufficient
    fold_of = folds(groups[: len(own)], FOLDS, config.seed)  # [N]
    said: dict[str, Floats] = {}
    for fold in range(FOLDS):
        held = np.flatnonzero(fold_of == fold)
        apart = ~np.isin(groups, groups[held])  # [M]
        of_fold = in_fold(minilm, static, sufficient, apart, held, config, students, whole)
        for who, probabilities in of_fold.items():
            said.setdefault(who, np.empty_like(labels.sufficient))[held] = probabilities
        progress(f"{name}: fold {fold + 1} of {FOLDS}")
    scores = {who: centred_by_fold(probabilities, fold_of) for who, probabilities in said.items()}
    bootstrap = Bootstrap(groups[: len(own)], config.resamples, config.confidence, config.seed)
    ranked = {
        first: rank({first: scores[first]} | scores, labels.outcomes, ladder, bootstrap) for first in students
    }
    return {
        "rows": len(own),
        "other_prompts": len(every) - len(own),
        "less_each_other": {who: [dataclasses.asdict(row) for row in rows] for who, rows in ranked.items()},
    }


def in_fold(
    minilm: Reader,
    static: Reader,
    sufficient: Floats,
    apart: NDArray[np.bool_],
    held: Rows,
    config: TrainConfig,
    students: list[str],
    whole: bool,
) -> dict[str, Floats]:
    """What each says of the held-out rows, float64 [len(held), K].

    Args:
        sufficient: float64 [M, K], NaN where no label is.
        apart: bool [M], what may be learnt from.
    """
    known = np.where(apart[:, np.newaxis], sufficient, np.nan)  # [M, K]
    teacher = minilm.learn(known, config, whole)
    probabilities = np.full_like(known, np.nan)  # [M, K]
    probabilities[apart] = teacher(np.flatnonzero(apart))
    targets = {"taught": lessons(known, probabilities), "unlabelled": probabilities, "alone": known}
    said = {who: static.learn(targets[who], config, whole)(held) for who in (*students, "alone")}
    return said | {"teacher": teacher(held)}


def progress(line: str) -> None:
    """Tell a person who waits."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder of the training sets")
    parser.add_argument("--ladder", required=True, type=Path)
    parser.add_argument("--judged", action="append", choices=JUDGED, help="one set alone")
    parser.add_argument("--seed", type=int, default=0, help="of folds and fits")
    parser.add_argument("--unlabelled", action="store_true", help="and a student without any label")
    parser.add_argument("--whole", action="store_true", help="repeat the whole of training in each fold")
    given = parser.parse_args()
    started, ladder = time.monotonic(), Ladder.read(given.ladder)
    records = {name: read_all([given.data / f"{name}.jsonl.gz"], Reading()) for name in SETS}
    config = TrainConfig(seed=given.seed)
    students = ["taught", "unlabelled"] if given.unlabelled else ["taught"]
    found = {
        name: judge(name, records, ladder, config, students, given.whole) for name in given.judged or JUDGED
    }
    about = {
        "machine": machine(),
        "whole": given.whole,
        "seed": given.seed,
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(about | found, indent=1))


if __name__ == "__main__":
    main()
