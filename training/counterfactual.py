"""Every tier's outcome and cost for rows that policies are compared on: as known, or estimated from logs.

Where a log shows one tier's outcome, each tier has its doubly robust contribution (Dudík, Langford and Li
2011): the outcome model's prediction, and where the log shows the tier, the inverse probability of that times
what the prediction missed. A single such number is no outcome, it may leave [0, 1]; its mean over the rows
that a policy sends to a tier is right if either the probabilities or the model are. So all that is a mean of
outcomes, such as a policy's quality or APGR, is measured on it as on outcomes that are known. Requests that
were sent to a tier may be longer than those that will be, so a tier's mean cost is estimated in the same way.

N: records, M: rows to measure on, K: tiers.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.curve import MIN_ROWS
from router_model.training.encoders.encoder import Encoder
from router_model.training.evaluation.logged import Logged
from router_model.training.evaluation.off_policy import Seen, doubly_robust
from router_model.training.evaluation.support import TierSupport, measure_support
from router_model.training.prepare import Prepared
from router_model.training.propensity import Propensity, covariates, propensities

Floats = NDArray[np.float64]
SUPPORTED = 0.95  # least share of requests that the log must have been able to send to each tier


def counterfactual(
    prepared: Prepared, ladder: Ladder, config: TrainConfig, encoder: Encoder
) -> tuple[NDArray[np.int64], Labels]:
    """Rows int64 [M] to measure policies on, and their labels, of which no outcome is unknown.

    The rows whose every tier is known where there are 50 of them, or where nothing was logged; else all
    that one tier answered, marked or not. Sufficiency stays as it is known.

    Raises:
        DataError: the log never sends requests to a tier, or hardly ever, such as where its choices were
            deterministic.
    """
    complete = np.flatnonzero(prepared.labels.complete)
    if len(complete) >= MIN_ROWS or not _is_log(prepared):
        return complete, prepared.labels.take(complete)
    propensity = propensities(
        prepared.records, ladder, prepared.encoded, prepared.groups, encoder, config.seed
    )
    rows = np.flatnonzero(propensity.tier >= 0)
    log = prepared.take(rows)
    propensity = propensity.take(rows)
    _check_support(propensity, log.groups, ladder, config.confidence)
    paid = log.labels.cost_usd[np.arange(len(rows)), propensity.tier]
    logged = Logged.fit(
        propensity, log.labels.outcomes, paid, covariates(log.encoded, encoder), log.groups, config.seed
    )
    costs = _to_mean(log.labels.cost_usd, contributions(logged, logged.cost).mean(axis=0))
    return rows, dataclasses.replace(
        log.labels, outcomes=contributions(logged, logged.quality), cost_usd=costs
    )


def _to_mean(cost: Floats, mean: Floats) -> Floats:
    """Costs [M, K] times what makes their means those [K], where these are above 0.

    Single contributions are far noisier than prices times tokens, and a router's gain is measured at equal
    cost: with them in the place of costs no log of a few thousand rows could show one.
    """
    own = cost.mean(axis=0)  # [K]
    scaled: Floats = cost * np.where((mean > 0) & (own > 0), mean / np.where(own > 0, own, 1.0), 1.0)
    return scaled


def contributions(logged: Logged, reward: Callable[[NDArray[np.int64], float], Seen]) -> Floats:
    """Doubly robust contributions of each tier, float64 [M, K]; weights are cut as in a replay.

    ``reward`` is ``logged.quality``, outcomes, or ``logged.cost``, US dollars: a tier that gets the long
    requests looks dearer by what it was paid than it is for all of them.
    """
    tiers = range(logged.outcomes.shape[1])
    return np.stack(
        [doubly_robust(reward(np.full(len(logged), tier), logged.largest_weight)) for tier in tiers], axis=1
    )


def _is_log(prepared: Prepared) -> bool:
    return any(record.model is not None for record in prepared.records)


def _check_support(
    propensity: Propensity, groups: NDArray[np.int64], ladder: Ladder, confidence: float
) -> None:
    chosen = propensity.chosen[np.arange(len(groups)), propensity.tier]
    lacking = []
    for tier in range(len(ladder)):
        everywhere = np.full(len(groups), tier)
        found = measure_support(everywhere, propensity.tier, chosen, groups, ladder, confidence)[tier]
        if found.at_most < SUPPORTED:
            lacking.append(_lack(found))
    if lacking:
        raise DataError(
            f"the log cannot tell how a router would do, since {'; '.join(lacking)}; choose a share of tiers "
            "at random (even a few percent) and log their propensity, or add 50 rows with an outcome for "
            "each tier"
        )


def _lack(found: TierSupport) -> str:
    return f"it could have sent at most {found.at_most:.0%} of the requests to tier {found.tier!r}"
