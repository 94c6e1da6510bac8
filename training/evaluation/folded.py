"""Every row of the data judged by a router, and by baselines, that saw neither it nor its near-duplicates.

N: rows, M: those of one fold, K: tiers, F: folds, P: dial values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.split import folds
from router_model.ladder import Ladder
from router_model.training.build import build
from router_model.training.config import TrainConfig
from router_model.training.crossfit import StageDone
from router_model.training.encoders.encoder import Encoder
from router_model.training.evaluation.baselines import BASELINES
from router_model.training.evaluation.judge import Judged
from router_model.training.evaluation.metrics import centred
from router_model.training.fit import predict
from router_model.training.prepare import Prepared

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Folded:
    """What was said of every row by what had not seen it, in the order of the folds.

    Attributes:
        rows: int64 [N], their places in the data.
        fold_of: int64 [N].
        judged: the router.
        by_router: bool [F, P], whether each fold's guard let the router decide.
        others: the baselines' probabilities by name, float64 [N, K].
    """

    rows: Rows
    fold_of: Rows
    judged: Judged
    by_router: NDArray[np.bool_]
    others: dict[str, Floats]

    def take(self, places: Rows) -> "Folded":
        """Some of the rows, by their places in this order."""
        judged = self.judged
        return Folded(
            rows=self.rows[places],
            fold_of=self.fold_of[places],
            judged=Judged(
                probabilities=judged.probabilities[places],
                scores=judged.scores[places],
                chosen=judged.chosen[places],
                by_router=judged.by_router,
                labels=judged.labels.take(places),
                groups=judged.groups[places],
                relative_cost=judged.relative_cost,
            ),
            by_router=self.by_router,
            others={name: said[places] for name, said in self.others.items()},
        )


def fold_by_fold(
    prepared: Prepared,
    ladder: Ladder,
    count: int,
    baselines: Sequence[str],
    config: TrainConfig,
    encoder: Encoder,
    stage_done: StageDone | None = None,
) -> Folded:
    """Train on all folds but one, judge that one, ``count`` times; folds never share a group.

    Raises:
        RouterModelError: as ``build`` does, or there are fewer groups than folds.
    """
    place = folds(prepared.groups, count, config.seed)
    parts, others = [], []
    for fold in range(count):
        inside, rest = np.flatnonzero(place == fold), np.flatnonzero(place != fold)
        done = _part(stage_done, fold, count)
        parts.append(_judge_fold(prepared, ladder, inside, rest, config, encoder, done))
        others.append(
            _baselines(baselines, prepared.take(rest), prepared.take(inside), config, encoder, done)
        )
    rows = np.concatenate([np.flatnonzero(place == fold) for fold in range(count)])
    return Folded(
        rows=rows,
        fold_of=place[rows],
        judged=_together(parts, prepared, rows, place[rows]),
        by_router=np.stack([part.by_router for part in parts]),
        others={name: np.concatenate([part[name] for part in others]) for name in baselines},
    )


def centred_by_fold(probabilities: Floats, fold_of: Rows) -> Floats:
    """Scores that order prompts across folds, whose networks have a level each: [N, K], [N] -> [N, K]."""
    return np.stack([centred(column, fold_of) for column in probabilities.T], axis=1)


def _judge_fold(
    prepared: Prepared,
    ladder: Ladder,
    inside: Rows,
    rest: Rows,
    config: TrainConfig,
    encoder: Encoder,
    done: StageDone | None,
) -> Judged:
    built = build(prepared.take(rest), ladder, config, encoder, stage_done=done, with_lengths=False)
    return Judged.by_curve(
        built.relative_cost,
        built.curve.points,
        built.fitted.calibration(predict(built.fitted.network, prepared.encoded, inside)),
        prepared.labels.take(inside),
        prepared.groups[inside],
        [prepared.records[row].prompt.text for row in inside],
    )


def _baselines(
    names: Sequence[str],
    train: Prepared,
    judged: Prepared,
    config: TrainConfig,
    encoder: Encoder,
    done: StageDone | None,
) -> dict[str, Floats]:
    """Probabilities float64 [M, K] of the judged rows by each baseline."""
    said = {}
    for name in names:
        if done:
            done(f"baseline {name}", 1.0)
        said[name] = BASELINES[name].fit(train, encoder, config.seed)(judged)
    return said


def _together(parts: list[Judged], prepared: Prepared, rows: Rows, fold_of: Rows) -> Judged:
    probabilities = np.concatenate([part.probabilities for part in parts])
    return Judged(
        probabilities=probabilities,
        scores=centred_by_fold(probabilities, fold_of),
        chosen=np.concatenate([part.chosen for part in parts]),
        by_router=np.all([part.by_router for part in parts], axis=0),
        labels=prepared.labels.take(rows),
        groups=prepared.groups[rows],
        relative_cost=np.mean([part.relative_cost for part in parts], axis=0),
    )


def _part(stage_done: StageDone | None, fold: int, count: int) -> StageDone | None:
    if stage_done is None:
        return None
    return lambda name, share: stage_done(f"part {fold + 1} of {count}, {name}", (fold + share) / count)
