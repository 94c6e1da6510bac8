"""A promise on the loss against the strongest tier, and the cheapest operating point shown to keep it.

Learn then Test (Angelopoulos et al. 2021) with fixed-sequence testing: the points that training left in the
artifact are tested from the safest to the cheapest, each at the full error, until one is not shown to keep to
the bound; the one before it is taken. As the order is fixed before any row is seen, the probability that a
point is taken that breaks the bound is at most the error, however many are tested.

n: rows, which are independent and alike; K: tiers, L: points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from router_model.errors import ConfigError, DataError
from router_model.manifest import Manifest
from router_model.policy.curve import OperatingPoint, Rule
from router_model.training.bounds import TESTS, Test, hedged_bet
from router_model.training.curve import choose

Floats = NDArray[np.float64]
BETWEEN = 4  # steps of the sequence from one point of the curve to the next
BLOCK = 32  # points that are tested at once
POWER = 0.8  # with which so many rows do as is told where there are too few
MOST_RESAMPLED, RESAMPLES, STEP = 20_000, 200, 1.1  # beyond so many rows a normal test is near enough


@dataclass(frozen=True)
class Promise:
    """What is to be shown.

    Attributes:
        max_loss: how far the mean outcome may be below the strongest tier's, in (0, 1).
        confidence: in (0.5, 1).
        relative: ``max_loss`` is a share of the strongest tier's mean outcome, as in ``quality=0.98``, and
            not a difference of mean outcomes.
        test: what shows it.
    """

    max_loss: float = 0.02
    confidence: float = 0.95
    relative: bool = False
    test: Test = "hedged-bet"

    def __post_init__(self) -> None:
        if not 0 < self.max_loss < 1:
            raise ConfigError(f"--max-loss {self.max_loss:g}: give a share above 0 and below 1, such as 0.02")
        if not 0.5 < self.confidence < 1:
            raise ConfigError(f"--confidence {self.confidence:g}: give it above 0.5 and below 1")
        if self.test not in TESTS:
            raise ConfigError(f"--test {self.test!r:.40}: give one of {', '.join(TESTS)}")

    @property
    def keep(self) -> float:
        """The share of the strongest tier's outcome that losses are counted from; so much is lost at most."""
        return 1 - self.max_loss if self.relative else 1.0

    @property
    def bound(self) -> float:
        """Of the mean loss."""
        return 0.0 if self.relative else self.max_loss

    def losses(self, outcomes: Floats, own: Floats) -> Floats:
        """Of points whose outcomes are ``own``: [n, K], [n, L] -> [n, L] in [-1, keep]."""
        losses: Floats = self.keep * outcomes[:, -1:] - own
        return losses

    def lost(self, outcomes: Floats, own: Floats) -> float:
        """The mean loss as ``max_loss`` counts it, of a point whose outcomes are ``own``: [n, K], [n]."""
        strongest = float(outcomes[:, -1].mean())
        lost = strongest - float(own.mean())
        return lost / strongest if self.relative and strongest else lost

    def shown(self, losses: Floats) -> NDArray[np.bool_]:
        """Which columns are shown to keep to the bound: [n, L] -> bool [L]."""
        return TESTS[self.test](losses, self.bound, 1 - self.confidence, self.keep)

    def rows_needed(self, losses: Floats) -> int | None:
        """Rows at which the bet shows a point with losses [n] like these to keep it, 8 times of 10.

        By a normal test, and then by resamples of the losses until there are rows enough. None where their
        mean is the bound or more.
        """
        margin = self.bound - float(losses.mean())
        if margin <= 0:
            return None
        quantiles = float(ndtri(self.confidence) + ndtri(POWER))
        rows = int(np.ceil((quantiles * float(losses.std()) / margin) ** 2)) + 20
        random = np.random.default_rng(0)
        while rows < MOST_RESAMPLED:
            drawn = random.choice(losses, (rows, RESAMPLES))
            if hedged_bet(drawn, self.bound, 1 - self.confidence, self.keep).mean() >= POWER:
                return rows
            rows = int(np.ceil(STEP * rows))
        return rows


