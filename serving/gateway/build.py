"""Makes a gateway's state from its files; what a reload leaves as it was goes on."""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from router_model.errors import GatewayConfigError, MissingExtraError
from router_model.router import Router
from router_model.serving.gateway.budgets import Budgets
from router_model.serving.gateway.cache.cache import Cache
from router_model.serving.gateway.capacity import Capacity
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.dispatch import Dispatch
from router_model.serving.gateway.guarantee import Guarantee
from router_model.serving.gateway.keys import Keys
from router_model.serving.gateway.pace import Pacer
from router_model.serving.gateway.plan import Planner
from router_model.serving.gateway.prices import Prices, prices_of
from router_model.serving.gateway.pricing import Pricing, first_price
from router_model.serving.gateway.sessions.sessions import Sessions
from router_model.serving.gateway.state import Lasting, Mark, State
from router_model.serving.gateway.told import RedisShelf, Shelf
from router_model.serving.gateway.traffic import TrafficLog
from router_model.serving.gateway.words import WordsKept

REDIS_SECONDS = 0.25  # of its timeouts: a slow one is as good as none


async def build(config: GatewayConfig, lasting: Lasting, since: State | None = None) -> State:
    """Make ready all that a gateway's file names.

    Args:
        since: the state before. Parts whose settings are as they were go on, with all that they hold, and so
            does what it knows of its providers.

    Raises:
        RouterModelError: the router, a secret or a place cannot be used; the message says why.
    """
    seen = mark(config.router)
    if since and since.config.router == config.router and since.router_mark == seen:
        router = check_tiers(config, since.planner.router)  # loading takes the core from requests
    else:
        router = await asyncio.to_thread(load_router, config)
    state = _Parts(config, lasting, since, router).state(seen)
    async with AsyncExitStack() as opened:  # who is refused leaves nothing open
        for name in ("budgets", "pacer", "guarantee"):
            part = getattr(state, name)
            if part is not None and (since is None or getattr(since, name) is not part):
                await part.open()
                opened.push_async_callback(part.close)
        if state.traffic is not None and (since is None or since.traffic is not state.traffic):
            await asyncio.to_thread(state.traffic.open)
        opened.pop_all()
    if state.pacer is not None and since is not None and since.pacer is state.pacer:
        state.pacer.retune(config.dial)
    lasting.pacer, lasting.guarantee = state.pacer, state.guarantee
    await state.dispatch.open()
    return state


@dataclass(frozen=True)
class _Parts:
    """The parts of a state, not open yet, each the one before where its settings are as they were."""

    config: GatewayConfig
    lasting: Lasting
    since: State | None
    router: Router

    def state(self, seen: Mark) -> State:
        """All of them; ``seen`` marks the router's file."""
        config, since, router = self.config, self.since, self.router
        redis = self._kept("redis", "redis_url_env") or connect(config)
        secrets, known = config.secrets(os.environ), since.dispatch if since else None
        dispatch = Dispatch(config, secrets, known, prices=prices_of, redis=redis)
        prices = {provider.name: prices_of(provider) for _, provider in config.providers()}
        pacer, guarantee = self._pacer(redis), self._guarantee(redis)
        waits = partial(dispatch.seconds, router.ladder.names)
        return State(
            config=config,
            planner=Planner(
                router=router,
                words=words(config),
                dial=config.dial,
                explore=config.traffic.explore if config.traffic else 0.0,
                upwards=config.retry.upwards,
                pricing=Pricing(
                    router.artifact.manifest.strongest_usd,
                    router.policy.relative_cost,
                    config.latency.usd_per_second,
                    waits,
                    pacer,
                ),
                guarantee=guarantee,
            ),
            dispatch=dispatch,
            capacity=self._capacity(),
            cache=self._kept("cache", "cache", "redis_url_env") or Cache(config.cache, redis),
            budgets=self._budgets(redis),
            keys=Keys(config.keys),
            sessions=self._sessions(redis, prices),
            traffic=self._traffic(),
            prices=prices,
            redis=redis,
            lasting=self.lasting,
            router_mark=seen,
            pacer=pacer,
            guarantee=guarantee,
        )

    def _kept(self, part: str, *settings: str) -> Any:
        """The part of the state before, where these settings are as they were."""
        since = self.since
        alike = since and all(getattr(since.config, name) == getattr(self.config, name) for name in settings)
        return getattr(since, part) if alike else None

    def _capacity(self) -> Capacity:
        places = [tier.name for tier in self.config.places]
        kept: Capacity | None = self._kept("capacity", "capacity")
        return kept if kept and list(kept.running) == places else Capacity(self.config.capacity, places)

    def _budgets(self, redis: Any) -> Budgets:
        if kept := self._kept("budgets", "budgets", "redis_url_env"):
            return kept  # type: ignore[no-any-return]
        return Budgets(
            self.config.budgets,
            redis,
            workers=self.config.listen.workers,
            path=self.lasting.spent,
            since=self.since.budgets if self.since else None,
        )

    def _traffic(self) -> TrafficLog | None:
        kept: TrafficLog | None = self._kept("traffic", "traffic")
        config, private = self.config.traffic, self.lasting.private
        if kept is not None or config is None:
            return kept
        models = {tier.name: tier.models[0] for tier in self.router.ladder.tiers}
        kept_words = WordsKept(config.words, private.redact, private.hashed)
        return TrafficLog(config, Path(config.folder), kept_words, models=models)

    def _sessions(self, redis: Any, prices: dict[str, Prices]) -> Sessions | None:
        config = self.config
        if config.sessions is None:
            return None
        secret, known = config.session_secret(os.environ), self.since.sessions if self.since else None
        return Sessions(config.sessions, config, self.router, prices, redis, secret, since=known)

    def _pacer(self, redis: Any) -> Pacer | None:
        config = self.config
        if config.dial.usd is None:
            return None
        if kept := self._kept("pacer", "redis_url_env"):
            return kept  # type: ignore[no-any-return]
        path = self.lasting.spent and self.lasting.spent.with_suffix(".pace")
        return Pacer(
            config.dial,
            strongest_usd=self.router.artifact.manifest.strongest_usd,
            price=first_price(self.router),
            store=RedisShelf(redis) if redis else Shelf(path, lambda: self.lasting.others("pace")),
            workers=config.listen.workers,
            since=self.since.pacer if self.since else None,
        )

    def _guarantee(self, redis: Any) -> Guarantee | None:
        config, certificate = self.config, self.router.artifact.manifest.certificate
        kept: Guarantee | None = self._kept("guarantee", "guarantee", "redis_url_env", "listen")
        if certificate is None or (kept and kept.certificate == certificate):
            return kept if certificate else None
        return Guarantee(
            certificate,
            config.guarantee,
            self.router.ladder.names,
            redis=redis,
            workers=config.listen.workers,
            path=self.lasting.spent.with_suffix(".revoked") if self.lasting.spent else None,
            others=lambda: self.lasting.others("feedback"),
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
