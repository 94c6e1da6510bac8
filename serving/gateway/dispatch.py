"""The providers of a gateway's file, ready to be asked."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any

from router_model.errors import RequestError
from router_model.serving.gateway.answer import Answer
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.config.retry import Retry
from router_model.serving.gateway.errand import Errand
from router_model.serving.gateway.forecast import Forecast
from router_model.serving.gateway.pool import WARM_SECONDS, Http, Pool, Speaker
from router_model.serving.gateway.prices import Prices, prices_of
from router_model.serving.gateway.provider import USUAL_OUTPUT, Mean, Upstream
from router_model.serving.gateway.waste import Waste

if TYPE_CHECKING:
    from redis.asyncio import Redis

MOST_WARM_UPS = 16  # at once, to one provider


class Dispatch:
    """All upstreams, their connections, and the way of a request among them.

    In a tier: those whose breaker is closed and whose limits leave room; first those that meet the latency
    wish, then the cheapest for this call, equal ones by weight. One that fails is followed by the next of
    the tier, then by the tiers above where the file allows it, then by another round after a pause.

    Args:
        config: of the file.
        secrets: keys by the provider's name.
        since: the dispatch before a reload: breakers, limits and latencies of providers whose name and
            ``base_url`` stayed go on.
        prices: of a provider.
        clock: seconds that only grow.
        redis: keeps the providers' limits a minute for all workers and replicas.

    Attributes:
        upstreams: by the provider's name.
        turns: requests that may still be sent, as they wait for room or a cache; ``close`` waits for them.
    """

    def __init__(
        self,
        config: GatewayConfig,
        secrets: Mapping[str, str],
        since: "Dispatch | None" = None,
        *,
        prices: Callable[[Provider], Prices] = prices_of,
        clock: Callable[[], float] = monotonic,
        redis: "Redis | None" = None,
    ) -> None:
        self.config = config
        self.upstreams: dict[str, Upstream] = {}
        self.turns = 0
        self._clock = clock
        self._pool = Pool(config.retry)
        self._warmth: asyncio.Task[None] | None = None
        self._tiers: dict[str, list[Upstream]] = {tier.name: [] for tier in config.places}
        before = since._outputs if since else {}
        self._outputs: dict[str, Mean] = {
            tier: before.get(tier) or Mean(USUAL_OUTPUT) for tier in self._tiers
        }
        self._forecasts = {tier.name: Forecast(clock) for tier in config.places}
        for tier in config.places:
            output = self._outputs[tier.name]
            for p in tier.providers:
                same = since.upstreams.get(p.name) if since else None
                if same is not None and same.provider.base_url != p.base_url:
                    same = None
                speaker = _speaker(p, secrets.get(p.name), self._pool, config.retry)
                upstream = Upstream(p, tier.name, speaker, prices(p), output, config, clock, same, redis)
                self.upstreams[p.name] = upstream
                self._tiers[tier.name].append(upstream)

    async def open(self) -> None:
        """Be ready; the connections that the file wants ahead are made meanwhile, and kept."""
        await self._pool.open()
        for upstream in self.upstreams.values():
            upstream.closed = False
        self._warmth = asyncio.create_task(self._keep_warm())

    async def close(self, seconds: float = 0.0) -> None:
        """Close all connections, after requests that are under way had so many seconds to end."""
        if self._warmth is not None:
            self._warmth.cancel()
            await asyncio.gather(self._warmth, return_exceptions=True)
        until = self._clock() + seconds
        while (self.flying or self.turns) and self._clock() < until:
            await asyncio.sleep(0.02)
        for upstream in self.upstreams.values():
            upstream.closed = True
        await self._pool.close()

    @property
    def flying(self) -> int:
        """Calls that are under way."""
        return sum(u.flying for u in self.upstreams.values())

    def up(self, tier: str) -> bool:
        """Whether some provider of a tier is not out of service."""
        return any(u.health.circuit.state != "open" for u in self._tiers.get(tier, ()))

    def seconds(self, tiers: Iterable[str]) -> tuple[float, ...]:
        """That a call takes at each tier, by the percentile of the file's ``latency`` [K].

        Over the providers that are up, weighed by the calls that each one's percentile is of. A tier of which
        nothing is known takes as long as the quickest one.
        """
        found = [self._percentile(tier) for tier in tiers]
        least = min((one for one in found if one is not None), default=0.0)
        return tuple(least if one is None else one for one in found)

    def _percentile(self, tier: str) -> float | None:
        totals = [
            u.health.standing.total for u in self._tiers.get(tier, ()) if u.health.circuit.state != "open"
        ]
        told = [(len(total), total.value() or 0.0) for total in totals if len(total)]
        calls = sum(count for count, _ in told)
        return sum(count * value for count, value in told) / calls if calls else None

    def able(self, call: Call, tier: str) -> list[Provider]:
        """Providers of a tier whose shape, abilities and context fit the call, healthy or not."""
        return [u.provider for u in self._tiers.get(tier, ()) if u.takes(call)]

    async def send(
        self,
        call: Call,
        tiers: Sequence[str],
        *,
        deadline: float,
        provider: str | None = None,
        wasted: Callable[[Waste], None] = lambda waste: None,
    ) -> Answer:
        """Have a call answered.

        Args:
            call: as the client sent it.
            tiers: in the order in which they may answer; the first that has an able provider is the one
                wanted, and the only one where the file's ``retry.upwards`` is false.
            deadline: by the clock (``time.monotonic`` unless told otherwise), when the whole answer has to
                have gone.
            provider: only those of this name, or of this model.
            wasted: told of calls that were paid and whose answer was thrown away, before this returns.

        Returns:
            The answer whose first piece is here, or all of it where it is no stream and at most 4 MiB. Its
            ``close`` has to be called however it ends.

        Raises:
            RequestError: 400 nobody can take it; 429 or 503 nobody may be asked now; 502 or 504 nobody
                answered. Where a provider answered with an error, that answer is returned instead.
        """
        ways = self._ways(call, tiers, provider)
        self._forecasts[ways[0][0].tier].add()
        return await Errand(call, ways, self.config.retry, deadline, self._clock, wasted).run()

    def _ways(self, call: Call, tiers: Iterable[str], name: str | None) -> list[list[Upstream]]:
        ways = []
        for tier in tiers:
            able = [u for u in self._tiers.get(tier, ()) if u.takes(call)]
            if name is not None:
                able = [u for u in able if name in (u.provider.name, u.provider.model)]
            if able:
                ways.append(able)
        if not ways:
            named = f" under the name {name}" if name else ""
            raise RequestError(
                400,
                "invalid_request_error",
                f"No provider of {', '.join(tiers) or 'no tier'} takes this request{named}: it may be too "
                "long for its model, or need images, tools or a JSON schema that it does not have.",
            )
        return ways if self.config.retry.upwards else ways[:1]

    async def _keep_warm(self) -> None:
        while True:
            ahead = [(u.speaker, u.provider.warm_connections) for u in self.upstreams.values()]
            await asyncio.gather(*(speaker.warm(n) for speaker, n in ahead if n), *self._warm_ups())
            await asyncio.sleep(WARM_SECONDS)

    def _warm_ups(self) -> list[Coroutine[Any, Any, None]]:
        """Requests of one token to servers of one's own, as many as the forecast rise will have at once
        more than now (Little's law)."""
        if not self.config.capacity.warm_up:
            return []
        asks = []
        for tier, upstreams in self._tiers.items():
            forecast = self._forecasts[tier]
            rise = forecast.rate(WARM_SECONDS) - forecast.rate()
            own = [u for u in upstreams if u.own and not u.doubtful]
            for upstream in own:
                requests = min(MOST_WARM_UPS, ceil(rise * upstream.seconds.value / len(own)))
                asks += [upstream.warm_up(WARM_SECONDS) for _ in range(requests)]
        return asks


def _speaker(provider: Provider, secret: str | None, pool: Pool, retry: Retry) -> Speaker:
    if provider.shape != "litellm":
        return Http(provider, secret, pool)
    from router_model.serving.gateway.litellm import LiteLLM

    return LiteLLM(provider, secret, retry)
