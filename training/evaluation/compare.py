"""A router against the baselines on the same held-out rows: rankings, differences, upper bounds.

N: rows whose every tier is known, G: their groups, K: tiers, S: scorers, R: resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.data.records import Record
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.evaluation.bootstrap import Bootstrap, Interval
from router_model.training.evaluation.frontier import frontier, unit_means, units
from router_model.training.evaluation.hull import Hull
from router_model.training.evaluation.judge import AtDial, Evaluation, Judged
from router_model.training.evaluation.metrics import NO_GAP, GapRecovery

Floats = NDArray[np.float64]
PART = 200  # resamples at a time
ROUTER = "router"
ORACLES = TASK_ORACLE, QUERY_ORACLE = "task oracle", "query oracle"


@dataclass(frozen=True)
class Difference:
    """One scorer's figures less another's, for one pair of tiers."""

    apgr: float
    apgr_interval: Interval
    gain_at_half: float
    gain_at_half_interval: Interval


@dataclass(frozen=True)
class Ranked:
    """How one scorer orders prompts by their need of the strongest tier.

    Attributes:
        scorer: the router, a baseline or an oracle.
        cheap: the tier that the others go to.
        dear: the strongest tier.
        apgr: 0.5 for a random order; NaN where the two tiers do equally well.
        accuracy_at_half: mean outcome where the half of the highest scores goes to the strongest tier.
        gain_at_half: that less the accuracy of sending a random half.
        router_less_it: the router's figures less these, by the same resamples.
    """

    scorer: str
    cheap: str
    dear: str
    apgr: float
    apgr_interval: Interval
    accuracy_at_half: float
    gain_at_half: float
    gain_at_half_interval: Interval
    router_less_it: Difference


@dataclass(frozen=True)
class AtCost:
    """What may be had at the cost that the router has at one dial value; accuracies are mean outcomes.

    Attributes:
        cost: over always the strongest tier's.
        router: its accuracy.
        constant: the best single tier's that costs no more; the cheapest tier's where none does.
        mix: the best random mix's of two tiers.
        task_oracle: an upper bound, each task on its best tier, judged on the same rows.
        query_oracle: an upper bound, each prompt on its best tier.
    """

    dial: str
    value: float
    cost: float
    router: float
    constant: float
    mix: float
    task_oracle: float
    query_oracle: float


@dataclass(frozen=True)
class Comparison:
    """Everything that is measured beside the router.

    Attributes:
        rankings: of each pair of tiers in turn, the router first.
        at_costs: one a dial value.
        missing: baselines that were not run, and why.
    """

    rankings: list[Ranked]
    at_costs: list[AtCost]
    missing: dict[str, str]


def compare(
    judged: Judged,
    evaluation: Evaluation,
    others: Mapping[str, Floats],
    records: Sequence[Record],
    ladder: Ladder,
    config: TrainConfig,
    missing: Mapping[str, str] | None = None,
) -> Comparison:
    """The router, the others, and the oracles, whose scores are the outcomes themselves.

    Args:
        others: scores by name, float64 [N, K], of the rows of ``judged``.
        records: of the same rows; their tasks are read.
        missing: baselines that could not be run, and why.
    """
    labels = judged.labels
    tasks = units([record.task for record in records])
    scores = {
        ROUTER: judged.scores,
        **others,
        TASK_ORACLE: unit_means(labels.outcomes, tasks),
        QUERY_ORACLE: labels.outcomes,
    }
    bootstrap = Bootstrap(judged.groups, config.resamples, config.confidence, config.seed)
    rankings = rank(scores, labels.outcomes, ladder, bootstrap)
    return Comparison(rankings, at_costs(evaluation.dials, labels, tasks), dict(missing or {}))


def rank(
    scores: Mapping[str, Floats], outcomes: Floats, ladder: Ladder, bootstrap: Bootstrap
) -> list[Ranked]:
    """Each scorer on each pair of a cheaper tier and the strongest, against the first of the scorers.

    Args:
        scores: by name, float64 [N, K]; prompts are ordered by the strongest tier's less the cheaper's.
        outcomes: float64 [N, K].
        bootstrap: over the groups of the same rows.
    """
    found = []
    for cheap, name in enumerate(ladder.names[:-1]):
        own, drawn = _figures(list(scores.values()), outcomes, cheap, bootstrap)  # [S, 2], [R, S, 2]
        random_half = float(outcomes[:, [cheap, -1]].mean())
        for place, scorer in enumerate(scores):
            apgr, gain = own[place].tolist()
            found.append(
                Ranked(
                    scorer=scorer,
                    cheap=name,
                    dear=ladder.names[-1],
                    apgr=apgr,
                    apgr_interval=bootstrap.interval(drawn[:, place, 0]),
                    accuracy_at_half=random_half + gain,
                    gain_at_half=gain,
                    gain_at_half_interval=bootstrap.interval(drawn[:, place, 1]),
                    router_less_it=_difference(own[0] - own[place], drawn[:, 0] - drawn[:, place], bootstrap),
                )
            )
    return found


def difference(
    scores_a: Floats, scores_b: Floats, outcomes: Floats, bootstrap: Bootstrap
) -> list[Difference]:
    """Scorer a less scorer b, for each pair of a cheaper tier and the strongest, cheapest first.

    Args:
        scores_a: float64 [N, K], such as one router's sufficiency.
        scores_b: float64 [N, K], of the same rows.
        outcomes: float64 [N, K].
        bootstrap: over the groups of the same rows.
    """
    found = []
    for cheap in range(outcomes.shape[1] - 1):
        own, drawn = _figures([scores_a, scores_b], outcomes, cheap, bootstrap)
        found.append(_difference(own[0] - own[1], drawn[:, 0] - drawn[:, 1], bootstrap))
    return found


def at_costs(dials: Sequence[AtDial], labels: Labels, task_of: NDArray[np.int64]) -> list[AtCost]:
    """What else the router's cost would buy, at each dial value.

    Args:
        dials: the router's, judged on the rows of ``labels``.
        labels: of rows whose every tier is known.
        task_of: int64 [N], a number from 0 per task.
    """
    outcomes, cost = labels.outcomes, labels.cost_usd
    quality, price = outcomes.mean(axis=0), cost.mean(axis=0)  # [K], [K]
    hull = Hull(quality, price)
    by_task, by_query = (frontier(outcomes, cost, unit_of) for unit_of in (task_of, np.arange(len(outcomes))))
    found = []
    for dial in dials:
        paid = dial.cost_usd_per_1000 / 1000
        affordable = price <= max(paid * (1 + 1e-9), price.min())  # [K]
        found.append(
            AtCost(
                dial=dial.dial,
                value=dial.value,
                cost=dial.cost,
                router=dial.accuracy,
                constant=float(quality[affordable].max()),
                mix=float(quality @ hull.at_cost(paid).shares(len(quality))),
                task_oracle=by_task.at_cost(paid),
                query_oracle=by_query.at_cost(paid),
            )
        )
    return found


def _figures(
    scores: Sequence[Floats], outcomes: Floats, cheap: int, bootstrap: Bootstrap
) -> tuple[Floats, Floats]:
    """APGR and gain at half of each scorer: on the rows [S, 2], and in each resample [R, S, 2]."""
    recoveries = [
        GapRecovery(score[:, -1] - score[:, cheap], outcomes[:, cheap], outcomes[:, -1]) for score in scores
    ]
    once = np.ones((bootstrap.count, 1))
    own = np.stack([_of_weights(r, once, bootstrap.group_of)[0] for r in recoveries])
    drawn = [
        np.stack([_of_weights(r, np.ascontiguousarray(part.T), bootstrap.group_of) for r in recoveries], 1)
        for weights in bootstrap.weights()
        for part in np.array_split(weights, -(-len(weights) // PART))
    ]
    return own, np.concatenate(drawn)


def _of_weights(recovery: GapRecovery, weights: Floats, group_of: NDArray[np.int64]) -> Floats:
    """APGR and gain at half for each weighting of the groups: [G, R] -> [R, 2].

    As ``GapRecovery.curve`` integrated, at a tenth of its time: many scorers share many resamples.
    """
    row = weights[group_of[recovery.order]]  # [N, R], the highest score first
    gain = row * recovery.gain[:, np.newaxis]  # [N, R]
    sent, gained = np.cumsum(row, axis=0), np.cumsum(gain, axis=0)  # [N, R], [N, R]
    total, gap = sent[-1], gained[-1].copy()  # [R], [R]
    area = np.einsum("nr,nr->r", row, gained) - np.einsum("nr,nr->r", row, gain) / 2  # [R]
    last = (sent < total / 2).sum(axis=0)  # [R], the row that completes the half
    beyond = np.take_along_axis(sent, last[np.newaxis], axis=0)[0] - total / 2  # [R]
    half = np.take_along_axis(gained, last[np.newaxis], axis=0)[0] - beyond * recovery.gain[last]  # [R]
    recovered = np.where(np.abs(gap) < NO_GAP, np.nan, gap)  # [R]
    return np.stack([area / (total * recovered), (half - gap / 2) / total], axis=1)


def _difference(own: Floats, drawn: Floats, bootstrap: Bootstrap) -> Difference:
    """Of figures [2] and their draws [R, 2]."""
    return Difference(
        float(own[0]), bootstrap.interval(drawn[:, 0]), float(own[1]), bootstrap.interval(drawn[:, 1])
    )