def candidates(manifest: Manifest, promise: Promise) -> list[OperatingPoint]:
    """The points to test, from the safest to the cheapest, by nothing but what training knew.

    They are the penalties of the artifact's curve and some between; or, where its guard lets the router
    decide nowhere, the mixes that it puts in its place.
    """
    if any(point.rule == "router" for point in manifest.curve):
        penalties = _filled(np.unique([point.penalty for point in manifest.curve])[:, None])[:, 0]
        nobody = (0.0,) * len(manifest.ladder)
        return [_point(promise, "router", penalty, nobody) for penalty in penalties.tolist()]
    ordered = sorted(manifest.curve, key=lambda point: (-point.quality, point.cost))
    shares = _filled(np.array(list(dict.fromkeys(point.shares for point in ordered))))
    return [_point(promise, "fixed", 0.0, tuple(row)) for row in shares.tolist() if row[-1] < 1]


def cheapest(
    points: Sequence[OperatingPoint],
    probabilities: Floats,
    outcomes: Floats,
    relative_cost: Floats,
    promise: Promise,
) -> tuple[OperatingPoint, int]:
    """The last of the points that are shown to keep the promise, and how many were tested.

    Args:
        points: from safe to cheap.
        probabilities, outcomes: [n, K], of rows in an order that tells nothing.
        relative_cost: what the policy weighs, of tiers [K] or of each prompt [n, K].

    Raises:
        DataError: there is none; the message says how many rows would be needed.
    """
    passed = 0
    for start in range(0, len(points), BLOCK):
        some = points[start : start + BLOCK]
        own = own_outcomes(some, probabilities, outcomes, relative_cost)
        shown = promise.shown(promise.losses(outcomes, own))
        passed += len(some) if shown.all() else int(shown.argmin())
        if not shown.all():
            break
    if not passed:
        own = own_outcomes(points[:1], probabilities, outcomes, relative_cost)
        raise DataError(_too_few(outcomes, own, promise))
    return points[passed - 1], min(passed + 1, len(points))


def own_outcomes(
    points: Sequence[OperatingPoint], probabilities: Floats, outcomes: Floats, relative_cost: Floats
) -> Floats:
    """The outcomes that points of one rule give, of those that draw the expected ones: [n, L]."""
    if points[0].rule == "fixed":
        drawn: Floats = outcomes @ np.array([point.shares for point in points]).T
        return drawn
    penalties = np.array([point.penalty for point in points])
    said = probabilities.astype(np.float32).astype(np.float64)  # as the policy reads them
    own: Floats = np.take_along_axis(outcomes, choose(said, relative_cost, penalties), axis=1)
    return own


def _too_few(outcomes: Floats, own: Floats, promise: Promise) -> str:
    """Why the safest point, of outcomes ``own`` [n, 1], was not shown to keep the promise, and a cure."""
    losses, lost = promise.losses(outcomes, own)[:, 0], promise.lost(outcomes, own[:, 0])
    says = (
        f"no point of this router is shown to lose at most {promise.max_loss:g} at confidence "
        f"{promise.confidence:g}: the safest one loses {lost:.4f} on {len(losses)} prompts"
    )
    needed = promise.rows_needed(losses)
    if needed is None:
        return f"{says}; allow more with --max-loss, or train a router that loses less"
    by = "" if promise.test == "hedged-bet" else " by --test hedged-bet"
    return f"{says}; about {needed} such prompts would show it{by}"


def _filled(rows: Floats) -> Floats:
    """The rows [L, M] with some between each two, on the straight line."""
    steps = np.arange(0, len(rows) - 1 + 1e-9, 1 / BETWEEN)
    return np.column_stack([np.interp(steps, np.arange(len(rows)), column) for column in rows.T])


def _point(promise: Promise, rule: Rule, penalty: float, shares: tuple[float, ...]) -> OperatingPoint:
    return OperatingPoint("certified", promise.max_loss, rule, penalty, shares, 0.0, 0.0)
