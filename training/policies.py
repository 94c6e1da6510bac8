"""Policies that a log is replayed with: what each would have decided for the log's requests.

A policy with a memory decides in the order of the log's times, and goes by what it would have chosen itself:
what a chosen answer costs is what the router expects. What the log's conversations and times were stays as it
was, though other answers might have changed it, and no record tells whether tools were waited for.

N: requests, K: tiers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from router_model.data.records import Record
from router_model.decision import Decisions
from router_model.errors import ConfigError
from router_model.policy.curve import OperatingPoint
from router_model.policy.pace import Pace, Term
from router_model.policy.rule import Priced, Rule
from router_model.policy.session import Session, Terms
from router_model.policy.term import lot_of, term_at, zone_of
from router_model.policy.traffic import Profile, Traffic
from router_model.router import Router
from router_model.training.conversations import Caches, Conversations, in_order, name_of

Tiers = NDArray[np.int64]
MOST_USD = 1e12
SAMPLE = 16  # one request in so many tells a pace of the demand, as in the gateway


class Policy(Protocol):
    """Decides for a whole log; its ``str`` says by what, in a few words."""

    def __call__(self, requests: Sequence[Record], said: Decisions) -> Tiers:
        """Positions of the tiers, int64 [N].

        Args:
            said: what the router says of the requests, whose probabilities and expected costs count.

        Raises:
            DataError: requests lack what the policy goes by.
        """
        ...


@dataclass(frozen=True)
class ByRule:
    """A rule without a memory."""

    rule: Rule

    def __call__(self, requests: Sequence[Record], said: Decisions) -> Tiers:
        """As ``Policy``."""
        return np.array([self.rule(*row) for row in _rows(said)], np.int64)

    def __str__(self) -> str:
        return str(self.rule)


@dataclass(frozen=True)
class Paced:
    """A budget over time (policy/pace.py), with nothing known of the traffic before.

    Attributes:
        term_at: the term that a time, seconds since 1970, is in.
    """

    term_at: Callable[[float], Term]

    def __call__(self, requests: Sequence[Record], said: Decisions) -> Tiers:
        """As ``Policy``; requests need a timestamp."""
        times, order = in_order(requests)
        chosen, rows, pace = np.empty(len(times), np.int64), _rows(said), None
        usual = float(said.expected_cost_at(np.full(len(said), len(said.offers) - 1)).mean())
        for number, row in enumerate(order):
            at, (sufficiency, usd) = times[row], rows[row]
            term = self.term_at(at)
            if pace is None:
                traffic = Traffic.begun(Profile(), term.start, at)
                pace = Pace.begun(term, traffic, strongest_usd=usual)
            elif at >= pace.plan.term.end:
                pace = pace.renewed(term, at)
            if number % SAMPLE == 0:
                pace = pace.sampled(sufficiency, usd)
            chosen[row] = tier = pace.rule()(sufficiency, usd)
            pace = pace.after(usd[tier], at)
        return chosen

    def __str__(self) -> str:
        return "a paced budget"


@dataclass(frozen=True)
class InSessions:
    """Conversations stay on their tier unless the gain is worth the switch (policy/session.py).

    Attributes:
        terms: what turns cost at each tier.
        penalty: in quality for what a turn costs at the strongest tier; or
        dollar: in quality for a US dollar, where that is given.
        answer_usd: what an answer costs at the strongest tier.
    """

    terms: Terms
    penalty: float = 0.0
    dollar: float | None = None
    answer_usd: float = 0.0

    def __call__(self, requests: Sequence[Record], said: Decisions) -> Tiers:
        """As ``Policy``; requests need a timestamp, and those without a session are one each."""
        times, order = in_order(requests)
        chosen, rows = np.empty(len(times), np.int64), _rows(said)
        begun = Session.begun(len(said.offers))
        known: dict[tuple[str | None, str], Session] = {}
        for row in order:
            request, at, (sufficiency, usd) = requests[row], times[row], rows[row]
            tokens, name = int(said.input_tokens[row]), name_of(request)
            session = known.get(name, begun) if name else begun
            price = self.dollar
            if price is None:
                price = self.penalty / self.terms.strongest_usd(tokens, self.answer_usd)
            rule = session.rule(Priced(price), self.terms, tokens=tokens, at=at)
            chosen[row] = tier = rule(sufficiency, usd)
            if name:
                known[name] = session.after(tier, sufficiency, self.terms, tokens=tokens, at=at)
        return chosen

    def followed(self, requests: Sequence[Record], said: Decisions, tiers: Tiers) -> Conversations:
        """What these choices, int64 [N], do to the conversations; raises as a call does."""
        return Conversations.followed(requests, said.input_tokens.tolist(), tiers.tolist(), self.terms)

    def __str__(self) -> str:
        return f"turns of conversations, {self._price()}"

    def _price(self) -> str:
        if self.dollar is not None:
            return str(Priced(self.dollar))
        return f"a turn at the strongest tier is {self.penalty:.3g} of quality"


def policy_of(
    router: Router,
    *,
    quality: float | None = None,
    budget: float | None = None,
    worth_usd: float | None = None,
    usd: float | None = None,
    per: str = "day",
    zone: str = "UTC",
    caches: Caches | None = None,
) -> Policy | None:
    """The policy of such wishes, or None where the operating curve decides.

    Args:
        quality, budget: a dial of the router, whose penalty conversations go by.
        worth_usd: what an answer that suffices is worth, above 0.
        usd: dollars to spend ``per`` day or month of ``zone``, or per so many requests, above 0.
        caches: conversations stay on their tier, where given.

    Raises:
        ConfigError: wishes that exclude each other, or are out of range.
    """
    wishes = {"--quality": quality, "--budget": budget, "--worth-usd": worth_usd, "--usd": usd}
    given = [name for name, value in wishes.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"{given[0]} and {given[1]} exclude each other; give one")
    for name in ("--worth-usd", "--usd"):
        value = wishes[name]
        if value is not None and not 0 < value < MOST_USD:
            raise ConfigError(f"{name} {value:g}: give US dollars above 0")
    if usd is not None:
        if caches is not None:
            raise ConfigError("--usd and --sessions cannot be replayed together; give one")
        if per not in ("day", "month") and lot_of(per) is None:
            raise ConfigError(
                f"--per {per!r:.40}: give day, month, or 100 requests or more, as 1000 requests"
            )
        if zone_of(zone) is None:
            raise ConfigError(f"--zone {zone!r:.40}: no such time zone here; give a name, such as UTC")
        return Paced(partial(term_at, usd, per, zone))
    if caches is not None:
        return _in_sessions(router, router.policy.point(quality, budget), worth_usd, caches)
    return ByRule(Priced(1 / worth_usd)) if worth_usd else None


def _in_sessions(
    router: Router, point: OperatingPoint, worth_usd: float | None, caches: Caches
) -> InSessions:
    terms = caches.terms(router.ladder)
    if worth_usd is not None:
        return InSessions(terms, dollar=1 / worth_usd)
    if point.dial == "certified":
        raise ConfigError(
            "the router's default is its certified point, which decides turn by turn in the gateway; give "
            "--quality, --budget or --worth-usd to see what conversations would do"
        )
    if point.rule != "router":
        raise ConfigError(
            f"{point.dial}={point.value:g} has fixed shares of tiers ({point.note or 'by the guard'}), which "
            "no conversation moves; give --worth-usd, or another dial"
        )
    answer = router.artifact.manifest.output_tokens[-1]
    return InSessions(terms, point.penalty, answer_usd=router.ladder.tiers[-1].cost_usd(0, answer))


def _rows(said: Decisions) -> list[tuple[list[float], list[float]]]:
    """Probabilities and expected dollars of each request."""
    tiers = range(len(said.offers))
    usd = np.stack([said.expected_cost_at(np.full(len(said), tier)) for tier in tiers], axis=1)  # [N, K]
    return list(zip(said.sufficiency.tolist(), usd.tolist(), strict=True))
