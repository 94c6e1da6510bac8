"""What a report shows of a cross-validation: a router for each fold, on rows that it had not seen."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from router_model.ladder import Ladder
from router_model.policy.curve import OperatingPoint, Policy
from router_model.training.config import TrainConfig
from router_model.training.encoders.encoder import Encoder
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.compare import Comparison
from router_model.training.evaluation.controls import Control
from router_model.training.evaluation.domination import DroppedTier
from router_model.training.evaluation.findings import Findings
from router_model.training.evaluation.folded import Folded
from router_model.training.evaluation.hull import Hull
from router_model.training.evaluation.judge import DIALS, Evaluation
from router_model.training.evaluation.subject import Subject, dropped_by
from router_model.training.evaluation.sweep import sweep
from router_model.training.prepare import Prepared, data_fingerprint
from router_model.training.train import NO_LEAKS

ROWS_ARE = "held-out rows: each was routed by a router whose whole training had seen neither it nor its like"
NO_FOLD = "in no fold is the router better than the best constant or mix of tiers at equal cost"


def crossval_findings(
    folded: Folded,
    prepared: Prepared,
    ladder: Ladder,
    config: TrainConfig,
    encoder: Encoder,
    evaluation: Evaluation,
    dropped: Sequence[DroppedTier],
    comparison: Comparison | None,
    controls: Sequence[Control],
) -> Findings:
    """The page's content, as ``crossval`` found it.

    Args:
        folded: the rows whose every tier is known.
        evaluation: of these.
    """
    judged = folded.judged
    curve = pooled_curve(evaluation, folded)
    policy = Policy(judged.relative_cost.tolist(), curve, ("quality", config.quality))
    default = _as_trained(policy.default, folded)
    bootstrap = Bootstrap(judged.groups, config.resamples, config.confidence, config.seed)
    return Findings(
        subject=Subject(
            ladder=ladder,
            default=default,
            guard=_guard(default, folded),
            dropped=[dropped_by(tier.tier, tier.by) for tier in dropped],
            facts={
                "trained on": f"the other folds, {len(folded.by_router)} times; "
                f"{len(prepared.records)} rows in {len(np.unique(prepared.groups))} groups in all",
                "base encoder": encoder.source,
                "data fingerprint": data_fingerprint(prepared.records),
            },
        ),
        curve=curve,
        records=[prepared.records[row] for row in folded.rows.tolist()],
        judged=judged,
        chosen=judged.chosen[:, DIALS.index((default.dial, default.value))],
        evaluation=evaluation,
        rows_are=ROWS_ARE,
        resamples=config.resamples,
        seed=config.seed,
        leaks=NO_LEAKS,
        comparison=comparison,
        baselines={
            name: sweep(said, judged.relative_cost, judged.labels, bootstrap)
            for name, said in folded.others.items()
        },
        controls=controls,
    )


def pooled_curve(evaluation: Evaluation, folded: Folded) -> list[OperatingPoint]:
    """The dial values that were judged; a penalty is each fold's own, and there is none of all."""
    count = len(folded.by_router)
    fixed = (~folded.by_router).sum(axis=0).tolist()  # [P]
    return [
        OperatingPoint(
            dial=dial,
            value=value,
            rule="fixed" if by_guard == count else "router",
            penalty=float("nan"),
            shares=tuple(at.shares.values()),
            quality=at.quality,
            cost=at.cost,
            note=NO_FOLD if by_guard == count else _in_part(by_guard, count),
            quality_interval=at.quality_interval,
            cost_interval=at.cost_interval,
        )
        for (dial, value), at, by_guard in zip(DIALS, evaluation.dials, fixed, strict=True)
    ]


def _in_part(by_guard: int, count: int) -> str:
    return f"the guard in {by_guard} of {count} folds" if by_guard else ""


def _as_trained(default: OperatingPoint, folded: Folded) -> OperatingPoint:
    """Where every fold's guard stepped in, with the shares that one on all rows would fix: folds differ."""
    if default.rule == "router":
        return default
    labels = folded.judged.labels
    quality = labels.outcomes.mean(axis=0)  # [K]
    mix = Hull(quality, labels.cost_usd.mean(axis=0)).at_quality(default.value * float(quality[-1]))
    return dataclasses.replace(default, shares=mix.shares(len(quality)))


def _guard(default: OperatingPoint, folded: Folded) -> str:
    column, count = DIALS.index((default.dial, default.value)), len(folded.by_router)
    routed = int(folded.by_router[:, column].sum())
    return f"at {default.dial}={default.value:g} it let the router decide in {routed} of {count} folds"
