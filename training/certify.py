"""Certify an operating point of an artifact on rows that its training has not seen (promise.py)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.artifact import seal, write
from router_model.data.groups import group
from router_model.data.labels import Labels, label
from router_model.data.readers import Reading
from router_model.data.records import Record
from router_model.errors import ConfigError, DataError
from router_model.policy.certificate import STATISTICS, Certificate, Claim
from router_model.policy.monitor import Feedback, doublings, statistics
from router_model.router import Router
from router_model.training.bounds import mean_interval
from router_model.training.config import TrainConfig
from router_model.training.curve import check_rows
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.leaks import LeakVerdict, OnLeaks, without_leaks
from router_model.training.evaluation.points import measure_points
from router_model.training.evaluation.subset import own_cost
from router_model.training.prepare import data_fingerprint, read_all
from router_model.training.promise import Promise, candidates, cheapest, own_outcomes

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
CLAIMS_ERROR = 0.01  # probability that the interval of any claim misses


@dataclass(frozen=True)
class Certified:
    """What ``certify`` found.

    Attributes:
        certificate: also in the artifact, where one was written.
        out: that artifact.
        tested: points, of which the last was not shown to keep the promise, unless all were.
    """

    certificate: Certificate
    out: str | None
    tested: int


@dataclass(frozen=True)
class Evidence:
    """Rows of which every tier's outcome is known, and what the router says of them.

    Attributes:
        fingerprint: of all rows that were given.
        records: N.
        labels: of these.
        probabilities: float64 [N, K].
        own_cost: float64 [N, K], what the policy weighs of each prompt; None where it weighs mean costs.
        groups: int64 [N].
        leaks: whether training saw them.
    """

    fingerprint: str
    records: Sequence[Record]
    labels: Labels
    probabilities: Floats
    own_cost: Floats | None
    groups: NDArray[np.int64]
    leaks: LeakVerdict

    def one_of_each(self) -> Rows:
        """A row of each group, since near-duplicates are one piece of evidence, in a random order."""
        order = np.random.default_rng(int(self.fingerprint[:15], 16)).permutation(len(self.groups))
        _, first = np.unique(self.groups[order], return_index=True)
        rows: Rows = order[np.sort(first)]
        return rows


def certify(
    router: Router,
    paths: Sequence[str | Path],
    promise: Promise,
    date: str,
    *,
    out: str | Path | None = None,
    trained_on: Sequence[str | Path] = (),
    on_leaks: OnLeaks = "refuse",
    config: TrainConfig | None = None,
    skip_bad: bool = False,
) -> Certified:
    """Certify the cheapest point of ``router`` that keeps ``promise`` on the records of ``paths``.

    Args:
        date: of today, YYYY-MM-DD.
        out: where to write the artifact with its certificate, whose point is its default.
        trained_on: the training data, to look for near-duplicates of theirs.
        on_leaks: whether such rows are refused, dropped or kept.
        config: bar, margin, resamples and seed are read.

    Raises:
        DataError: the rows are those of the training, leak, or do not support any point; the message says
            how many would.
        ConfigError: ``on_leaks`` without ``trained_on``, or a date that is none.
    """
    if on_leaks != "refuse" and not trained_on:
        raise ConfigError(f"--leaks {on_leaks}: name the training data with --trained-on")
    config, manifest = config or TrainConfig(), router.artifact.manifest
    found = _evidence(router, paths, trained_on, on_leaks, config, Reading(skip_bad=skip_bad))
    rows = found.one_of_each()
    probabilities, outcomes = found.probabilities[rows], found.labels.outcomes[rows]
    points = candidates(manifest, promise)
    own_cost = None if found.own_cost is None else found.own_cost[rows]
    relative_cost = np.array(manifest.relative_cost) if own_cost is None else own_cost
    point, tested = cheapest(points, probabilities, outcomes, relative_cost, promise)
    own = own_outcomes([point], probabilities, outcomes, relative_cost)
    bootstrap = Bootstrap(found.groups, config.resamples, promise.confidence, config.seed)
    policy = manifest.policy()
    (measured,) = measure_points(
        policy, [point], found.probabilities, found.labels, bootstrap, found.own_cost
    )
    texts = [found.records[row].prompt.text for row in rows.tolist()]
    chosen = policy.choose_batch(probabilities.astype(np.float32), measured, texts, own_cost)
    claimed, lengths = claims(_items(found, rows, chosen))
    try:
        certificate = Certificate(
            point=measured,
            max_loss=promise.max_loss,
            relative=promise.relative,
            confidence=promise.confidence,
            loss=promise.lost(outcomes, own[:, 0]),
            test=promise.test,
            data=found.fingerprint,
            rows=len(found.records),
            groups=len(rows),
            leaks=found.leaks.message,
            date=date,
            claims=claimed,
            claims_error=CLAIMS_ERROR,
            lengths=lengths,
        )
    except ValueError as error:
        raise ConfigError(f"this cannot be certified: {error}") from None
    if out:
        write(out, seal(router.artifact.graph, replace(manifest, certificate=certificate)))
    return Certified(certificate, str(out) if out else None, tested)


def claims(items: Sequence[Feedback]) -> tuple[tuple[Claim, ...], tuple[int, int]]:
    """What a monitor is to hold traffic against, from items of the certified kind; and its lengths.

    Lengths span four standard deviations to either side, in whole numbers, so that they hardly follow the
    rows that the intervals come from.
    """
    length = np.array([doublings(item.characters) for item in items])
    reach = 4 * float(length.std()) + 0.5
    lengths = max(0, floor(length.mean() - reach)), ceil(length.mean() + reach)
    told = [statistics(item, lengths) for item in items]
    made = []
    for name in STATISTICS:
        values = np.array([one[name] for one in told])
        low, high = mean_interval(values, CLAIMS_ERROR / len(STATISTICS))
        made.append(Claim(name, low, high, float(values.std())))
    return tuple(made), lengths


def _evidence(
    router: Router,
    paths: Sequence[str | Path],
    trained_on: Sequence[str | Path],
    on_leaks: OnLeaks,
    config: TrainConfig,
    reading: Reading,
) -> Evidence:
    records, leaks = read_all(paths, reading), LeakVerdict()
    fingerprint = data_fingerprint(records)
    if fingerprint == router.artifact.manifest.data.get("fingerprint"):
        raise DataError("these are the rows that the router was trained on; give rows that it has not seen")
    if trained_on:
        records, leaks = without_leaks(read_all(trained_on, reading), records, on_leaks)
    labels = label(records, router.ladder, config.bar, config.margin)
    complete = np.flatnonzero(labels.complete)
    records, labels = [records[row] for row in complete.tolist()], labels.take(complete)
    check_rows(labels.outcomes, labels.cost_usd)
    said = router.route_prompts([record.prompt for record in records])
    probabilities = said.sufficiency.astype(np.float64)
    return Evidence(
        fingerprint,
        records,
        labels,
        probabilities,
        own_cost(said, router.artifact.manifest),
        group(records),
        leaks,
    )


def _items(found: Evidence, rows: Rows, chosen: NDArray[np.int64]) -> list[Feedback]:
    """The rows as a service would see them, answered by the tiers ``chosen``."""
    return [
        Feedback(
            outcome=float(found.labels.outcomes[row, tier]),
            expected=float(found.probabilities[row, tier]),
            strongest=float(found.probabilities[row, -1]),
            characters=found.records[row].prompt.characters,
        )
        for row, tier in zip(rows.tolist(), chosen.tolist(), strict=True)
    ]
