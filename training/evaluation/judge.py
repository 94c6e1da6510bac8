"""A router's figures on rows whose every tier is known, with intervals.

N: rows, K: tiers, P: dial values, R: resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.policy.curve import Dial, OperatingPoint, Policy
from router_model.training.evaluation.aiq import Aiq, aiq
from router_model.training.evaluation.bootstrap import Bootstrap, Interval
from router_model.training.evaluation.means import Means
from router_model.training.evaluation.metrics import (
    GapRecovery,
    area_under_risk_coverage,
    brier_score,
    expected_calibration_error,
    risk_coverage,
)
from router_model.training.evaluation.oracle import Oracle, oracle

Floats = NDArray[np.float64]

DIALS: tuple[tuple[Dial, float], ...] = (
    ("quality", 0.8), ("quality", 0.9), ("quality", 0.95), ("quality", 0.98), ("quality", 1.0),
    ("budget", 0.1), ("budget", 0.25), ("budget", 0.5), ("budget", 0.75),
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """What a router said of rows, and what it chose at each dial value.

    Attributes:
        probabilities: float64 [N, K].
        scores: float64 [N, K], what orders the prompts; the probabilities, or these centred by fold.
        chosen: int64 [N, P], the tier at each of ``DIALS``.
        by_router: bool [P], whether the router decided, rather than a fixed choice of the guard.
        labels: of the rows.
        groups: int64 [N].
        relative_cost: float64 [K], mean cost of each tier over the strongest's, as the policy holds it.
        own_cost: float64 [N, K], relative costs expected of each prompt, where the policy weighs these.
    """

    probabilities: Floats
    scores: Floats
    chosen: NDArray[np.int64]
    by_router: NDArray[np.bool_]
    labels: Labels
    groups: NDArray[np.int64]
    relative_cost: Floats
    own_cost: Floats | None = None

    @classmethod
    def by_curve(
        cls,
        relative_cost: Sequence[float],
        curve: Sequence[OperatingPoint],
        probabilities: Floats,
        labels: Labels,
        groups: NDArray[np.int64],
        texts: Sequence[str],
        own_cost: Floats | None = None,
    ) -> "Judged":
        """The choices of the policy that a curve makes."""
        policy = Policy(relative_cost, curve, DIALS[0])
        points = [policy.point(**{dial: value}) for dial, value in DIALS]
        said = probabilities.astype(np.float32)  # as the graph gives them
        chosen = [policy.choose_batch(said, point, texts, own_cost) for point in points]
        by_router = np.array([point.rule == "router" for point in points])
        return cls(
            probabilities,
            probabilities,
            np.stack(chosen, axis=1),
            by_router,
            labels,
            groups,
            np.array(relative_cost, np.float64),
            own_cost,
        )


@dataclass(frozen=True)
class AtDial:
    """One dial value: ``accuracy`` is a mean outcome, ``quality`` and ``cost`` over the strongest tier's.

    ``gain_over_mix`` is the accuracy less that of the best mix of constants at equal cost, ``regret`` what
    the query oracle's is more, NaN where outcomes are estimated from logs.
    """

    dial: str
    value: float
    by_router: bool
    accuracy: float
    accuracy_interval: Interval
    quality: float
    quality_interval: Interval
    cost: float
    cost_interval: Interval
    cost_usd_per_1000: float
    gain_over_mix: float
    gain_over_mix_interval: Interval
    regret: float
    regret_interval: Interval
    shares: dict[str, float]


@dataclass(frozen=True)
class PairRanking:
    """How well prompts are ordered by need of the dearer of two tiers; a random order gives APGR 0.5."""

    cheap: str
    dear: str
    apgr: float
    apgr_interval: Interval
    cpt50: float
    cpt50_interval: Interval
    cpt80: float
    cpt80_interval: Interval


@dataclass(frozen=True)
class ConstantTier:
    """What always picking one tier gives, and how far its probability of being sufficient can be relied on.

    ``aurc`` is the area under the risk-coverage curve, ``excess_aurc`` how much of it a perfect order of the
    same errors would not have.
    """

    tier: str
    accuracy: float
    accuracy_interval: Interval
    cost: float
    cost_usd_per_1000: float
    calibration_error: float
    brier: float
    aurc: float
    excess_aurc: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that ``judge`` measures."""

    rows: int
    groups: int
    confidence: float
    dials: list[AtDial]
    pairs: list[PairRanking]
    constants: list[ConstantTier]
    oracle: Oracle
    aiq: Aiq


def judge(judged: Judged, ladder: Ladder, resamples: int, confidence: float, seed: int) -> Evaluation:
    """Measure; intervals by a paired bootstrap over groups.

    Raises:
        DataError: no row knows every tier.
    """
    if not len(judged.chosen):
        raise DataError("no row tells how every tier of the ladder did, so there is nothing to measure on")
    bootstrap = Bootstrap(judged.groups, resamples, confidence, seed)
    return Evaluation(
        rows=len(judged.chosen),
        groups=bootstrap.count,
        confidence=confidence,
        dials=_dials(judged, ladder, bootstrap),
        pairs=[_pair(judged, ladder, cheap, bootstrap) for cheap in range(len(ladder) - 1)],
        constants=_constants(judged, ladder, bootstrap),
        oracle=oracle(judged.labels, bootstrap),
        aiq=aiq(judged.probabilities, judged.relative_cost, judged.labels, bootstrap),
    )


