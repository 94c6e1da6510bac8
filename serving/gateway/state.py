"""All that a gateway is made of, for one reading of its files; a reload makes another."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import msgspec

from router_model.serving.gateway.accounts import Accounts
from router_model.serving.gateway.budgets import Budgets
from router_model.serving.gateway.cache.cache import Cache
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.capacity import Capacity
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.dispatch import Dispatch
from router_model.serving.gateway.feedback import Feedback
from router_model.serving.gateway.guarantee import Guarantee
from router_model.serving.gateway.keys import Keys
from router_model.serving.gateway.metrics import Metrics
from router_model.serving.gateway.pace import Pacer
from router_model.serving.gateway.plan import Planner
from router_model.serving.gateway.prices import Prices
from router_model.serving.gateway.sessions.sessions import Sessions
from router_model.serving.gateway.siblings import Siblings
from router_model.serving.gateway.spans import Spans
from router_model.serving.gateway.traffic import TrafficLog
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.words import Hashed, Redact
from router_model.serving.gateway.worst import worst_usd

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

Mark = tuple[int, int, int]


@dataclass(frozen=True)
class Private:
    """What of a prompt the traffic log may keep, made by those who know what is private.

    Attributes:
        redact: a record's row to one without secrets.
        hashed: a field's name and its text to a hash.
    """

    redact: Redact | None = None
    hashed: Hashed | None = None


class Lasting:
    """What a reload keeps: counts of the past.

    Args:
        private: for the traffic log.
        folder: where the workers of one gateway tell each other their counts; None where there is one.
        spent: file that keeps what was spent of budgets through a restart; the pacer's stands beside it.
    """

    def __init__(self, private: Private, folder: Path | None = None, spent: Path | None = None) -> None:
        self.private = private
        self.spent = spent
        self.spans = Spans()
        self.accounts = Accounts(time.time())
        self.metrics = Metrics()
        self.feedback = Feedback()
        self.measure: Callable[[], None] = lambda: None  # sets what is not counted as it happens
        self.connections: Callable[[], int] = lambda: 0  # of clients, open now
        self.pacer: Pacer | None = None  # of the newest state, as is the next
        self.guarantee: Guarantee | None = None
        self.siblings = Siblings(folder, token_hex(8), self.snapshot)

    def snapshot(self) -> dict[str, Any]:
        """What the other workers read."""
        self.measure()
        told = {"accounts": self.accounts.snapshot(), "metrics": self.metrics.snapshot()}
        if self.pacer:
            told["pace"] = msgspec.to_builtins(self.pacer.told())
        if self.guarantee:
            told["feedback"] = self.guarantee.relay.told()
        return told

    def others(self, part: str) -> list[Any]:
        """The "accounts", "metrics", "pace" or "feedback" of the other workers."""
        return [told[part] for told in self.siblings.others() if part in told]


@dataclass(frozen=True)
class State:
    """A gateway that is ready to answer.

    Attributes:
        config: the file.
        prices: of each provider, by its name.
        guarantee: of the artifact's certificate; None where it has none.
        router_mark: of the artifact when it was read.
        pacer: of the dial's budget; None where the dial is none of dollars.
    """

    config: GatewayConfig
    planner: Planner
    dispatch: Dispatch
    capacity: Capacity
    cache: Cache
    budgets: Budgets
    keys: Keys
    sessions: Sessions | None
    traffic: TrafficLog | None
    prices: Mapping[str, Prices]
    redis: "Redis | None"
    lasting: Lasting
    router_mark: Mark
    pacer: Pacer | None = None
    guarantee: Guarantee | None = None

    @property
    def accounts(self) -> Accounts:
        """What was spent and saved."""
        return self.lasting.accounts

    @property
    def metrics(self) -> Metrics:
        """What is counted for Prometheus."""
        return self.lasting.metrics

    @property
    def feedback(self) -> Feedback:
        """What an outcome may still come for."""
        return self.lasting.feedback

    @property
    def hears_feedback(self) -> bool:
        """Whether anything goes by feedback: the log keeps it, conversations and certificates act on it."""
        return any(part is not None for part in (self.traffic, self.sessions, self.guarantee))

    def able(self, call: Call) -> list[str]:
        """Names of the tiers that can take the call, cheapest first; of one model where it names that."""
        wanted = call.asked.model
        if wanted is not None and wanted not in self.planner.words:
            return []
        return [
            tier.name
            for tier in (self.config.places if wanted else self.config.tiers)
            if any(wanted in (None, p.name, p.model) for p in self.dispatch.able(call, tier.name))
        ]

    def worst_usd(self, call: Call, able: list[str]) -> float:
        """US dollars that the call costs at most, at the dearest provider; 0 where nobody has a budget."""
        if not self.config.budgets:
            return 0.0
        return max(
            (
                worst_usd(call, provider.context_tokens, self.prices[provider.name].cost_usd)
                for tier in able
                for provider in self.dispatch.able(call, tier)
            ),
            default=0.0,
        )

    def strongest_usd(self, usage: Usage) -> float:
        """What the cheapest provider of the strongest tier asks for so many tokens: an estimate, since
        another model would have answered at another length."""
        strongest = self.config.tiers[-1].providers
        return min(self.prices[provider.name].cost_usd(usage) for provider in strongest)

    def measure(self) -> None:
        """Set the metrics that tell of now, and those that are counted elsewhere."""
        metrics = self.metrics
        metrics.set("connections", to=self.lasting.connections())
        for tier, running in self.capacity.running.items():
            metrics.set("in_flight", tier, to=running)
            metrics.set("waiting", tier, to=self.capacity.waiting[tier])
        for name, upstream in self.dispatch.upstreams.items():
            metrics.set("attempts_failed_total", name, to=upstream.health.circuit.failed)
            metrics.set("breaker_open", name, to=float(upstream.health.circuit.state == "open"))
        for name, share in self.budgets.shares().items():
            metrics.set("budget_spent_share", name, to=share)
        if self.pacer is not None:
            state = self.pacer.state
            metrics.set("pace_price", to=state.price)
            metrics.set("pace_spent_usd", to=state.spent)
            metrics.set("pace_even_usd", to=state.even_usd)
            metrics.set("pace_budget_usd", to=state.plan.term.usd)
        if self.config.latency.usd_per_second:
            names = self.planner.router.ladder.names
            for name, seconds in zip(names, self.dispatch.seconds(names), strict=True):
                metrics.set("tier_seconds", name, to=seconds)
        if self.guarantee:
            metrics.set("certificate_revoked", to=float(bool(self.guarantee.reason)))
            metrics.set("certificate_capital", to=self.guarantee.monitor.capital)
        for fate, rows in (self.traffic.counts() if self.traffic else {}).items():
            metrics.set("traffic_rows_total", fate, to=rows)

    async def close(self, heir: "State | None" = None) -> None:
        """Give answers under way their time, then close what no ``heir`` goes on with."""
        limits = self.config.limits
        await self.dispatch.close(limits.request_seconds if heir else limits.stop_seconds)
        if self.traffic is not None and (heir is None or heir.traffic is not self.traffic):
            await asyncio.to_thread(self.traffic.close)
        for part in ("budgets", "cache", "sessions", "pacer", "guarantee"):
            here = getattr(self, part)
            if here is not None and (heir is None or getattr(heir, part) is not here):
                await here.close()
        if self.redis is not None and (heir is None or heir.redis is not self.redis):
            await self.redis.aclose()
