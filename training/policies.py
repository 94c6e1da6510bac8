"""Policies that a log is replayed with: what each would have decided for the log's requests.

A policy with a memory decides in the order of the log's times, and goes by what it would have chosen itself:
what a chosen answer costs is what the router expects. What the log's conversations and times were stays as it
was, though other answers might have changed it, and no record tells whether tools were waited for.

N: requests, K: tiers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from router_model.data.formats.values import seconds as seconds_of
from router_model.data.labels import CHARACTERS_PER_TOKEN
from router_model.data.records import Record
from router_model.decision import Decisions
from router_model.errors import DataError
from router_model.policy.pace import Pace, Term
from router_model.policy.rule import Priced, Rule
from router_model.policy.session import Session, Terms
from router_model.policy.traffic import Profile, Traffic

Tiers = NDArray[np.int64]


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
        times = _times(requests)
        chosen, rows, pace = np.empty(len(times), np.int64), _rows(said), None
        usual = float(said.expected_cost_at(np.full(len(said), len(said.offers) - 1)).mean())
        for row in np.argsort(times, kind="stable").tolist():
            at, (sufficiency, usd) = float(times[row]), rows[row]
            term = self.term_at(at)
            if pace is None:
                traffic = Traffic.begun(Profile(), term.start, at)
                pace = Pace.begun(term, traffic, strongest_usd=usual)
            elif at >= pace.plan.term.end:
                pace = pace.renewed(term, at)
            chosen[row] = tier = pace.rule()(sufficiency, usd)
            pace = pace.after(usd[tier], at)
        return chosen

    def __str__(self) -> str:
        return "a paced budget"


@dataclass(frozen=True)
class InSessions:
    """Conversations stay on their tier unless the gain is worth the switch (policy/session.py).

    Attributes:
        base: what a dollar is worth in quality.
        terms: what turns cost at each tier.
    """

    base: Priced
    terms: Terms

    def __call__(self, requests: Sequence[Record], said: Decisions) -> Tiers:
        """As ``Policy``; requests need a timestamp, and those without a session are one each."""
        times = _times(requests)
        chosen, rows = np.empty(len(times), np.int64), _rows(said)
        begun = Session.begun(len(said.offers))
        known: dict[str, Session] = {}
        for row in np.argsort(times, kind="stable").tolist():
            request, at, (sufficiency, usd) = requests[row], float(times[row]), rows[row]
            tokens = _tokens(request, int(said.characters[row]))
            session = known.get(request.session or "", begun) if request.session else begun
            rule = session.rule(self.base, self.terms, tokens=tokens, at=at)
            chosen[row] = tier = rule(sufficiency, usd)
            if request.session:
                after = session.after(tier, sufficiency, self.terms, tokens=tokens, at=at)
                known[request.session] = after
        return chosen

    def __str__(self) -> str:
        return f"turns of conversations, {self.base}"


def _rows(said: Decisions) -> list[tuple[list[float], list[float]]]:
    """Probabilities and expected dollars of each request."""
    tiers = range(len(said.offers))
    usd = np.stack([said.expected_cost_at(np.full(len(said), tier)) for tier in tiers], axis=1)  # [N, K]
    return list(zip(said.sufficiency.tolist(), usd.tolist(), strict=True))


def _times(requests: Sequence[Record]) -> NDArray[np.float64]:
    """Seconds since 1970 [N]; raises DataError."""
    times = [seconds_of(request.timestamp) for request in requests]
    missing = sum(time is None for time in times)
    if missing:
        raise DataError(
            f"{missing} of {len(times)} requests have no timestamp, and the policy goes by time; give all one"
        )
    return np.array(times, np.float64)


def _tokens(request: Record, characters: int) -> int:
    """Of the prompt, as logged, or else estimated."""
    return int(request.input_tokens or characters / CHARACTERS_PER_TOKEN)
