"""What 64 labels of a new model are worth: adapted routers against routers trained with the model.

MMLU-Pro, on the ladder of all its models, weakest first, in five folds of near-duplicate groups. Of each
fold's other groups a part (12 %) stops training early and calibrates, and is where prompts to label are
drawn from: the router has learnt from the rest. For each model that is held out, a router is trained on
the ladder without it, then adapted to it on

- ``none``: what its place in the ladder and the known tiers make likely;
- ``chosen``: 64 labels of prompts that ``suggest`` chose from the whole part;
- ``random``: 64 labels of prompts drawn at random, eight times;
- ``all`` labels of the part, some five hundred;
- ``more``: those and the labels of nine tenths of the fold, which is judged on the tenth, ten times;

and judged on the fold by APGR, with the model as one of a pair of tiers. The yardstick is a router trained
with the model on all rows of the other groups. ``share`` is what an adapted router gains over a random
order (0.5), over what that one gains; intervals by a bootstrap over groups, of the folds and the trainings
together. What stands between the two:

- ``same_rows``: a router trained with the model on the rows that taught the one without it, no others;
- ``beside``: the yardstick's probabilities of the model beside the adapted router's of the others;
- ``told``: the yardstick's logit of the model, as near as a readout of the frozen embedding comes, in
  place of labels.

``every_pair`` sums the gains over all tiers that are worse or better than the model by 0.1 or more. One
router a fold and model is adapted as the command does, and tells how often its expected curve fits what
the fold then gives, and what `route` costs before and after.

    python benchmarks/adapt.py DATASETS/train/mmlu_pro.jsonl.gz --seeds 3 > result.json
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from adapt_case import RESAMPLES, Case, Floats, Fold, Ints, Yardstick, shares

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
from router_model.training.fit import fit, predict
from router_model.training.frozen import read_by
from router_model.training.prepare import Prepared, prepare, read_all

# The model that is held out, and the tier from which prompts are to be told apart for it.
HELD_OUT = {
    "gemini-1.5-pro-002": "Meta-Llama-3_1-8B-Instruct",
    "gemini-1.5-flash-002": "Meta-Llama-3_1-8B-Instruct",
    "Meta-Llama-3_1-70B-Instruct": "Meta-Llama-3_1-8B-Instruct",
    "Qwen1.5-72B-Chat": "gemini-1.5-pro-002",
}
THREE = ("Meta-Llama-3_1-8B-Instruct", "gemini-1.5-flash-002", "gemini-1.5-pro-002")
FOLDS, POOL = 5, 0.12
TOKENS = 300.0  # of an answer: costs play no part in APGR


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


def routers_of(
    encoder: Encoder, prepared: Prepared, tiers: Sequence[int], fold: Fold, config: TrainConfig, whole: bool
) -> list[bytes]:
    """Graphs: of a router trained on some of the tiers; where ``whole``, of one that learns the pool too."""
    targets = prepared.labels.sufficient[:, tiers]
    fitted = fit(encoder, prepared.encoded, targets, fold.teach, fold.pool, config)
    calibration = calibrate(predict(fitted.network, prepared.encoded, fold.pool), targets[fold.pool])
    networks = [(fitted.network, fold.teach)]
    if whole:
        rows, nobody = np.sort(np.concatenate([fold.teach, fold.pool])), np.zeros(0, np.int64)
        again = fit(encoder, prepared.encoded, targets, rows, nobody, config, stop_after=fitted.epochs)
        networks.append((again.network, rows))
    pairs = [(cheap, len(tiers) - 1) for cheap in range(len(tiers) - 1)]
    return [
        encoder.export(network, calibration, prepared.encoded.take(rows), pairs).graph
        for network, rows in networks
    ]


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
    parser.add_argument("--seeds", type=int, default=1, help="how often each router is trained")
    parser.add_argument("--three", action="store_true", help="on three models, of which two are held out")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    models = by_strength(arguments.data, THREE if arguments.three else ())
    ladder, config = ladder_of(models), TrainConfig()
    encoder = load(config, None)
    prepared = prepare(read_all([arguments.data], Rows()), ladder, config, encoder)
    fold_of = folds(prepared.groups, FOLDS, config.seed)
    found: dict[str, list[tuple[int, dict[str, Floats]]]] = {}
    commands = []
    for seed, number in product(range(arguments.seeds), range(arguments.folds)):
        settings = replace(config, seed=seed)
        rest = np.flatnonzero(fold_of != number)
        held = holdout(prepared.groups[rest], POOL, config.seed)
        fold = Fold(rest[~held], rest[held], np.flatnonzero(fold_of == number))
        every = list(range(len(models)))
        taught, whole = (
            read_by(graph, prepared.encoded).sufficiency
            for graph in routers_of(encoder, prepared, every, fold, settings, True)
        )
        for model, other in HELD_OUT.items():
            if model not in models:
                continue
            new = models.index(model)
            tiers = [tier for tier in every if tier != new]
            graph = routers_of(encoder, prepared, tiers, fold, settings, False)[0]
            reading = read_by(graph, prepared.encoded)
            case = Case(prepared, fold, reading, Yardstick(whole, taught), new, models.index(other))
            gains = case.ways(number)
            found.setdefault(model, []).append((seed, gains))
            if seed == 0:
                artifact = artifact_of(graph, prepared, ladder, tiers, fold, encoder)
                done = command(artifact, ladder, prepared, fold, case.chosen(), model)
                commands.append({"fold": number, **done})
            told = {way: round(float(gain[0, 0]) + 0.5, 4) for way, gain in gains.items()}
            print(f"seed {seed}, fold {number + 1}, {model}: {told}", file=sys.stderr, flush=True)
    cases = {model: [gains for _, gains in told] for model, told in found.items()}
    together = [gains for told in cases.values() for gains in told]
    result = {
        "machine": {"cores": os.cpu_count()},
        "rows": len(prepared.records),
        "ladder": models,
        "labels": FEW,
        "seeds": arguments.seeds,
        "held_out": {model: shares(told, 1) for model, told in cases.items()},
        "together": shares(together, 1),
        "every_pair": {model: shares(told) for model, told in cases.items()} | {"together": shares(together)},
        "by_seed": [
            {model: shares([gains for of, gains in told if of == seed], 1) for model, told in found.items()}
            for seed in range(arguments.seeds)
        ],
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
