"""All that a gateway is made of, for one reading of its files; a reload makes another."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router_model.errors import GatewayConfigError, MissingExtraError
from router_model.router import Router
from router_model.serving.gateway.accounts import Accounts
from router_model.serving.gateway.budgets import Budgets
from router_model.serving.gateway.cache import Cache
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.capacity import Capacity
from router_model.serving.gateway.config import GatewayConfig
from router_model.serving.gateway.dispatch import Dispatch
from router_model.serving.gateway.keys import Keys
from router_model.serving.gateway.metrics import Metrics
from router_model.serving.gateway.plan import Planner
from router_model.serving.gateway.prices import Prices, prices_of
from router_model.serving.gateway.traffic import TrafficLog
from router_model.serving.gateway.usage import Usage

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

Redact = Callable[[str], str]


@dataclass(frozen=True)
class Lasting:
    """What a reload keeps: counts of the past.

    Attributes:
        accounts, metrics: of this worker.
        redact: takes secrets out of prompts for the traffic log.
        worker: number of this process among those of the gateway.
    """

    accounts: Accounts
    metrics: Metrics
    redact: Redact | None = None
    worker: int = 0


@dataclass(frozen=True)
class State:
    """A gateway that is ready to answer.

    Attributes:
        config: the file.
        prices: of each provider, by its name.
    """

    config: GatewayConfig
    planner: Planner
    dispatch: Dispatch
    capacity: Capacity
    cache: Cache
    budgets: Budgets
    keys: Keys
    traffic: TrafficLog | None
    prices: Mapping[str, Prices]
    redis: "Redis | None"
    lasting: Lasting

    @property
    def accounts(self) -> Accounts:
        """What was spent and saved."""
        return self.lasting.accounts

    @property
    def metrics(self) -> Metrics:
        """What is counted for Prometheus."""
        return self.lasting.metrics

    def able(self, call: Call) -> list[str]:
        """Names of the tiers that can take the call, cheapest first; of one model where it names that."""
        wanted = call.asked.model
        return [
            tier.name
            for tier in self.config.tiers
            if any(wanted in (None, p.name, p.model) for p in self.dispatch.able(call, tier.name))
        ]

    def worst_usd(self, call: Call, able: list[str]) -> float:
        """US dollars that the call costs at most: the dearest provider, with the longest answer."""
        worst = 0.0
        answers = call.body.get("n")
        times = answers if isinstance(answers, int) and answers > 0 else 1
        for tier in able:
            for provider in self.dispatch.able(call, tier):
                longest = call.output_tokens or max(1, provider.context_tokens - call.input_tokens)
                usage = Usage(call.input_tokens, longest * times)
                worst = max(worst, self.prices[provider.name].cost_usd(usage))
        return worst

    def strongest_usd(self, usage: Usage) -> float:
        """What the cheapest provider of the strongest tier asks for so many tokens: an estimate, since
        another model would have answered at another length."""
        strongest = self.config.tiers[-1].providers
        return min(self.prices[provider.name].cost_usd(usage) for provider in strongest)

    async def close(self) -> None:
        """Give streams their time, then close what is open; rows of the log are written."""
        await self.dispatch.close(self.config.limits.stop_seconds)
        if self.traffic is not None:
            await asyncio.to_thread(self.traffic.close)
        if self.redis is not None:
            await self.redis.aclose()


async def build(path: Path, lasting: Lasting, since: State | None = None) -> State:
    """Read the file of a gateway and all that it names, and make it ready.

    Args:
        since: the state before, whose knowledge of its providers goes on.

    Raises:
        RouterModelError: a file is not usable; the message says which, where and why.
    """
    config = GatewayConfig.read(path)
    secrets = config.secrets(os.environ)
    router = await asyncio.to_thread(load_router, config, path)
    redis = connect(config)
    names = tuple(tier.name for tier in config.tiers)
    providers = [provider for tier in config.tiers for provider in tier.providers]
    dispatch = Dispatch(config, secrets, since.dispatch if since else None)
    await dispatch.open()
    traffic = None
    if config.traffic is not None:
        folder = path.parent / config.traffic.folder
        traffic = TrafficLog(config.traffic, folder, lasting.redact, worker=lasting.worker)
    return State(
        config=config,
        planner=Planner(
            router, config.dial, config.traffic.explore if config.traffic else 0.0, config.retry.upwards
        ),
        dispatch=dispatch,
        capacity=Capacity(config.capacity, names),
        cache=Cache(config.cache, redis),
        budgets=Budgets(config.budgets, redis),
        keys=Keys(config.keys),
        traffic=traffic,
        prices={provider.name: prices_of(provider) for provider in providers},
        redis=redis,
        lasting=lasting,
    )


def load_router(config: GatewayConfig, path: Path) -> Router:
    """The router that the file names; raises GatewayConfigError where a tier is none of its ladder."""
    router = Router.default() if config.router == "default" else Router.load(path.parent / config.router)
    known = router.ladder.names
    strange = [tier.name for tier in config.tiers if tier.name not in known]
    if strange:
        raise GatewayConfigError(
            f"{path}: tier {strange[0]!r} is none of the router's, {', '.join(known)}; name it as the router does"
        )
    order = [known.index(tier.name) for tier in config.tiers]
    if order != sorted(order):
        raise GatewayConfigError(f"{path}: list the tiers as the router's ladder does: {', '.join(known)}")
    return router


def connect(config: GatewayConfig) -> Any:
    """A client of the Redis that the file names, not yet connected; None where it names none."""
    if config.redis_url_env is None:
        return None
    try:
        from redis.asyncio import Redis
    except ModuleNotFoundError:
        raise MissingExtraError("redis_url_env needs Redis's client: pip install 'router-model[redis]'") from None
    url = os.environ.get(config.redis_url_env, "")
    try:
        return Redis.from_url(url, socket_timeout=0.25, socket_connect_timeout=0.25)
    except ValueError:
        raise GatewayConfigError(
            f"environment variable {config.redis_url_env}: no URL of a Redis; give redis://host:6379/0"
        ) from None
