"""What logged traffic would have cost and kept, had a router decided: estimated from what the log did."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.base import Base
from router_model.data.groups import group
from router_model.data.labels import label
from router_model.data.readers import Reading
from router_model.data.records import Record
from router_model.decision import Decisions
from router_model.errors import ConfigError, DataError
from router_model.ladder import Ladder
from router_model.policy.curve import Dial
from router_model.router import Router
from router_model.training.encoders.encoder import Encoder
from router_model.training.encoders.static import Static
from router_model.training.evaluation.logged import Logged
from router_model.training.evaluation.off_policy import (
    ESTIMATORS,
    Estimate,
    Seen,
    doubly_robust,
    effective_rows,
    estimate,
)
from router_model.training.evaluation.support import TierSupport, measure_support, refuse_unsupported
from router_model.training.policies import InSessions, Policy, Tiers
from router_model.training.prepare import read_all
from router_model.training.propensity import covariates, propensities

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
StageDone = Callable[[str, float], None]
MAX_TOKENS = 512  # window of what outcomes are predicted from
MILLION = 1e6
HEADLINE = "dr"


@dataclass(frozen=True)
class Replayed:
    """Of one reward, the means over all requests.

    Attributes:
        logged: what the log's own choices gave.
        router: what the router's decisions would have, doubly robust.
        difference: the router's less the log's, paired by request.
        others: the router's by the other estimators, by name.
        effective_rows: as many equally weighted requests as those that tell of the router's decisions are
            worth.
    """

    logged: Estimate
    router: Estimate
    difference: Estimate
    others: dict[str, Estimate]
    effective_rows: float


@dataclass(frozen=True)
class Turns:
    """What a policy for conversations does to those of the log.

    Attributes:
        later: turns that one of the same conversation came before.
        logged_moved, router_moved: share of them on another tier than the one before, in [0, 1].
        logged_cache_usd, router_cache_usd: mean over all requests of what prompt caches add to their cost at
            plain prices; below 0 where they spare.
    """

    later: int
    logged_moved: float
    router_moved: float
    logged_cache_usd: float
    router_cache_usd: float


@dataclass(frozen=True)
class Replay:
    """What a replay found.

    Attributes:
        requests: that one tier of the ladder answered.
        marked: of them, those whose outcome is known.
        left_out: records that are not of one logged model of the ladder.
        bad_rows: rows that were skipped.
        dial: of the router.
        value: of the dial.
        policy: that decided in place of the dial, in words; None where the dial did.
        quality: mean outcome, in [0, 1].
        cost_usd: US dollars per request; the router's include its own cost. With ``conversations``, what
            tokens cost at the ladder's prices, and what prompt caches add to it.
        router_usd_per_request: the router's own cost.
        logged_shares: share of requests that each tier answered, by name.
        router_shares: share that each would have.
        conversations: what the policy did to them; None where it does not look at them.
        support: what the log knows of the decisions for each tier.
        mean_weight: of inverse probabilities of the choices that agree; near 1 where these are right.
        largest_weight: at which they were cut.
        estimated_propensity: whether the log lacks propensities, and they were estimated from the text.
        confidence: of all intervals.
    """

    requests: int
    marked: int
    left_out: int
    bad_rows: int
    dial: Dial
    value: float
    policy: str | None
    quality: Replayed
    cost_usd: Replayed
    router_usd_per_request: float
    logged_shares: dict[str, float]
    router_shares: dict[str, float]
    conversations: Turns | None
    support: tuple[TierSupport, ...]
    mean_weight: float
    largest_weight: float
    estimated_propensity: bool
    confidence: float


def replay(
    router: Router,
    paths: Sequence[str | Path],
    *,
    quality: float | None = None,
    budget: float | None = None,
    policy: Policy | None = None,
    router_usd_per_million_requests: float = 0.0,
    largest_weight: float | None = None,
    skip_bad: bool = False,
    base: Base | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    stage_done: StageDone | None = None,
) -> Replay:
    """Replay the logs of ``paths`` with ``router``, at its own dial where none is given.

    Args:
        policy: decides in place of the dial, by what the router says.
        router_usd_per_million_requests: what the router itself costs.
        largest_weight: at which inverse propensities are cut, at least 1 (Ionides 2008); a tenth of the
            number of requests where None, so that none speaks for more of them.
        base: what outcomes and missing propensities are estimated with; the one that ships where None.
        seed: of the folds.
        stage_done: told what begins, and the share of the whole that is done.

    Raises:
        DialError: as ``Router.route``.
        ConfigError: a setting is out of its range.
        DataError: no request is of one logged model of the ladder, or none has an outcome, or the log does
            not support the decisions; the message names what is missing.
    """
    point = router.policy.point(quality, budget)
    _check(router_usd_per_million_requests, largest_weight)
    tell = stage_done or (lambda stage, share: None)
    reading = Reading(skip_bad=skip_bad)
    tell("reading", 0.0)
    records = read_all(paths, reading)
    if isinstance(policy, InSessions):
        # What was paid knows of the caches that the log's own choices found; plain prices know of none.
        records = [dataclasses.replace(record, cost_usd={}) for record in records]
    tell("estimating", 0.2)
    answered, logged = read_logged(records, router.ladder, Static(base or Base.default(), MAX_TOKENS), seed)
    tell("routing", 0.9)
    prompts = [record.prompt for record in answered]
    input_tokens = [record.input_tokens or None for record in answered]
    said = router.route_prompts(prompts, quality=quality, budget=budget, input_tokens=input_tokens)
    decided = policy(answered, said) if policy else _decided(said, seed)
    cached, turns = _followed(policy, answered, said, logged.propensity.tier, decided)
    most = largest_weight or logged.largest_weight
    support = measure_support(
        decided, logged.propensity.tier, logged.choice, logged.groups, router.ladder, confidence
    )
    qualities, costs = logged.quality(decided, most), logged.cost(decided, most)
    refuse_unsupported(support, logged.choice, effective_rows(qualities.weight))
    own_cost = router_usd_per_million_requests / MILLION
    return Replay(
        requests=len(logged),
        marked=int((~np.isnan(logged.outcomes)).any(axis=1).sum()),
        left_out=len(records) - len(answered),
        bad_rows=reading.bad,
        dial=point.dial,
        value=point.value,
        policy=str(policy) if policy else None,
        quality=replayed(doubly_robust(logged.own_quality()), qualities, 0.0, confidence),
        cost_usd=replayed(logged.cost_usd + cached[0], costs, own_cost + cached[1], confidence),
        router_usd_per_request=own_cost,
        logged_shares=_shares(logged.propensity.tier, router.ladder),
        router_shares=_shares(decided, router.ladder),
        conversations=turns,
        support=support,
        mean_weight=float(logged.cost(decided, float("inf")).weight.mean()),
        largest_weight=most,
        estimated_propensity=logged.propensity.estimated,
        confidence=confidence,
    )


def read_logged(
    records: Sequence[Record], ladder: Ladder, encoder: Encoder, seed: int
) -> tuple[list[Record], Logged]:
    """The records that one tier has answered, and what the estimators need of them.

    Raises:
        DataError: there are none, or no outcome among them.
    """
    if not records:
        raise DataError("the logs hold no record; give at least one row")
    groups, encoded = group(records), encoder.encode([record.prompt for record in records])
    propensity = propensities(records, ladder, encoded, groups, encoder, seed)
    rows = np.flatnonzero(propensity.tier >= 0)
    if not rows.size:
        raise DataError(
            "no record is of one logged model of the ladder, so there is nothing to replay; give logs with "
            "'model' and 'outcome', made by the gateway, `router-model ingest` or `router-model simulate`"
        )
    if rows.size < len(records):
        logger.warning(
            "%d of %d records are not of one logged model of the ladder; all figures are of the others",
            len(records) - rows.size,
            len(records),
        )
    answered, propensity = [records[row] for row in rows.tolist()], propensity.take(rows)
    labels, inputs = label(answered, ladder), covariates(encoded.take(rows), encoder)
    paid = labels.cost_usd[np.arange(rows.size), propensity.tier]
    return answered, Logged.fit(propensity, labels.outcomes, paid, inputs, groups[rows], seed)


def _decided(said: Decisions, seed: int) -> Tiers:
    """What the dial decides, int64 [N]; where the guard's shares do, another draw than the gateway's.

    The log may be of that very draw, which goes by the prompt: the two would agree on each request, and
    inverse weights take a draw that knows nothing of the log's.
    """
    point = said.point
    if point is None or point.rule != "fixed":
        return said.tier
    shares = np.array(point.shares)
    drawn: Tiers = np.random.default_rng(seed).choice(len(shares), len(said), p=shares / shares.sum())
    return drawn


def _followed(
    policy: Policy | None, requests: Sequence[Record], said: Decisions, logged: Tiers, decided: Tiers
) -> tuple[Floats, Turns | None]:
    """What caches add to the log's own and the router's costs [2, N], and what became of conversations."""
    if not isinstance(policy, InSessions):
        return np.zeros((2, len(requests))), None
    before, after = (policy.followed(requests, said, tiers) for tiers in (logged, decided))
    cached = np.stack([before.cache_usd, after.cache_usd])  # [2, N]
    shares = before.moved_share, after.moved_share
    return cached, Turns(int(before.later.sum()), *shares, *cached.mean(axis=1).tolist())


def replayed(own: Floats, seen: Seen, extra: float | Floats, confidence: float) -> Replayed:
    """A reward of other decisions, each with ``extra``, beside the log's own contributions [N]."""
    other = {name: estimator(seen) + extra for name, estimator in ESTIMATORS.items()}
    estimates = {name: estimate(values, seen.groups, confidence) for name, values in other.items()}
    return Replayed(
        logged=estimate(own, seen.groups, confidence),
        router=estimates.pop(HEADLINE),
        difference=estimate(other[HEADLINE] - own, seen.groups, confidence),
        others=estimates,
        effective_rows=effective_rows(seen.weight),
    )


def _check(router_usd_per_million_requests: float, largest_weight: float | None) -> None:
    if not 0 <= router_usd_per_million_requests < float("inf"):
        raise ConfigError(
            f"--router-usd-per-million-requests {router_usd_per_million_requests}: give US dollars, 0 or more"
        )
    if largest_weight is not None and not 1 <= largest_weight < float("inf"):
        raise ConfigError(f"--largest-weight {largest_weight}: give a number of at least 1")


def _shares(tier: NDArray[np.int64], ladder: Ladder) -> dict[str, float]:
    counts = np.bincount(tier, minlength=len(ladder)) / len(tier)
    return dict(zip(ladder.names, counts.tolist(), strict=True))
