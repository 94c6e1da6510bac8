"""One provider of a tier, as the dispatch sees it: what it takes, what it asks, how it has been doing."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from router_model.errors import UpstreamError
from router_model.serving.gateway.asked import Asked
from router_model.serving.gateway.breaker import Circuit
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.percentile import Standing
from router_model.serving.gateway.pool import Speaker
from router_model.serving.gateway.prices import Prices
from router_model.serving.gateway.quota import Quota
from router_model.serving.gateway.rates import Rates, Slice
from router_model.serving.gateway.usage import Usage

if TYPE_CHECKING:
    from redis.asyncio import Redis

USUAL_OUTPUT = 256.0  # tokens of an answer, before any was seen
USUAL_SECONDS = 1.0
NEWEST = 0.05  # weight of the newest call in both means
ONE_TOKEN = {"model": "warm-up", "messages": [{"role": "user", "content": "."}], "max_tokens": 1}


@dataclass(slots=True)
class Mean:
    """A moving mean, in which the newest counts most."""

    value: float

    def add(self, value: float) -> None:
        """Take a value in."""
        self.value += NEWEST * (value - self.value)


@dataclass(frozen=True, slots=True)
class Health:
    """How one provider has been doing; outlives a reload of the file.

    Attributes:
        circuit: its breaker.
        rates: what went to it in the last minute.
        standing: whether it is quick enough.
    """

    circuit: Circuit
    rates: Rates
    standing: Standing


class Upstream:
    """A provider, its connections and its health.

    Attributes:
        provider: of the file.
        tier: that it answers for.
        speaker: asks it.
        prices: what it asks.
        output: tokens of an answer, a mean that all of the tier share: what one provider happened to be
            asked makes it no cheaper than another.
        health: shared with the upstream of the same name and place before a reload.
        quota: its limits a minute, where it has such and a Redis keeps them for all.
        flying: calls that are under way.
        seconds: that an answer takes.
        closed: whether the dispatch closes its connections: what fails now is not the provider's fault.
    """

    def __init__(
        self,
        provider: Provider,
        tier: str,
        speaker: Speaker,
        prices: Prices,
        output: Mean,
        config: GatewayConfig,
        clock: Callable[[], float],
        since: "Upstream | None" = None,
        redis: "Redis | None" = None,
    ) -> None:
        self.provider = provider
        self.tier = tier
        self.speaker = speaker
        self.prices = prices
        self.clock = clock
        self.flying = 0
        self.closed = False
        self.seconds: Mean = since.seconds if since else Mean(USUAL_SECONDS)
        self.output = output
        part = _part(provider, config.listen.workers)
        self.health: Health = _health(part, config, clock, since.health if since else None)
        rates = self.health.rates
        self.quota: Quota | None = None
        if redis is not None and rates.limited:
            whole = provider.requests_per_minute, provider.tokens_per_minute
            self.quota = Quota(redis, provider.name, whole, part, rates, clock)

    def takes(self, call: Call) -> bool:
        """Whether its shape, abilities and context fit the call."""
        p = self.provider
        if (p.shape == "anthropic") != (call.endpoint == "messages"):
            return False
        return call.needs.issubset(p.abilities) and call.input_tokens + call.output_tokens <= p.context_tokens

    def expected(self, call: Call) -> Usage:
        """Tokens that the call is likely to take: its input, and an answer as long as the last were."""
        output = self.output.value if call.endpoint != "embeddings" else 0.0
        most = call.output_tokens or output
        return Usage(call.input_tokens, int(min(output, most)), estimated=True)

    def cost_usd(self, call: Call) -> float:
        """What the call is likely to cost here."""
        return self.prices.cost_usd(self.expected(call))

    def wait(self, call: Call) -> float:
        """Seconds until it may be asked: 0 for now, infinity for nobody knows."""
        rates = self.health.rates
        if not rates.limited:
            return self.health.circuit.wait()
        tokens = self._tokens(call)
        full = self.quota.wait(tokens) if self.quota else 0.0
        return max(self.health.circuit.wait(), full, rates.wait(tokens))

    async def admit(self, call: Call) -> int | None:
        """Count the call where all count theirs; what ``begin`` is to be given, or None for no room."""
        return await self.quota.take(self._tokens(call)) if self.quota else 0

    def _tokens(self, call: Call) -> int:
        usage = self.expected(call)
        return usage.input + usage.output

    @property
    def doubtful(self) -> bool:
        """Whether the next call to it is one that sees whether it has recovered."""
        standing = self.health.standing
        return self.health.circuit.state != "closed" or (standing.out and not standing.last())

    @property
    def own(self) -> bool:
        """Whether it is a server of one's own, as far as can be told: one that asks for no key."""
        return self.provider.api_key_env is None and self.provider.shape == "openai"

    async def warm_up(self, seconds: float) -> None:
        """Have it make one token, so that its model is in memory; what comes of it is not looked at."""
        raw = msgspec.json.encode(ONE_TOKEN)
        call = Call("chat", raw, ONE_TOKEN, Asked("warm-up"), False, frozenset(), 1, 1)
        with contextlib.suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(seconds):
                reply = await self.speaker.ask(call)
                try:
                    while await reply.read():
                        pass
                finally:
                    reply.close()

    def begin(self, call: Call, admitted: int = 0) -> "Trip":
        """A call goes to it; ``admitted`` is what ``admit`` gave."""
        return Trip(self, self._tokens(call), admitted, writes=call.endpoint != "embeddings")