def _dials(judged: Judged, ladder: Ladder, bootstrap: Bootstrap) -> list[AtDial]:
    labels, chosen = judged.labels, judged.chosen
    own_quality = np.take_along_axis(labels.outcomes, chosen, axis=1)  # [N, P]
    own_cost = np.take_along_axis(labels.cost_usd, chosen, axis=1)  # [N, P]
    sample, drawn = Means.over(labels.outcomes, labels.cost_usd, own_quality, own_cost, bootstrap)
    mixes = sample.mixes()
    gain, gain_r = sample.gain_over(mixes)[0], drawn.gain_over(mixes)  # [P], [R, P]
    # Of estimated outcomes the greatest of a row is the most overestimated one.
    best = (
        np.full((len(chosen), 1), np.nan) if labels.estimated else labels.outcomes.max(axis=1, keepdims=True)
    )
    regret = (best - own_quality).mean(axis=0)  # [P]
    regret_r = bootstrap.means(best) - drawn.own_quality  # [R, P]
    with np.errstate(divide="ignore", invalid="ignore"):
        quality_r = drawn.own_quality / drawn.quality[:, -1:]  # [R, P]
        cost_r = drawn.own_cost / drawn.cost[:, -1:]  # [R, P]
    found = []
    for column, (dial, value) in enumerate(DIALS):
        accuracy, paid = float(sample.own_quality[0, column]), float(sample.own_cost[0, column])
        shares = np.bincount(chosen[:, column], minlength=len(ladder)) / len(chosen)  # [K]
        found.append(
            AtDial(
                dial=dial,
                value=value,
                by_router=bool(judged.by_router[column]),
                accuracy=accuracy,
                accuracy_interval=bootstrap.interval(drawn.own_quality[:, column]),
                quality=_ratio(accuracy, sample.quality[0, -1]),
                quality_interval=bootstrap.interval(quality_r[:, column]),
                cost=_ratio(paid, sample.cost[0, -1]),
                cost_interval=bootstrap.interval(cost_r[:, column]),
                cost_usd_per_1000=paid * 1000,
                gain_over_mix=float(gain[column]),
                gain_over_mix_interval=bootstrap.interval(gain_r[:, column]),
                regret=float(regret[column]),
                regret_interval=bootstrap.interval(regret_r[:, column]),
                shares=dict(zip(ladder.names, shares.tolist(), strict=True)),
            )
        )
    return found


def _pair(judged: Judged, ladder: Ladder, cheap: int, bootstrap: Bootstrap) -> PairRanking:
    scores = judged.scores[:, -1] - judged.scores[:, cheap]
    recovery = GapRecovery(scores, judged.labels.outcomes[:, cheap], judged.labels.outcomes[:, -1])
    own = recovery.figures(np.ones((1, len(scores))))[0]  # [3]
    drawn = np.concatenate(
        [
            recovery.figures(part[:, bootstrap.group_of])
            for weights in bootstrap.weights()
            for part in np.array_split(weights, max(1, len(weights) // 50))
        ]
    )  # [R, 3]
    intervals = [bootstrap.interval(column) for column in drawn.T]
    return PairRanking(
        cheap=ladder.names[cheap],
        dear=ladder.names[-1],
        apgr=float(own[0]),
        apgr_interval=intervals[0],
        cpt50=float(own[1]),
        cpt50_interval=intervals[1],
        cpt80=float(own[2]),
        cpt80_interval=intervals[2],
    )


def _constants(judged: Judged, ladder: Ladder, bootstrap: Bootstrap) -> list[ConstantTier]:
    labels = judged.labels
    drawn = bootstrap.means(labels.outcomes)  # [R, K]
    price = labels.cost_usd.mean(axis=0)  # [K]
    found = []
    for k, name in enumerate(ladder.names):
        known = labels.observed[:, k]
        said, true = judged.probabilities[known, k], labels.sufficient[known, k]
        aurc, excess = area_under_risk_coverage(risk_coverage(said, true))
        found.append(
            ConstantTier(
                tier=name,
                accuracy=float(labels.outcomes[:, k].mean()),
                accuracy_interval=bootstrap.interval(drawn[:, k]),
                cost=_ratio(float(price[k]), price[-1]),
                cost_usd_per_1000=float(price[k]) * 1000,
                calibration_error=expected_calibration_error(said, true),
                brier=brier_score(said, true),
                aurc=aurc,
                excess_aurc=excess,
            )
        )
    return found


def _ratio(value: float, strongest: float) -> float:
    return float(value / strongest) if strongest else float("nan")
