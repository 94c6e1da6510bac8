"""A budget over time: an online primal-dual price on cost.

For one price, the tier of the greatest sufficiency less price times cost is the best use of one budget (the
Lagrangian of a knapsack). Which price that is depends on traffic that has not come yet, so it is learnt as
answers end, by dual mirror descent (Balseiro, Lu & Mirrokni 2020, arXiv 2011.10124): its gradient is what an
answer cost less what each may cost. What each may cost is the budget that is left over the requests that are
expected, and is reckoned anew each minute, so that what was spent too much or too little is made good evenly.

With level y, price p, cost c of an answer and what each may cost r:

    y <- clip(y + gain (c - r), 0, MOST_LEVEL),    p = scale (exp(y) - 1)

The mirror map is entropy shifted by ``scale``: far above it a step changes the price by a factor, near 0 by a
sum, so that the price gets to 0 where the budget is more than can be spent, and leaves it as quickly.

The level is a sum of steps, so several workers have one price without asking each other first: each adds up
its own steps, and the sums of all make the level. Costs count when they are known; times and what the others
did come in as arguments, and the same arguments give the same state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import expm1, inf, log1p
from operator import mul
from typing import NamedTuple

from router_model.policy.demand import Demand, spread
from router_model.policy.rule import Priced
from router_model.policy.traffic import SLOTS, Profile, Traffic

MOST_LEVEL = 16.0
MOST_PRICE = 1e12  # quality per US dollar: the cheapest tier, whatever the probabilities say
SCALE = 0.03  # quality that a call of the strongest tier is priced at: far less hardly changes a choice
STEP = 0.5  # of the level, at most: one dear answer is one answer
LEARNING_SHARE = 0.01  # of the requests of a term, in which the price adapts
LEFT_SHARE = 1 / 16  # of those that are left, where that is less: or it would swing about the budget
FEWEST = 20.0  # requests in which it adapts
PLAN_SECONDS = 60.0  # between two reckonings of what each request may cost, or
PLAN_SHARE = 0.01  # this share of the time that is left, or
PLAN_REQUESTS = 0.001  # this share of the requests of a term, or
PLAN_LOT = 0.02  # of a lot of them
# Bursts come that nobody foresees. Where money is tight, what was spent before them is missed: the requests
# that are expected are taken to be 1 + CARE times as many, and more when few are left, of which a burst is a
# larger part. Where there is as much as price 0 spends, what is left over soon cannot be spent: they are
# taken to be 1 - EAGER times as many. In between it is in between.
CARE = 0.2
CARE_POWER = -0.2  # of the share of the term's requests that are left
EAGER = 0.06


@dataclass(frozen=True, slots=True)
class Term:
    """What may be spent from ``start`` to ``end``, seconds since 1970.

    Attributes:
        usd: US dollars, above 0: in all, or for each ``lot`` of requests.
        start, end: of the time.
        lot: requests that ``usd`` is for; None where it is for all.
    """

    usd: float
    start: float
    end: float
    lot: float | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What workers did in a term.

    Attributes:
        usd: that answers cost.
        requests: that were answered.
        moved: sum of the steps of the level.
    """

    usd: float = 0.0
    requests: float = 0.0
    moved: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What stays from one reckoning to the next.

    Attributes:
        term: what may be spent.
        traffic: requests so far, and to come.
        scale: of the price, in quality per US dollar.
        base: level at which the term began.
        target: US dollars that each request may cost.
        gain: step of the level per US dollar; 0 while nothing is known of the traffic.
        most: US dollars at which all is spent.
        due: time of the next reckoning.
        due_requests: of this worker, at which it is due as well.
        left: requests that are expected in what is left of the term, or the lot.
        forgiven: US dollars that were not spent on earlier lots, and are not to be made good.
        sum: over requests, of the level at which they were decided.
        siblings: workers that are taken to do as this one does, since it does not hear of them.
    """

    term: Term
    traffic: Traffic
    scale: float
    base: float
    target: float = 0.0
    gain: float = 0.0
    most: float = inf
    due: float = -inf
    due_requests: float = 0.0
    left: float = 0.0
    forgiven: float = 0.0
    sum: float = 0.0
    siblings: int = 0


class Pace(NamedTuple):  # built for each answer, which takes a frozen dataclass a microsecond longer
    """A term's budget on its way: ``rule`` decides the next request, ``after`` is the state after an answer.

    Attributes:
        plan: reckoned each minute.
        usd, requests, moved: this worker's part of the totals.
        elsewhere: what the others did, as last heard.
        price: on cost, in quality per US dollar, from 0 to ``MOST_PRICE``.
        demand: what each half-hour would cost at each price.
    """

    plan: Plan
    usd: float = 0.0
    requests: float = 0.0
    moved: float = 0.0
    elsewhere: Totals = Totals()
    price: float = 0.0
    demand: Demand = Demand()

    @classmethod
    def begun(
        cls,
        term: Term,
        traffic: Traffic,
        *,
        strongest_usd: float,
        price: float = 0.0,
        demand: Demand = Demand(),  # noqa: B008
    ) -> "Pace":
        """The state before the first answer.

        Args:
            strongest_usd: US dollars that a call of the strongest tier costs, about.
            price: to begin with.
            demand: as learnt from the days before.
        """
        scale = SCALE / strongest_usd
        return cls(Plan(term, traffic, scale, log1p(price / scale)), price=price, demand=demand)

    def rule(self, usd_per_second: float = 0.0, seconds: tuple[float, ...] = ()) -> Priced:
        """What decides the next request; a second of waiting may have a price too (``Priced``)."""
        return Priced(self.price, usd_per_second, seconds)

    def after(self, usd: float, at: float) -> "Pace":
        """An answer ended at ``at`` and has cost ``usd`` US dollars, 0 or more, in whichever tier."""
        pace = self
        if at >= pace.plan.due or pace.requests >= pace.plan.due_requests:
            pace = pace.planned(at)
        plan, elsewhere, moved = pace.plan, pace.elsewhere, pace.moved
        level = plan.base + moved + elsewhere.moved
        step = plan.gain * (usd - plan.target)
        to = level + (step if step < STEP else STEP)
        if to < 0.0:
            to = 0.0
        elif to > MOST_LEVEL:
            to = MOST_LEVEL
        if plan.siblings:
            elsewhere = _more(elsewhere, usd, to - level, plan.siblings)
        spent = pace.usd + usd
        price = plan.scale * expm1(to) if spent + elsewhere.usd < plan.most else MOST_PRICE
        return Pace(plan, spent, pace.requests + 1.0, moved + (to - level), elsewhere, price, pace.demand)

    def sampled(self, sufficiency: Sequence[float], usd: Sequence[float]) -> "Pace":
        """A request with such probabilities and expected costs [K] came; a sample of them is enough."""
        plan = self.plan
        return self._replace(
            demand=self.demand.sampled(plan.traffic.slot, SLOTS, plan.scale, sufficiency, usd)
        )

    def heard(self, elsewhere: Totals, *, base: float | None = None, siblings: int = 0) -> "Pace":
        """What the others did in this term.

        Args:
            elsewhere: their totals; or what was last known of them.
            base: level at which the term began, where another worker has the say.
            siblings: of them, those that cannot be heard now, and are taken to go on as this one does.
        """
        plan = replace(self.plan, siblings=siblings, base=self.plan.base if base is None else base)
        return self._replace(plan=plan, elsewhere=elsewhere)._priced()

    def planned(self, at: float) -> "Pace":
        """What each request may cost, reckoned anew; to be called now and then where no answers end."""
        plan = self.plan
        term, spent, level = plan.term, self.spent, self.level
        done = self.requests + self.elsewhere.requests
        traffic = plan.traffic.moved(at, done)
        demand = self.demand if traffic.midnight == plan.traffic.midnight else self.demand.after()
        summed = plan.sum + level * max(0.0, done - plan.traffic.requests)
        wait = max(0.1, min(PLAN_SECONDS, PLAN_SHARE * (term.end - at)))
        if term.lot:
            left, forgiven = term.lot, min(plan.forgiven, spent - term.usd * done / term.lot + term.usd)
            most = term.usd * (done / left + 1) + forgiven
            mean, pause = term.usd / left, PLAN_LOT * left
        else:
            left, forgiven, most = traffic.remaining(term.end), 0.0, term.usd
            mean, pause = term.usd / max(1.0, done + left), PLAN_REQUESTS * (done + left)
        target = gain = 0.0
        if left > 0:
            usd, part = max(0.0, most - spent), left / (done + left)
            target = usd / left if term.lot else _target(usd, left, part, traffic, term.end, demand)
            gain = 1 / (mean * max(FEWEST, min(LEARNING_SHARE * (done + left), LEFT_SHARE * left)))
        due_requests = self.requests + max(1.0, pause)
        plan = replace(
            plan,
            traffic=traffic,
            target=target,
            gain=gain,
            most=most,
            due=at + wait,
            due_requests=due_requests,
            left=left,
            forgiven=forgiven,
            sum=summed,
        )
        return self._replace(plan=plan, demand=demand)._priced()

    def renewed(self, term: Term, at: float) -> "Pace":
        """The state at the start of the next term: the usual price of the one before, and nothing spent."""
        whole = self.planned(at)
        past = whole.plan
        traffic = replace(past.traffic.turned(term.start), requests=0.0)
        demand = whole.demand if traffic.midnight == past.traffic.midnight else whole.demand.after()
        plan = Plan(term, traffic, past.scale, whole.usual_level, siblings=past.siblings)
        return Pace(plan, demand=demand)._priced()

    def under(self, term: Term) -> "Pace":
        """The same with another sum for the same time."""
        return self._replace(plan=replace(self.plan, term=term, due=-inf))

    def taught(self, profile: Profile, demand: Demand, level: float | None, at: float) -> "Pace":
        """The state before the first answer, with what others learnt of the days before."""
        traffic = Traffic.begun(profile, self.plan.traffic.midnight, at, self.plan.traffic.requests)
        base = self.plan.base if level is None else level
        return self._replace(plan=replace(self.plan, traffic=traffic, base=base), demand=demand)._priced()

    @property
    def spent(self) -> float:
        """US dollars that all workers spent in the term, as far as this one knows."""
        return self.usd + self.elsewhere.usd

    @property
    def level(self) -> float:
        """Of the price, from 0 to ``MOST_LEVEL``."""
        return min(MOST_LEVEL, max(0.0, self.plan.base + self.moved + self.elsewhere.moved))

    @property
    def usual_level(self) -> float:
        """Mean over the requests of the term so far."""
        counted = self.plan.traffic.requests
        return min(MOST_LEVEL, max(0.0, self.plan.sum / counted)) if counted else self.level

    @property
    def even_usd(self) -> float:
        """US dollars that would be spent by now had each request of the term cost the same."""
        plan, done = self.plan, self.requests + self.elsewhere.requests
        return plan.term.usd * done / (plan.term.lot or max(1.0, done + plan.left))

    def _priced(self) -> "Pace":
        spent = self.spent >= self.plan.most
        return self._replace(price=MOST_PRICE if spent else self.plan.scale * expm1(self.level))


def _target(usd: float, left: float, part: float, traffic: Traffic, end: float, demand: Demand) -> float:
    """What a request may cost, ``usd`` being for ``left`` of them, which are ``part`` of the term's."""
    if demand.usual:
        requests = traffic.slots(end)
        busier = left / (sum(requests) or left)
        costs = [busier * sum(map(mul, requests, level)) for level in zip(*demand.usual, strict=True)]
        now = demand.usual[traffic.slot]
    elif now := demand.today:
        costs = [left * each for each in now]
    else:
        return usd / left
    care = CARE * part**CARE_POWER
    enough = min(1.0, usd / costs[0]) if costs[0] else 1.0
    return spread(usd / (1 + care - (care + EAGER) * enough), costs, now)


def _more(elsewhere: Totals, usd: float, step: float, siblings: int) -> Totals:
    return Totals(
        elsewhere.usd + siblings * usd, elsewhere.requests + siblings, elsewhere.moved + siblings * step
    )
