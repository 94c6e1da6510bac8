"""What 64 labels of a new model are worth: adapted routers against routers trained with the model.

MMLU-Pro, on the ladder of all its models, weakest first, in five folds of near-duplicate groups. Of each
fold's other groups a part (12 %) stops training early and calibrates, and is where prompts to label are
drawn from: the router has learnt from the rest. For each model that is held out, a router is trained on
the ladder without it, then adapted to it on

- no label: what its place in the ladder and the known tiers make likely;
- 64 labels of prompts that ``suggest`` chose from the whole part;
- 64 labels of prompts drawn at random, twenty times;
- all labels of the part, some five hundred;

and judged on the fold by APGR over a pair of tiers. The yardstick is a router trained with the model on
all rows of the other groups. ``share`` is what an adapted router gains over a random order (0.5), over
what that one gains; intervals by a bootstrap over groups, of the folds together. One router a fold and
model is adapted as the command does, and tells how often its expected curve fits what the fold then
gives, and what `route` costs before and after.

    python benchmarks/adapt.py DATASETS/train/mmlu_pro.jsonl.gz > result.json
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.artifact import Artifact, seal
from router_model.data.readers import Reading as Rows
from router_model.data.split import folds, holdout
from router_model.ladder import Ladder, Tier
from router_model.manifest import Manifest
from router_model.policy.curve import Policy
from router_model.router import Router
from router_model.training.adapt import FEW, adapt
from router_model.training.calibrate import calibrate
from router_model.training.config import TrainConfig
from router_model.training.curve import Measured, measure_curve
from router_model.training.encoders.encoder import Encoder
from router_model.training.encoders.registry import load
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.metrics import GapRecovery
from router_model.training.fit import fit, predict
from router_model.training.frozen import Reading, read_by
from router_model.training.place import level
from router_model.training.prepare import Prepared, prepare, read_all
from router_model.training.readout import Prior, infer, logit, probability
from router_model.training.suggest import suggest

# The model that is held out, and the pair of tiers whose prompts are to be told apart.
HELD_OUT = {
    "gemini-1.5-pro-002": ("Meta-Llama-3_1-8B-Instruct", "gemini-1.5-pro-002"),
    "gemini-1.5-flash-002": ("Meta-Llama-3_1-8B-Instruct", "gemini-1.5-flash-002"),
    "Meta-Llama-3_1-70B-Instruct": ("Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3_1-70B-Instruct"),
    "Qwen1.5-72B-Chat": ("Qwen1.5-72B-Chat", "gemini-1.5-pro-002"),
}
THREE = ("Meta-Llama-3_1-8B-Instruct", "gemini-1.5-flash-002", "gemini-1.5-pro-002")
FOLDS, DRAWS, RESAMPLES, POOL = 5, 20, 500, 0.12
WAYS = ("none", "chosen", "random", "all")
TOKENS = 300.0  # of an answer: costs play no part in APGR
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """One fold: rows that teach, rows that stop, calibrate and are labelled, and rows that judge."""

    teach: Ints
    pool: Ints
    judge: Ints


def ladder_of(models: Sequence[str]) -> Ladder:
    """Tiers of these models, weakest first, at prices that double."""
    return Ladder(tuple(Tier(name, (name,), 0.01 * 2**k, 0.04 * 2**k) for k, name in enumerate(models)))


def by_strength(data: Path, only: Sequence[str]) -> list[str]:
    """Models of the data that answered nearly all prompts, weakest first."""
    records = read_all([data], Rows())
    names = only or sorted({name for record in records for name in record.outcomes})
    told = {name: [r.outcomes[name] for r in records if name in r.outcomes] for name in names}
    usable = [name for name in names if len(told[name]) > 0.95 * len(records)]
    return sorted(usable, key=lambda name: float(np.mean(told[name])))


def router_of(
    encoder: Encoder, prepared: Prepared, tiers: Sequence[int], fold: Fold, config: TrainConfig, whole: bool
) -> bytes:
    """The graph of a router trained on some of the tiers; on the pool too where ``whole``."""
    targets = prepared.labels.sufficient[:, tiers]
    fitted = fit(encoder, prepared.encoded, targets, fold.teach, fold.pool, config)
    calibration = calibrate(predict(fitted.network, prepared.encoded, fold.pool), targets[fold.pool])
    network, rows = fitted.network, fold.teach
    if whole:
        rows = np.sort(np.concatenate([fold.teach, fold.pool]))
        nobody = np.zeros(0, np.int64)
        network = fit(
            encoder, prepared.encoded, targets, rows, nobody, config, stop_after=fitted.epochs
        ).network
    pairs = [(cheap, len(tiers) - 1) for cheap in range(len(tiers) - 1)]
    return encoder.export(network, calibration, prepared.encoded.take(rows), pairs).graph


def artifact_of(
    graph: bytes, prepared: Prepared, ladder: Ladder, tiers: Sequence[int], fold: Fold, encoder: Encoder
) -> Artifact:
    """The router as a file would hold it, its curve measured on the pool."""
    said = read_by(graph, prepared.encoded.take(fold.pool)).sufficiency
    labels = prepared.labels.take(fold.pool)
    known = ~np.isnan(labels.outcomes[:, tiers]).any(axis=1)
    rows = Measured(
        said[known],
        labels.outcomes[known][:, tiers],
        labels.cost_usd[known][:, tiers],
        prepared.groups[fold.pool][known],
    )
    curve = measure_curve(rows, default_quality=0.95, seed=0, resamples=200, confidence=0.95)
    text = prepared.records[int(fold.pool[0])].prompt.text
    manifest = Manifest(
        ladder=Ladder(tuple(ladder.tiers[tier] for tier in tiers)),
        tokenizer_json=encoder.tokenizer_json,
        max_tokens=encoder.max_tokens,
        pairs=encoder.pairs,
        encoder=encoder.name,
        precision="int8",
        relative_cost=tuple(rows.relative_cost.tolist()),
        output_tokens=(TOKENS,) * len(tiers),
        default_quality=0.95,
        curve=curve.points,
        guard=curve.guard,
        probes=((text, tuple(said[0].tolist())),),
        data={"rows": len(fold.teach)},
    )
    return Artifact.parse(seal(graph, manifest))


class Case:
    """A router without one model, to be adapted to it.

    Args:
        reading: of all rows by the router without it.
        yardstick: float64 [N, 2], probabilities of the pair's tiers by the router that was trained with it.
        columns: of the pair, among the router's tiers; None is the new one.
    """

    def __init__(
        self,
        prepared: Prepared,
        fold: Fold,
        reading: Reading,
        yardstick: Floats,
        pair: tuple[int, int],
        columns: tuple[int | None, int | None],
        target: Floats,
        place: float | None,
    ) -> None:
        self.known, self.embedding = logit(reading.sufficiency), reading.embedding
        self.sufficiency, self.columns, self.target = reading.sufficiency, columns, target
        self.labelled = fold.pool[~np.isnan(target[fold.pool])]
        outcomes = prepared.labels.outcomes[:, pair]
        self.judge = fold.judge[~np.isnan(outcomes[fold.judge]).any(axis=1)]
        self.outcomes, self.yardstick = outcomes[self.judge], yardstick[self.judge]
        self.bootstrap = Bootstrap(prepared.groups[self.judge], RESAMPLES, 0.95)
        rows = self.labelled
        self.prior = Prior.between(self.known[rows], self.embedding[rows], place)

    def apgr(self, scores: Floats) -> Floats:
        """On the fold, and in each resample: [1 + R]."""
        recovery = GapRecovery(scores, self.outcomes[:, 0], self.outcomes[:, 1])
        weights = np.concatenate([np.ones((1, self.bootstrap.count)), *self.bootstrap.weights()])
        return recovery.figures(weights[:, self.bootstrap.group_of])[:, 0]

    def adapted(self, rows: Ints) -> Floats:
        """APGR after the labels of ``rows``."""
        readout = infer(self.prior, self.known[rows], self.embedding[rows], self.target[rows]).readout
        new = probability(readout.logits(self.known[self.judge], self.embedding[self.judge]))
        cheap, dear = (new if k is None else self.sufficiency[self.judge, k] for k in self.columns)
        return self.apgr(dear - cheap)

    def ways(self, seed: int) -> dict[str, Floats]:
        """APGR by way, each [1 + R]."""
        rows = self.labelled
        chosen = suggest(self.prior, self.known[rows], self.embedding[rows], FEW)
        chance = np.random.default_rng(seed)
        drawn = [self.adapted(chance.choice(rows, FEW, replace=False)) for _ in range(DRAWS)]
        return {
            "full": self.apgr(self.yardstick[:, 1] - self.yardstick[:, 0]),
            "none": self.adapted(rows[:0]),
            "chosen": self.adapted(rows[chosen]),
            "random": np.mean(drawn, axis=0),
            "all": self.adapted(rows),
        }


def shares(found: Sequence[dict[str, Floats]]) -> dict[str, Any]:
    """Share of the full gain that each way has over cases, and chosen over random, with intervals."""
    gain = {way: np.sum([case[way] - 0.5 for case in found], axis=0) for way in ("full", *WAYS)}  # [1 + R]
    share = {way: gain[way] / gain["full"] for way in WAYS}
    over = share["chosen"] - share["random"]
    return {way: _told(share[way]) for way in WAYS} | {
        "chosen_over_random": _told(over),
        "apgr": {way: round(float(np.mean([case[way][0] for case in found])), 4) for way in ("full", *WAYS)},
    }


def _told(values: Floats) -> dict[str, Any]:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {"share": round(float(values[0]), 3), "interval": [round(float(low), 3), round(float(high), 3)]}


def command(
    artifact: Artifact, ladder: Ladder, prepared: Prepared, fold: Fold, rows: Ints, model: str
) -> dict[str, Any]:
    """Adapt as the command does: how its curve fits the fold, and what `route` costs before and after."""
    prompts = [prepared.records[row] for row in fold.pool.tolist()]
    labelled = [prepared.records[row] for row in rows.tolist()]
    told = {record.id for record in labelled}
    with TemporaryDirectory() as folder:
        out = Path(folder) / "adapted.onnx"
        done = adapt(artifact, ladder, labelled, [p for p in prompts if p.id not in told], out)
        after = Router.load(out)
    before = Router(artifact)
    return {
        "model": model,
        "guard": done.guard["verdict"],
        "better": done.guard["better"],
        **within(after, prepared, fold.judge),
        "route_us": interleaved(before, after, [prepared.records[r].prompt.text for r in fold.judge[:300]]),
    }


def within(router: Router, prepared: Prepared, rows: Ints) -> dict[str, float]:
    """Share of dial values at which held-out rows give what the curve expects, and the mean error.

    It is where the two differ by no more than the 95 % intervals of both, squared and added, allow.
    """
    labels = prepared.labels.take(rows)
    complete = ~np.isnan(labels.outcomes).any(axis=1)
    records = [prepared.records[row] for row in rows[complete].tolist()]
    outcomes = labels.outcomes[complete]
    said = router.route_prompts([record.prompt for record in records]).sufficiency.astype(np.float64)
    policy: Policy = router.policy
    bootstrap = Bootstrap(prepared.groups[rows][complete], RESAMPLES, 0.95)
    inside, errors = [], []
    for value in (0.8, 0.85, 0.9, 0.95, 1.0):
        point = policy.point(quality=value)
        chosen = policy.choose_batch(said.astype(np.float32), point, [r.prompt.text for r in records])
        both = np.column_stack([outcomes[np.arange(len(chosen)), chosen], outcomes[:, -1]])
        drawn = bootstrap.means(both)
        low, high = bootstrap.interval(drawn[:, 0] / drawn[:, 1])
        error = both[:, 0].mean() / both[:, 1].mean() - point.quality
        widths = high - low, point.quality_interval[1] - point.quality_interval[0]
        inside.append(abs(error) <= np.hypot(*widths) / 2)
        errors.append(error)
    return {"inside": float(np.mean(inside)), "quality_error": round(float(np.mean(errors)), 4)}


def interleaved(before: Router, after: Router, texts: Sequence[str]) -> dict[str, float]:
    """p50 of `route` in microseconds, by turns, the best of nine rounds."""
    best = {"before": np.inf, "after": np.inf}
    for _ in range(9):
        for name, router in (("before", before), ("after", after)):
            took = []
            for text in texts:
                start = time.perf_counter_ns()
                router.route(text)
                took.append(time.perf_counter_ns() - start)
            best[name] = min(best[name], float(np.median(took)) / 1e3)
    return {name: round(value, 2) for name, value in best.items()}


def main() -> None:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--folds", type=int, default=FOLDS, help="how many of the five to run")
    parser.add_argument("--three", action="store_true", help="on three models, of which two are held out")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    models = by_strength(arguments.data, THREE if arguments.three else ())
    ladder, config = ladder_of(models), TrainConfig()
    encoder = load(config, None)
    prepared = prepare(read_all([arguments.data], Rows()), ladder, config, encoder)
    fold_of = folds(prepared.groups, FOLDS, config.seed)
    cases: dict[str, list[dict[str, Floats]]] = {}
    commands = []
    for number in range(arguments.folds):
        rest = np.flatnonzero(fold_of != number)
        held = holdout(prepared.groups[rest], POOL, config.seed)
        fold = Fold(rest[~held], rest[held], np.flatnonzero(fold_of == number))
        every = list(range(len(models)))
        full = read_by(router_of(encoder, prepared, every, fold, config, True), prepared.encoded).sufficiency
        for model, names in HELD_OUT.items():
            if model not in models:
                continue
            place = models.index(model)
            tiers = [tier for tier in every if tier != place]
            known = [tiers.index(tier) if tier != place else None for tier in every]
            graph = router_of(encoder, prepared, tiers, fold, config, False)
            reading = read_by(graph, prepared.encoded)
            pair = (models.index(names[0]), models.index(names[1]))
            expected = level(logit(reading.sufficiency[fold.pool]).mean(axis=0), known, place)
            target = prepared.labels.sufficient[:, place]
            columns = (known[pair[0]], known[pair[1]])
            case = Case(prepared, fold, reading, full[:, pair], pair, columns, target, expected)
            cases.setdefault(model, []).append(case.ways(number))
            rows = case.labelled[
                suggest(case.prior, case.known[case.labelled], case.embedding[case.labelled], FEW)
            ]
            artifact = artifact_of(graph, prepared, ladder, tiers, fold, encoder)
            commands.append({"fold": number, **command(artifact, ladder, prepared, fold, rows, model)})
            told = {way: round(float(v[0]), 4) for way, v in cases[model][-1].items()}
            print(f"fold {number + 1}, {model}: {told}", file=sys.stderr, flush=True)
    result = {
        "machine": {"cores": os.cpu_count()},
        "rows": len(prepared.records),
        "ladder": models,
        "labels": FEW,
        "held_out": {model: shares(found) for model, found in cases.items()},
        "together": shares([case for found in cases.values() for case in found]),
        "curve_inside": round(float(np.mean([one["inside"] for one in commands])), 3),
        "route_us": {
            name: float(np.median([one["route_us"][name] for one in commands]))
            for name in ("before", "after")
        },
        "commands": commands,
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
