"""All that a gateway is made of, for one reading of its files; a reload makes another."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import msgspec

from router_model.errors import GatewayConfigError, MissingExtraError
from router_model.router import Router
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
from router_model.serving.gateway.prices import Prices, prices_of
from router_model.serving.gateway.pricing import Pricing, first_price, strongest_usd
from router_model.serving.gateway.sessions.sessions import Sessions
from router_model.serving.gateway.siblings import Siblings
from router_model.serving.gateway.spans import Spans
from router_model.serving.gateway.told import RedisShelf, Shelf
from router_model.serving.gateway.traffic import TrafficLog
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.words import Hashed, Redact, WordsKept
from router_model.serving.gateway.worst import worst_usd

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

Mark = tuple[int, int, int]
REDIS_SECONDS = 0.25  # of its timeouts: a slow one is as good as none


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
        spent: file that keeps what was spent of budgets through a restart; that of the pacer stands beside it.
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
        self.pacer: Pacer | None = None  # of the newest state
        self.siblings = Siblings(folder, token_hex(8), self.snapshot)

    def snapshot(self) -> dict[str, Any]:
        """What the other workers read."""
        self.measure()
        told = {"accounts": self.accounts.snapshot(), "metrics": self.metrics.snapshot()}
        return told | ({"pace": msgspec.to_builtins(self.pacer.told())} if self.pacer else {})

    def others(self, part: str) -> list[Any]:
        """The "accounts", "metrics" or "pace" of the other workers."""
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


async def build(config: GatewayConfig, lasting: Lasting, since: State | None = None) -> State:
    """Make ready all that a gateway's file names.

    Args:
        since: the state before. Parts whose settings are as they were go on, with all that they hold, and so
            does what it knows of its providers.

    Raises:
        RouterModelError: the router, a secret or a place cannot be used; the message says why.
    """
    secrets = config.secrets(os.environ)
    seen = mark(config.router)
    if since and since.config.router == config.router and since.router_mark == seen:
        router = check_tiers(config, since.planner.router)  # loading takes the core from requests
    else:
        router = await asyncio.to_thread(load_router, config)
    explore = config.traffic.explore if config.traffic else 0.0

    def kept(part: str, *settings: str) -> Any:
        """The part of the state before, where these settings are as they were."""
        alike = since and all(getattr(since.config, name) == getattr(config, name) for name in settings)
        return getattr(since, part) if alike else None

    redis = kept("redis", "redis_url_env") or connect(config)
    places = [tier.name for tier in config.places]
    capacity = kept("capacity", "capacity")
    if capacity is None or list(capacity.running) != places:
        capacity = Capacity(config.capacity, places)
    cache = kept("cache", "cache", "redis_url_env") or Cache(config.cache, redis)
    budgets, traffic = kept("budgets", "budgets", "redis_url_env"), kept("traffic", "traffic")
    fresh_budgets, fresh_traffic = budgets is None, traffic is None
    if fresh_budgets:
        before = since.budgets if since else None
        workers = config.listen.workers
        budgets = Budgets(config.budgets, redis, workers=workers, path=lasting.spent, since=before)
    if fresh_traffic and config.traffic is not None:
        kept_words = WordsKept(config.traffic.words, lasting.private.redact, lasting.private.hashed)
        models = {tier.name: tier.models[0] for tier in router.ladder.tiers}
        traffic = TrafficLog(config.traffic, Path(config.traffic.folder), kept_words, models=models)
    prices = {provider.name: prices_of(provider) for _, provider in config.providers()}
    sessions = None
    if config.sessions is not None:
        secret, known = config.session_secret(os.environ), since.sessions if since else None
        sessions = Sessions(config.sessions, config, router, prices, redis, secret, since=known)
    dispatch = Dispatch(config, secrets, since.dispatch if since else None, prices=prices_of, redis=redis)
    pacer = kept("pacer", "redis_url_env") if config.dial.usd else None
    fresh_pacer = pacer is None and config.dial.usd is not None
    if fresh_pacer:
        pacer = pacer_of(config, router, redis, lasting, since.pacer if since else None)
    usual = strongest_usd(router)
    waits = partial(dispatch.seconds, router.ladder.names)
    pricing = Pricing(usual, config.latency.usd_per_second, waits, pacer)
    guarantee = kept("guarantee", "guarantee", "redis_url_env", "listen")
    certificate = router.artifact.manifest.certificate
    fresh_guarantee = guarantee is None or guarantee.certificate != certificate
    if fresh_guarantee:
        guarantee = certificate and Guarantee(
            certificate,
            config.guarantee,
            router.ladder.names,
            redis=redis,
            workers=config.listen.workers,
            path=lasting.spent.with_suffix(".revoked") if lasting.spent else None,
        )
    planner = Planner(router, words(config), config.dial, explore, config.retry.upwards, pricing, guarantee)
    # From here on only what was spent may be unreadable: who is refused leaves nothing open.
    if fresh_budgets:
        await budgets.open()
    if fresh_pacer:
        try:
            await pacer.open()
        except GatewayConfigError:
            if fresh_budgets:
                await budgets.close()
            raise
    elif pacer is not None:
        pacer.retune(config.dial)
    lasting.pacer = pacer
    if fresh_traffic and traffic is not None:
        await asyncio.to_thread(traffic.open)
    if fresh_guarantee and guarantee is not None:
        await guarantee.open()
    await dispatch.open()
    return State(
        config=config,
        planner=planner,
        dispatch=dispatch,
        capacity=capacity,
        cache=cache,
        budgets=budgets,
        keys=Keys(config.keys),
        sessions=sessions,
        traffic=traffic,
        prices=prices,
        redis=redis,
        lasting=lasting,
        router_mark=seen,
        pacer=pacer,
        guarantee=guarantee,
    )


def pacer_of(
    config: GatewayConfig, router: Router, redis: "Redis | None", lasting: Lasting, since: Pacer | None
) -> Pacer:
    """The pacer of a dial of dollars, not yet open; with what the one before it knew."""
    path = lasting.spent and lasting.spent.with_suffix(".pace")
    return Pacer(
        config.dial,
        strongest_usd=strongest_usd(router),
        price=first_price(router),
        store=RedisShelf(redis) if redis else Shelf(path, lambda: lasting.others("pace")),
        workers=config.listen.workers,
        since=since,
    )


def words(config: GatewayConfig) -> frozenset[str]:
    """What ``model`` may name: tiers, and models and providers where the file allows it."""
    named = [word for _, provider in config.providers() for word in (provider.name, provider.model)]
    return frozenset([*(tier.name for tier in config.tiers), *(named if config.allow_real_models else [])])


def mark(path: str | Path) -> Mark:
    """What tells a changed file: inode, time and size; zeros where none is there, as while it is replaced."""
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def load_router(config: GatewayConfig) -> Router:
    """The router that the file names; raises GatewayConfigError where a tier is none of its ladder."""
    return check_tiers(config, Router.default() if config.router == "default" else Router.load(config.router))


def check_tiers(config: GatewayConfig, router: Router) -> Router:
    """The router, where the file's tiers are of its ladder; raises GatewayConfigError."""
    known = router.ladder.names
    tiers = [tier.name for tier in config.tiers]
    if strange := [name for name in tiers if name not in known]:
        raise GatewayConfigError(
            f"tiers: {strange[0]!r} is none of the router's, {', '.join(known)}; name it as the router does"
        )
    if tiers != [name for name in known if name in tiers]:
        raise GatewayConfigError(f"tiers: list them as the router's ladder does: {', '.join(known)}")
    return router


def connect(config: GatewayConfig) -> Any:
    """A client of the Redis that the file names, not yet connected; None where it names none."""
    url = config.redis_url(os.environ)
    if url is None:
        return None
    try:
        from redis.asyncio import Redis
    except ModuleNotFoundError:
        raise MissingExtraError("redis_url_env needs a client: pip install 'router-model[redis]'") from None
    try:
        return Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    except ValueError:
        raise GatewayConfigError(
            f"environment variable {config.redis_url_env}: no URL of a Redis; give redis://host:6379/0"
        ) from None
