"""Domination: a tier that is dearer and worse than another, which no request should go to.

Tier k is dominated by tier j where its mean cost is at least as great and its mean outcome lower, with an
interval of the difference that excludes 0: noise does not drop a tier. The interval is a paired bootstrap
over groups (bootstrap.py), on the rows that know both tiers. Rows judged by ``best_tier`` take no part, for
that label assumes that a dearer tier is at least as good. Once a tier is dropped, a row whose best tier it
was needs the next kept one upwards, and the strongest kept where there is none.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.data.records import Record
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.evaluation.bootstrap import Bootstrap

MIN_GROUPS = 20  # below, a bootstrap's intervals are too narrow to drop a tier by


@dataclass(frozen=True, slots=True)
class DroppedTier:
    """A dominated tier that left the ladder.

    Attributes:
        tier: its name.
        models: its models.
        by: the tier that is no dearer and better; the best of them where there are several.
        difference: its mean outcome less that of ``by``, below 0.
        interval: of ``difference``.
        cost_usd_per_1000: its mean cost of 1,000 requests, US dollars.
        by_cost_usd_per_1000: that of ``by``, no greater.
        rows: that know both tiers.
        successor: the kept tier that takes the rows whose best tier it was.
    """

    tier: str
    models: tuple[str, ...]
    by: str
    difference: float
    interval: tuple[float, float]
    cost_usd_per_1000: float
    by_cost_usd_per_1000: float
    rows: int
    successor: str

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"tier {self.tier!r} ({', '.join(self.models)}) is dearer and worse than {self.by!r}: "
            f"{self.cost_usd_per_1000:.4g} against {self.by_cost_usd_per_1000:.4g} USD per 1,000 requests, "
            f"mean outcome {self.difference:+.3f} [{low:+.3f}, {high:+.3f}] on {self.rows} rows"
        )


def dominated(
    records: Sequence[Record], labels: Labels, groups: NDArray[np.int64], ladder: Ladder, config: TrainConfig
) -> tuple[DroppedTier, ...]:
    """The tiers of ``ladder`` that another dominates, cheapest first.

    Args:
        records: N rows.
        labels: theirs on ``ladder``.
        groups: int64 [N].
        config: resamples, confidence and seed are read.

    Raises:
        DataError: fewer than two tiers would be left.
    """
    measured = np.array([record.best_tier is None for record in records])
    tiers = range(len(ladder))
    compared = {
        k: [pair for j in tiers if (pair := _compare(k, j, ladder, labels, measured, groups, config))]
        for k in tiers
    }
    kept = [k for k in tiers if not compared[k]]
    worst = {k: min(pairs, key=lambda pair: pair.difference) for k, pairs in compared.items() if pairs}
    if worst and len(kept) < 2:
        best = kept[0] if kept else int(np.nanmean(labels.outcomes, axis=0).argmax())
        raise DataError(
            f"{'; '.join(map(str, worst.values()))}: use {ladder.tiers[best].models[0]} for everything, "
            "or train on the whole ladder with --keep-dominated"
        )
    return tuple(
        dataclasses.replace(pair, successor=ladder.names[next((j for j in kept if j > k), kept[-1])])
        for k, pair in worst.items()
    )


def without_tiers(ladder: Ladder, dropped: Sequence[DroppedTier]) -> Ladder:
    """The ladder of the tiers that are kept."""
    names = {tier.tier for tier in dropped}
    return Ladder(tuple(tier for tier in ladder.tiers if tier.name not in names))


def relabelled(records: Sequence[Record], successors: Mapping[str, str]) -> list[Record]:
    """Records whose best tier is a kept one; ``successors`` names the kept tier for each dropped one."""
    return [
        dataclasses.replace(record, best_tier=successors.get(record.best_tier, record.best_tier))
        if record.best_tier
        else record
        for record in records
    ]


def _compare(
    worse: int,
    better: int,
    ladder: Ladder,
    labels: Labels,
    measured: NDArray[np.bool_],
    groups: NDArray[np.int64],
    config: TrainConfig,
) -> DroppedTier | None:
    """How ``better`` dominates ``worse``, its own successor so far; None where it does not."""
    outcomes = labels.outcomes[:, [worse, better]]  # [N, 2]
    known = measured & ~np.isnan(outcomes).any(axis=1)  # [N]
    if worse == better or len(np.unique(groups[known])) < MIN_GROUPS:
        return None
    cost = labels.cost_usd[known].mean(axis=0) * 1000  # [K]
    difference = outcomes[known, 0] - outcomes[known, 1]  # [N']
    if cost[worse] < cost[better] or difference.mean() >= 0:
        return None
    bootstrap = Bootstrap(groups[known], config.resamples, config.confidence, config.seed)
    interval = bootstrap.interval(bootstrap.means(difference[:, np.newaxis])[:, 0])
    if interval[1] >= 0:
        return None
    return DroppedTier(
        tier=ladder.names[worse],
        models=ladder.tiers[worse].models,
        by=ladder.names[better],
        difference=float(difference.mean()),
        interval=interval,
        cost_usd_per_1000=float(cost[worse]),
        by_cost_usd_per_1000=float(cost[better]),
        rows=int(known.sum()),
        successor=ladder.names[better],
    )
