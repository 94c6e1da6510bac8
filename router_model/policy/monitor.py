"""Whether traffic still is what was certified: a gambler who stakes play money on feedback that it is not.

Three sentences. The certificate says in which interval the mean of a few statistics lies: how good answers
are, how much worse than predicted, how good the strongest tier is expected to be, how long prompts are; and,
where the strongest tier's answer was judged too, that the loss keeps to the promise. On each item of feedback
the monitor stakes a little of its capital of 1 on each of these being broken, which gains nothing on average
while all hold. So the capital reaches 1 / ``error`` with a probability of ``error`` at most, however long one
looks (Ville 1939), and where it does, the certificate is revoked.

The null hypothesis, precisely: given all items before, the mean of each statistic of the next item is within
its claim's interval, widened by ``tolerance`` standard deviations. Items need not be independent. Stakes are
fixed shares of what is at risk (Waudby-Smith and Ramdas 2024 mix such); a part of the capital that shrinks as
1 / items is moved to each stake anew, so that a shift that comes late is met with more than what is left of
the old stakes (Herbster and Warmuth 1998).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from router_model.errors import ConfigError
from router_model.policy.certificate import Certificate, Claim

RATES = (0.1, 0.3, 0.9)  # of the most that may be staked: for slight, middling and strong shifts
IDLE = 0.5  # the part of the capital that is kept out of the game
TOLERANCE = 0.05  # standard deviations that a mean may drift, as no traffic stays quite the same
UPWARDS, DOWNWARDS = 1, -1


@dataclass(frozen=True, slots=True)
class Feedback:
    """What is known of one request that the certified point decided.

    Attributes:
        outcome: of the answer, in [0, 1].
        expected: probability that the chosen tier is sufficient.
        strongest: probability that the strongest tier is.
        characters: of the prompt.
        strongest_outcome: of the strongest tier's answer, where it was asked and judged as well: of requests
            drawn at random, those that it answered anyway among them.
    """

    outcome: float
    expected: float
    strongest: float
    characters: int
    strongest_outcome: float | None = None


def doublings(characters: int) -> float:
    """The length of a prompt, as a logarithm to base 2."""
    return math.log2(1 + characters)


def statistics(item: Feedback, lengths: tuple[int, int]) -> dict[str, float]:
    """The statistics of one item that claims speak of, each in [0, 1].

    Args:
        lengths: ``doublings`` that count as length 0 and 1, as do all that are below and above.
    """
    shortest, longest = lengths
    length = (doublings(item.characters) - shortest) / (longest - shortest)
    return {
        "outcome": item.outcome,
        "shortfall": (1 + item.expected - item.outcome) / 2,
        "strongest": item.strongest,
        "length": min(1.0, max(0.0, length)),
    }


@dataclass(frozen=True, slots=True)
class Bet:
    """That the mean of a statistic lies beyond ``bar``: above it (``way`` 1) or below (-1)."""

    statistic: str
    way: int
    bar: float

    def gain(self, value: float) -> float:
        """What a stake of 1 wins or loses, -1 at least."""
        at_risk = self.bar if self.way == UPWARDS else 1 - self.bar
        return self.way * (value - self.bar) / at_risk


@dataclass(frozen=True, slots=True)
class Monitor:
    """The state of the game; ``after`` gives the next.

    Attributes:
        bets: what is staked on.
        lengths: of ``statistics``.
        error: probability of revoking a certificate whose claims hold.
        keep: of the strongest tier's outcome, to which a loss is counted; 1 where losses are absolute.
        items: seen.
        idle: capital that is not staked.
        stakes: capital on each bet at each of ``RATES``.
    """

    bets: tuple[Bet, ...]
    lengths: tuple[int, int]
    error: float
    keep: float
    items: int
    idle: float
    stakes: tuple[float, ...]

    @classmethod
    def of(cls, certificate: Certificate, error: float = 0.05, tolerance: float = TOLERANCE) -> "Monitor":
        """A monitor of a certificate that has seen nothing; as ``watching``."""
        relative, most = certificate.relative, certificate.max_loss
        keep, bound = (1 - most, 0.0) if relative else (1.0, most)
        loss = Bet("loss", UPWARDS, (1 + bound) / 2)
        claims, taken = certificate.claims, certificate.claims_error
        return cls.watching(claims, certificate.lengths, error, taken, tolerance, also=(loss,), keep=keep)

    @classmethod
    def watching(
        cls,
        claims: Sequence[Claim],
        lengths: tuple[int, int],
        error: float,
        claims_error: float,
        tolerance: float = TOLERANCE,
        *,
        also: Sequence[Bet] = (),
        keep: float = 1.0,
    ) -> "Monitor":
        """A monitor of claims.

        Args:
            lengths: that the claim of length is made in.
            error: probability of a false alarm at most, in (0, 1), that of the claims' intervals included.
            claims_error: the part of it that these take.
            tolerance: of drifts in the mean of a statistic, in standard deviations, 0 or more.

        Raises:
            ConfigError: ``error`` is not above ``claims_error``, or not below 1.
        """
        if not claims_error < error < 1:
            raise ConfigError(
                f"an error of {error:g} of the monitor: give one above {claims_error:g} and below 1"
            )
        bets = list(also)
        for claim in claims:
            slack = tolerance * claim.deviation
            if claim.statistic != "outcome":  # better answers are no reason to revoke
                bets.append(Bet(claim.statistic, UPWARDS, claim.high + slack))
            if claim.statistic != "shortfall":
                bets.append(Bet(claim.statistic, DOWNWARDS, claim.low - slack))
        bets = [bet for bet in bets if 0 < bet.bar < 1]
        stakes = len(bets) * len(RATES)
        return cls(tuple(bets), lengths, error - claims_error, keep, 0, IDLE, ((1 - IDLE) / stakes,) * stakes)

    @property
    def capital(self) -> float:
        """1 at the start; a nonnegative supermartingale while the claims hold."""
        return self.idle + sum(self.stakes)

    @property
    def revoked(self) -> bool:
        """Whether traffic is shown not to be what was certified."""
        return self.capital >= 1 / self.error

    @property
    def reason(self) -> str:
        """The statistic that most was won on, and which way it went."""
        count = len(RATES)
        won = [sum(self.stakes[count * k : count * (k + 1)]) for k in range(len(self.bets))]
        bet = self.bets[max(range(len(won)), key=won.__getitem__)]
        return f"{bet.statistic} is {'above' if bet.way == UPWARDS else 'below'} what was certified"

    def after(self, item: Feedback) -> "Monitor":
        """The state after one more item; a revoked certificate stays revoked."""
        if self.revoked:
            return self
        values = statistics(item, self.lengths)
        if item.strongest_outcome is not None:
            values["loss"] = (1 + self.keep * item.strongest_outcome - item.outcome) / 2
        stakes, place = [], 0
        for bet in self.bets:
            value = values.get(bet.statistic)
            gain = 0.0 if value is None else bet.gain(value)
            for rate in RATES:
                stakes.append(self.stakes[place] * (1 + rate * gain))
                place += 1
        capital = self.idle + sum(stakes)
        if capital >= 1 / self.error:
            return replace(self, items=self.items + 1, stakes=tuple(stakes))
        anew = 1 / (self.items + 2)
        kept, fresh = 1 - anew, anew * capital * (1 - IDLE) / len(stakes)
        return replace(
            self,
            items=self.items + 1,
            idle=kept * self.idle + anew * capital * IDLE,
            stakes=tuple(kept * stake + fresh for stake in stakes),
        )
