"""The budget that the gateway's dial paces: one price for all workers, moved by what answers cost.

The policy is ``router_model.policy.pace``; here are the clock, the terms, and what workers tell each other.
While nobody can be heard, each takes the others to spend as it does itself, so that the price stays theirs,
and tells them afterwards what it spent.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from router_model.policy.demand import Demand
from router_model.policy.pace import Pace, Term, Totals
from router_model.policy.rule import Priced, Rule
from router_model.policy.term import midnight_before, term_at
from router_model.policy.traffic import Profile, Traffic
from router_model.serving.gateway.config.dial import Dial
from router_model.serving.gateway.ticks import Ticks
from router_model.serving.gateway.told import Learnt, Store, Told

TICK_SECONDS = 1.0  # between two looks at what the others did
ALIVE_SECONDS = 30.0  # a worker that is silent for so long has ended
SAMPLE = 16  # one decision in so many tells what its half-hour would cost at other prices


class Pacer:
    """A gateway's paced budget, as one of its workers keeps it.

    Args:
        dial: with ``usd`` and ``per``.
        strongest_usd: US dollars that a call of the strongest tier costs, about.
        price: to begin with, in quality per US dollar, where nothing is known of the days before.
        store: where workers tell each other.
        clock: seconds since 1970.
        workers: that share the budget, where nobody has been heard yet.
        since: the pacer before, at a reload that moved the store.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        strongest_usd: float,
        price: float,
        store: Store,
        clock: Callable[[], float] = time.time,
        workers: int = 1,
        since: "Pacer | None" = None,
    ) -> None:
        self._dial, self._store, self._clock, self._workers = dial, store, clock, workers
        self._worker, self._since = secrets.token_hex(8), clock()
        self._known: dict[str, Told] = {}
        self._decisions = 0
        self._ticks = Ticks(self.tick, TICK_SECONDS)
        term = _term(dial, self._since)
        profile = Profile.even(dial.requests_per_day) if dial.requests_per_day else Profile()
        traffic = Traffic.begun(profile, midnight_before(dial.zone, self._since), self._since)
        self.state = Pace.begun(term, traffic, strongest_usd=strongest_usd, price=price)

        if since is not None:
            self._learn(since._learnt())
            self._hear([*since._known.values(), since.told()])

    async def open(self) -> None:
        """See what was spent and learnt; from then on look, and tell, once a second.

        Raises:
            GatewayConfigError: the file of what was spent cannot be read.
        """
        told, learnt = await self._store.open(self.state.plan.term.start)
        self._learn(learnt)
        self._hear(told)
        await self.tick()
        self._ticks.start()

    async def close(self) -> None:
        """Tell what is still to be told."""
        if await self._ticks.stop():
            await self.tick()

    def retune(self, dial: Dial) -> None:
        """Go on under another dial; what was spent stays spent, where the term is the same."""
        self._dial = dial
        now = self._clock()
        term, plan = _term(dial, now), self.state.plan
        if (term.start, term.end, term.lot) != (plan.term.start, plan.term.end, plan.term.lot):
            self._renew(now)
        else:
            self.state = self.state.under(term).planned(now)

    def priced(self, dearer: float, usd_per_second: float, seconds: tuple[float, ...]) -> Priced:
        """What decides the next request; ``dearer`` is added to the price, in quality per US dollar."""
        return Priced(self.state.price + dearer, usd_per_second, seconds)

    def watched(self, rule: Rule) -> Rule:
        """The same rule, which each so many times tells what it decided about: a sample is enough."""
        self._decisions += 1
        return _Sampled(rule, self) if self._decisions % SAMPLE == 0 else rule

    def sample(self, sufficiency: Sequence[float], usd: Sequence[float]) -> None:
        """A request of such probabilities and expected costs [K] is decided."""
        self.state = self.state.sampled(sufficiency, usd)

    def spent(self, usd: float) -> None:
        """An answer has cost so much."""
        now = self._clock()
        self._turn(now)
        self.state = self.state.after(usd, now)

    def told(self) -> Told:
        """This worker's part."""
        state = self.state
        return Told(
            self._worker,
            self._since,
            self._clock(),
            state.plan.term.start,
            state.plan.base,
            state.usd,
            state.requests,
            state.moved,
        )

    async def tick(self) -> None:
        """Turn to the next term where one has ended, reckon anew, tell, and hear."""
        now = self._clock()
        self._turn(now)
        if now >= self.state.plan.due:
            self.state = self.state.planned(now)
        heard = await self._store.exchange(self.told(), self._known, self._learnt())
        if heard is not None:
            self._hear(heard)
        elif not self.state.plan.siblings:
            alive = [t for t in self._known.values() if t.at >= now - ALIVE_SECONDS]
            siblings = len(alive) if self._known else self._workers - 1
            self.state = self.state.heard(self.state.elsewhere, siblings=siblings)

    def _hear(self, heard: list[Told]) -> None:
        own = self.told()
        for told in heard:
            known = self._known.get(told.worker)
            news = known is None or told.requests >= known.requests
            if news and told.worker != self._worker and told.start == own.start:
                self._known[told.worker] = told
        others = self._known.values()
        first = min((*others, own), key=lambda told: (told.since, told.worker))
        totals = Totals(
            sum(told.usd for told in others),
            sum(told.requests for told in others),
            sum(told.moved for told in others),
        )
        self.state = self.state.heard(totals, base=first.base)

    def _turn(self, now: float) -> None:
        if now >= self.state.plan.term.end:
            self._renew(now)

    def _renew(self, now: float) -> None:
        self.state = self.state.renewed(_term(self._dial, now), now)
        self._known = {}

    def _learnt(self) -> Learnt:
        profile, demand = self.state.plan.traffic.profile, self.state.demand.usual
        return Learnt(profile.days, profile.requests, demand, self.state.usual_level)

    def _learn(self, learnt: Learnt) -> None:
        now = self._clock()
        if learnt.days:
            self.state = self.state.taught(
                Profile(learnt.requests, learnt.days), Demand(learnt.demand), learnt.level, now
            )


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A rule that also tells the pacer what it decided about."""

    rule: Rule
    pacer: Pacer

    def __call__(self, sufficiency: Sequence[float], usd: Sequence[float]) -> int:
        self.pacer.sample(sufficiency, usd)
        return self.rule(sufficiency, usd)

    def __str__(self) -> str:
        return str(self.rule)


def _term(dial: Dial, now: float) -> Term:
    return term_at(dial.usd or 0.0, dial.per, dial.zone, now)
