"""Conversations of a log: which turns changed their tier, and what providers' prompt caches made of it.

N: requests, K: tiers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.formats.values import seconds as seconds_of
from router_model.data.records import Record
from router_model.errors import ConfigError, DataError
from router_model.ladder import Ladder
from router_model.policy.session import InputPrice, Outlook, Session, Terms

MOST_TIMES = 10.0


@dataclass(frozen=True)
class Caches:
    """What providers ask for prompts that they keep.

    Attributes:
        cached, written: price of an input token that is read from the cache, or written to it, as shares of
            a plain one's, from 0 to 10.
        seconds: for which a prompt is kept, 0 or more.
    """

    cached: float = 0.1
    written: float = 1.25
    seconds: float = 300.0

    def __post_init__(self) -> None:
        for name in ("cached", "written"):
            if not 0 <= getattr(self, name) <= MOST_TIMES:
                raise ConfigError(f"--{name} {getattr(self, name):g}: give a share from 0 to {MOST_TIMES:g}")
        if not 0 <= self.seconds < float("inf"):
            raise ConfigError(f"--cache-seconds {self.seconds:g}: give 0 or more")

    def terms(self, ladder: Ladder) -> Terms:
        """What turns cost at the ladder's prices."""
        prices = [tier.input_usd_per_million * 1e-6 for tier in ladder.tiers]
        return Terms(
            [InputPrice(p, p * self.cached, p * self.written, self.seconds) for p in prices], Outlook()
        )


@dataclass(frozen=True)
class Conversations:
    """What choices of tiers do to a log's conversations.

    Attributes:
        later: bool [N], turns that one of the same conversation came before.
        moved: bool [N], of them, those on another tier than the one before.
        cache_usd: float64 [N], what prompt caches add to a request's cost at plain prices, below 0 where
            they spare; 0 for requests of no conversation.
    """

    later: NDArray[np.bool_]
    moved: NDArray[np.bool_]
    cache_usd: NDArray[np.float64]

    @classmethod
    def followed(
        cls, requests: Sequence[Record], input_tokens: Sequence[float], tiers: Sequence[int], terms: Terms
    ) -> "Conversations":
        """Follow each conversation in the order of its times; raises as ``in_order`` does.

        Args:
            input_tokens: of each request [N].
            tiers: positions [N].
        """
        times, order = in_order(requests)
        later, moved = np.zeros(len(times), np.bool_), np.zeros(len(times), np.bool_)
        cache_usd = np.zeros(len(times))
        begun = Session.begun(len(terms.prices))
        nothing, known = begun.sufficiency, dict[tuple[str | None, str], Session]()
        for row in order:
            name, tier, at = name_of(requests[row]), tiers[row], times[row]
            if name is None:
                continue
            session, tokens = known.get(name, begun), int(input_tokens[row])
            later[row], moved[row] = session.turns > 0, session.turns > 0 and session.tier != tier
            cache_usd[row] = session.cache_usd(tier, terms, tokens=tokens, at=at)
            known[name] = session.after(tier, nothing, terms, tokens=tokens, at=at)
        return cls(later, moved, cache_usd)

    @property
    def moved_share(self) -> float:
        """Share of later turns that changed their tier, in [0, 1]; 0 where there are none."""
        return float(self.moved.sum() / max(1, self.later.sum()))


def name_of(request: Record) -> tuple[str | None, str] | None:
    """Which conversation a request is of: a session of its tenant; None where it is of none."""
    return (request.tenant, request.session) if request.session else None


def in_order(requests: Sequence[Record]) -> tuple[list[float], list[int]]:
    """Seconds since 1970 of each request [N], and their rows by time.

    Raises:
        DataError: some have no timestamp.
    """
    times = [seconds_of(request.timestamp) for request in requests]
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        raise DataError(
            f"{len(times) - len(known)} of {len(times)} requests have no timestamp, and the policy goes by "
            "time; give all one"
        )
    return known, np.argsort(known, kind="stable").tolist()