class Trip:
    """One call to one upstream, from its beginning to its end, told to the provider's health once."""

    def __init__(self, upstream: Upstream, tokens: int, admitted: int, *, writes: bool) -> None:
        health = upstream.health
        self._writes = writes
        self.upstream = upstream
        self._turn = health.circuit.enter()
        self._slice: Slice | None = health.rates.take(tokens)
        self._tokens = tokens
        self._admitted = admitted
        self._ended = False
        self.begun = upstream.clock()
        self.first_byte_seconds = 0.0
        health.standing.asked()
        upstream.flying += 1

    def first_byte(self, *, stream: bool) -> None:
        """The answer began; only of a stream does that say how quick the provider is."""
        self.first_byte_seconds = self.upstream.clock() - self.begun
        if stream:
            self.upstream.health.standing.add_first_byte(self.first_byte_seconds)

    def success(self) -> None:
        """The answer came whole, and is of a kind that the wish for latency speaks of."""
        if self._end():
            seconds = self.upstream.clock() - self.begun
            self.upstream.seconds.add(seconds)
            self.upstream.health.circuit.success(self._turn)
            self.upstream.health.standing.add_total(seconds)

    def alive(self) -> None:
        """It answered that the request is at fault."""
        if self._end():
            self.upstream.health.circuit.success(self._turn)

    def failure(self, rest: float | None = None) -> None:
        """It failed, and perhaps asked to be left alone for some seconds."""
        if self.upstream.closed:
            self.leave()
        elif self._end():
            self.upstream.health.circuit.failure(self._turn)
            if rest is not None:
                self.upstream.health.circuit.rest(rest)

    def leave(self) -> None:
        """Nothing was learnt."""
        if self._end():
            self.upstream.health.circuit.leave(self._turn)

    def spent(self, usage: Usage) -> None:
        """What the call took after all; heard once."""
        if self._slice is not None:
            more = usage.input + usage.output - self._tokens
            self.upstream.health.rates.correct(self._slice, more)
            if self.upstream.quota is not None:
                self.upstream.quota.correct(self._admitted, more)
            if self._writes:
                self.upstream.output.add(usage.output)
            self._slice = None

    def _end(self) -> bool:
        if self._ended:
            return False
        self._ended = True
        self.upstream.flying -= 1
        return True


Limits = tuple[int | None, int | None]  # of requests and of tokens a minute


def _health(part: Limits, config: GatewayConfig, clock: Callable[[], float], since: Health | None) -> Health:
    """The health from before, under today's settings, or a fresh one."""
    requests, tokens = part
    if since is None:
        return Health(
            Circuit(config.breaker, clock), Rates(requests, tokens, clock), Standing(config.latency, clock)
        )
    since.circuit.config = config.breaker
    since.rates.requests, since.rates.tokens = requests, tokens
    same = since.standing.config == config.latency
    standing = since.standing if same else Standing(config.latency, clock)
    return Health(since.circuit, since.rates, standing)


def _part(provider: Provider, workers: int) -> Limits:
    """Limits are of the gateway: each of its workers keeps to an even part of them, unless they can count
    together."""

    def of(limit: int | None) -> int | None:
        return None if limit is None else max(1, limit // workers)

    return of(provider.requests_per_minute), of(provider.tokens_per_minute)
