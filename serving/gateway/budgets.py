"""Budgets of tenants and keys: they lower the dial as they run out, and then refuse.

A request reserves the most that it may cost before it is sent, and settles what it did cost. What is spent
and reserved is in this worker's memory, or in Redis for all workers and replicas. While Redis cannot be
reached, each worker goes on with an equal share of what it last saw left, and tells Redis afterwards; a
Redis that comes back empty is told what was spent before.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from router_model.errors import GatewayConfigError, RequestError
from router_model.serving.gateway.config.budget import Budget
from router_model.serving.gateway.exchange import Exchange
from router_model.serving.gateway.keys import Caller
from router_model.serving.gateway.ledger import DUST, Ledger, Place
from router_model.serving.gateway.period import end_of, start_of
from router_model.serving.gateway.spent import read_spent, write_spent

if TYPE_CHECKING:
    from redis.asyncio import Redis

TICK_SECONDS = 1.0  # between two looks at what others spent
NEWS_SECONDS = 0.005  # that what is spent waits for more to be told with it
MOST_KEYS = 100  # of one exchange

Held = tuple[Budget, Place, Ledger]


@dataclass(slots=True)
class Room:
    """What a request has reserved; ``async with`` gives it back where it was not settled.

    ``lowered`` in [0, 1] is how far the dial is to be lowered, at 1 to the cheapest tier.
    """

    lowered: float
    _ledgers: tuple[Ledger, ...] = ()
    _worst: float = 0.0
    _changed: Callable[[], None] = lambda: None
    _settled: bool = False

    async def settle(self, usd: float) -> None:
        """Put what the request cost in the place of what it reserved, once; in US dollars."""
        if self._settled:
            return
        self._settled = True
        for ledger in self._ledgers:
            ledger.release(self._worst)
            ledger.spent += max(0.0, usd)
        if self._ledgers:
            self._changed()

    async def __aenter__(self) -> "Room":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.settle(0.0)


class Budgets:
    """The budgets of a gateway, as one of its workers keeps them.

    ``clock`` tells seconds since 1970; ``workers`` is how many of them share the budgets where Redis has not
    told yet; ``path`` is a file that keeps what was spent through a restart, where there is no Redis;
    ``since`` is what another file's budgets have seen, at a reload, with the requests in flight.

    Raises:
        GatewayConfigError: two budgets of a tenant or a key have one period.
    """

    def __init__(
        self,
        budgets: Sequence[Budget],
        redis: "Redis | None" = None,
        clock: Callable[[], float] = time.time,
        *,
        workers: int = 1,
        path: Path | None = None,
        since: "Budgets | None" = None,
    ) -> None:
        self._budgets = {_name(budget): budget for budget in budgets}
        if len(self._budgets) < len(budgets):
            names = [_name(budget) for budget in budgets]
            twice = next(name for name in names if names.count(name) > 1)
            raise GatewayConfigError(f"budgets: {twice!r} stands twice; leave one of them")
        self._clock, self._workers = clock, workers if redis else 1
        self._worker: str = since._worker if since else secrets.token_hex(8)
        self._exchange = Exchange(redis, self._worker) if redis else None
        self._ledgers: dict[Place, Ledger] = since._ledgers if since else {}
        # One exchange at a time, or they overtake each other.
        self._lock: asyncio.Lock = since._lock if since else asyncio.Lock()
        self._changed = asyncio.Event()
        self._path = None if redis else path
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> None:
        """See what was spent; from then on look, and tell, at least once a second.

        Raises:
            GatewayConfigError: the file of what was spent cannot be read.
        """
        if self._path and self._path.exists() and not self._ledgers:
            self._ledgers.update(read_spent(self._path))
        if self._budgets and (self._exchange or self._path):
            await self._tell()
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Tell what is still to be told."""
        if self._task:
            self._closing = True  # for Redis' client may swallow a cancellation while it connects
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._tell()

    async def room(self, caller: Caller, worst_usd: float) -> Room:
        """Reserve ``worst_usd`` US dollars, which the request must not pass, in each budget of the caller.

        Raises:
            RequestError: 429, a budget is spent, or the requests in flight may spend the rest of it.
        """
        names = (f"tenant:{caller.tenant}", f"key:{caller.name}")
        held = [
            (budget, place, self._ledger(place, budget.usd))
            for name in names
            for period in ("day", "month")
            if (budget := self._budgets.get(f"{name}:{period}"))
            for place in [self._place(budget)]
        ]
        if not held:
            return Room(0.0)
        if self._exchange is None or self._exchange.cut_off:
            self._take(held, worst_usd, alone=self._exchange is not None)
        else:
            async with self._lock:
                await self._take_shared(held, worst_usd, self._exchange)
        lowered = max(_lowered(budget, ledger) for budget, _, ledger in held)
        return Room(lowered, tuple(ledger for _, _, ledger in held), worst_usd, self._changed.set)

    def shares(self) -> dict[str, float]:
        """The share of each budget that is spent in its period, by "tenant:NAME:day" and the like."""
        return {
            name: self._ledger(self._place(budget), budget.usd).all_spent / budget.usd
            for name, budget in self._budgets.items()
        }

    def _take(self, held: list[Held], worst: float, *, alone: bool) -> None:
        for _, _, ledger in held:
            ledger.hold(worst)
        self._check(held, worst, alone=alone)

    async def _take_shared(self, held: list[Held], worst: float, exchange: Exchange) -> None:
        """As ``_take``; the others are told first, so that of two the second sees what the first holds."""
        for _, _, ledger in held:
            ledger.hold(worst)
        try:
            reached = not exchange.cut_off and await exchange({place: ledger for _, place, ledger in held})
        except BaseException:
            for _, _, ledger in held:
                ledger.release(worst)
            self._changed.set()
            raise
        self._check(held, worst, alone=not reached)

    def _check(self, held: list[Held], worst: float, *, alone: bool) -> None:
        for budget, _, ledger in held:
            if not ledger.fits(alone=alone):
                refusal = self._refusal(budget, ledger)
                for _, _, each in held:
                    each.release(worst)
                self._changed.set()
                raise refusal

    def _refusal(self, budget: Budget, ledger: Ledger) -> RequestError:
        whose = f"tenant {budget.tenant!r}" if budget.tenant else f"key {budget.key!r}"
        what = f"the budget of {whose}, {budget.usd:g} US dollars a {budget.period},"
        now = self._clock()
        renews = end_of(budget.period, now)
        if ledger.all_spent >= budget.usd - DUST:
            when = f"{datetime.fromtimestamp(renews, UTC):%Y-%m-%dT%H:%M:%SZ}"
            return RequestError(
                429,
                "insufficient_quota",
                f"{what} is spent; it renews at {when}",
                retry_after=max(1.0, renews - now),
            )
        message = f"{what} has no room for this request beside those in flight; send it when they are done"
        return RequestError(429, "insufficient_quota", message, retry_after=1.0)

    def _place(self, budget: Budget) -> Place:
        return _name(budget), start_of(budget.period, self._clock())

    def _ledger(self, place: Place, usd: float) -> Ledger:
        ledger = self._ledgers.get(place)
        if ledger is None:
            for old in [p for p, past in self._ledgers.items() if p[0] == place[0] and self._over(past)]:
                del self._ledgers[old]
            ledger = self._ledgers[place] = Ledger(usd, workers=self._workers)
        ledger.usd = usd  # another file may have changed it
        return ledger

    def _over(self, past: Ledger) -> bool:
        return not past.in_flight and not (self._exchange and past.news)

    async def _keep(self) -> None:
        """Tell news soon, and everything once a second."""
        while not self._closing:
            await self._tell()
            try:
                async with asyncio.timeout(TICK_SECONDS):  # `wait_for` of 3.11 may lose a cancellation
                    while self._exchange:
                        await self._changed.wait()
                        await asyncio.sleep(NEWS_SECONDS)
                        self._changed.clear()
                        news = [place for place, ledger in self._ledgers.items() if ledger.news]
                        if not await self._exchanged(self._exchange, news, whole=False):
                            break
                    await asyncio.sleep(TICK_SECONDS)
            except TimeoutError:
                continue

    async def _tell(self) -> None:
        for budget in self._budgets.values():
            self._ledger(self._place(budget), budget.usd)
        if self._exchange:
            await self._exchanged(self._exchange, list(self._ledgers), whole=True)
        elif self._path:
            write_spent(self._path, self._ledgers)

    async def _exchanged(self, exchange: Exchange, places: list[Place], *, whole: bool) -> bool:
        """Exchange so many places; whether Redis was reached to the end."""
        for first in range(0, len(places), MOST_KEYS):
            async with self._lock:
                some = [place for place in places[first : first + MOST_KEYS] if place in self._ledgers]
                if not await exchange({place: self._ledgers[place] for place in some}, whole=whole):
                    return False
        return True


def _lowered(budget: Budget, ledger: Ledger) -> float:
    over = ledger.all_spent / budget.usd - budget.lower_from
    return min(1.0, over / (1 - budget.lower_from)) if over > 0 and budget.lower_from < 1 else 0.0


def _name(budget: Budget) -> str:
    whose = f"tenant:{budget.tenant}" if budget.tenant else f"key:{budget.key}"
    return f"{whose}:{budget.period}"
