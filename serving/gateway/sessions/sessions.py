"""Conversations as a gateway keeps them: found again at each turn, and put away after it."""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router_model.ladder import Ladder
from router_model.policy.rule import Priced
from router_model.policy.session import InputPrice, Outlook, Session, Staying, Terms
from router_model.router import Router
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.config.sessions import Sessions as Config
from router_model.serving.gateway.prices import MILLIONTH, Prices
from router_model.serving.gateway.sessions.said import Said
from router_model.serving.gateway.sessions.store import Store
from router_model.serving.gateway.sessions.token import (
    LONGEST_NAME,
    PREFIX,
    Known,
    decode,
    encode,
    sealed,
    unsealed,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis

HEADER = "x-router-session"
ENDPOINTS = frozenset({"chat", "responses", "messages"})  # whose requests hold a conversation
SECRET_BYTES = 32


@dataclass(slots=True)
class Conversation:
    """A conversation at one of its turns.

    Attributes:
        name: what the log calls it.
        key: under which the store keeps it from this turn on.
        before: under which it was until then; None for one that begins.
        session: what is known of it, at first before this turn and then after it.
        terms: what its turns cost at each of the ladder's tiers.
        strongest_usd: what a turn like this costs at the strongest tier, in a conversation that is there.
        tokens: of the whole prompt, an estimate.
        at: seconds since 1970.
        tool_loop: whether tool calls, or their results, wait for the model.
        known: what is to be kept of it; None until it is told.
    """

    name: str
    key: bytes
    before: bytes | None
    session: Session
    terms: Terms
    strongest_usd: float
    tokens: int
    at: float
    tool_loop: bool
    known: Known | None = None

    @property
    def least(self) -> int:
        """The lowest tier that may answer, in the router's ladder."""
        return self.session.least(tool_loop=self.tool_loop)

    def by_penalty(self, penalty: float) -> Staying:
        """What decides this turn by a dial's penalty, in quality for what the strongest tier costs."""
        return self.rule(Priced(penalty / self.strongest_usd))

    def rule(self, base: Priced) -> Staying:
        """What decides this turn where a dollar, and a second, have a price."""
        return self.session.rule(base, self.terms, tokens=self.tokens, at=self.at, tool_loop=self.tool_loop)


class Sessions:
    """The conversations of a gateway, as one of its workers knows them.

    Args:
        config: the section of the file.
        gateway: the whole of it.
        router: whose ladder the tiers are of; its prices are what decisions count in, and of the providers'
            prices the ratios count: how much less a token costs that is read from the cache.
        prices: of each provider, by its name.
        redis: that workers and replicas share; None where there is none.
        secret: that seals tokens; b"" makes one up.
        clock: seconds since 1970, which replicas have in common.
        since: the conversations before a reload.
    """

    def __init__(
        self,
        config: Config,
        gateway: GatewayConfig,
        router: Router,
        prices: Mapping[str, Prices],
        redis: "Redis | None" = None,
        secret: bytes = b"",
        clock: Callable[[], float] = time.time,
        since: "Sessions | None" = None,
    ) -> None:
        self._config, self._router, self._clock = config, router, clock
        known = since.store if since and since._like(config, redis) else None
        self.store: Store = known or Store(config.entries, config.keep_seconds, redis, clock)
        self._redis = redis
        self._own: bytes = secret or (since._own if since else os.urandom(SECRET_BYTES))
        outlook = Outlook(config.turns_left, config.kept_share)
        ladder = router.ladder
        # What is known is of these tiers and models: a router of others finds nothing of it.
        tiers = repr([(tier.name, tier.models[0]) for tier in ladder.tiers]).encode()
        self._tiers = hashlib.blake2b(tiers, digest_size=16).digest()
        self._secret = hmac.digest(self._own, self._tiers, "sha256")
        self._terms = {
            shape: Terms(_input_prices(ladder, _first(gateway, shape), prices), outlook)
            for shape in ("openai", "anthropic")
        }
        self._uncached = Terms(_input_prices(ladder, {}, prices), outlook)
        self._answer_usd = ladder.tiers[-1].cost_usd(0, router.artifact.manifest.output_tokens[-1])

    async def find(self, call: Call, tenant: str, headers: Mapping[str, str]) -> Conversation | None:
        """The conversation that a request goes on with, or begins; None where the router is not asked."""
        if call.endpoint not in ENDPOINTS or call.asked.model is not None or call.asked.tier is not None:
            return None
        told, now = headers.get(HEADER), self._clock()
        token = told if told and told.startswith(PREFIX) else None
        said = Said.read(call.body, None if token else told)
        known = unsealed(token, tenant, self._secret) if token else None
        key = self._key(tenant, "said", said.now)
        before = self._key(tenant, "said", said.before) if said.before else None
        if said.name is not None:
            key = before = self._key(tenant, "name", said.name.encode("utf-8", "surrogatepass"))
        if known is None and before and (raw := await self.store.get(before)):
            known = decode(raw)
        tiers = len(self._router.ladder)
        if known is not None and known.fits(tiers, now, self._config.keep_seconds):
            name, session = known.name, known.session()
            if said.complaint or await self.store.get(self._key(tenant, "failed", known.request.encode())):
                session = session.failed()
        else:
            name, session = _short(said.name) or secrets.token_hex(8), Session.begun(tiers)
        terms = self._terms_of(call)
        return Conversation(
            name=name,
            key=key,
            before=before,
            session=session,
            terms=terms,
            strongest_usd=terms.strongest_usd(call.input_tokens, self._answer_usd),
            tokens=call.input_tokens,
            at=now,
            tool_loop=said.tool_loop,
        )

    def answered(
        self, conversation: Conversation, request: str, tier: str, sufficiency: Sequence[float]
    ) -> str:
        """A tier of the ladder has begun to answer the turn: "began", "stayed", or went "up" or "down"."""
        c = conversation
        place, before = self._router.ladder.names.index(tier), c.session.tier
        c.session = c.session.after(place, sufficiency, c.terms, tokens=c.tokens, at=c.at)
        c.known = Known.of(c.name, request, c.at, c.session)
        if before < 0:
            return "began"
        return "stayed" if place == before else "up" if place > before else "down"

    def token(self, conversation: Conversation, tenant: str) -> str:
        """What the client may carry to the next turn; "" where there is nothing to tell."""
        return sealed(conversation.known, tenant, self._secret) if conversation.known else ""

    def keep(self, conversation: Conversation, request: str, *, failed: bool) -> None:
        """Put a conversation away when its turn has ended; ``failed`` where there was no whole answer."""
        c = conversation
        c.session = c.session.failed() if failed else c.session
        if not c.session.turns:
            return
        raw = encode(Known.of(c.name, request, c.at, c.session))
        self.store.put(c.key, raw)
        if failed and c.before and c.before != c.key:
            self.store.put(c.before, raw)  # the client is likely to send the same request again

    def fail(self, request: str, tenant: str) -> None:
        """The answer to a request was told to be bad: its conversation goes up a tier at its next turn."""
        self.store.put(self._key(tenant, "failed", request.encode()), b"1")

    async def close(self) -> None:
        """Wait for what is on its way to Redis."""
        await self.store.close()

    def _key(self, tenant: str, kind: str, told: bytes) -> bytes:
        """A name in the store that tells nothing of what it is made of."""
        digest = hashlib.blake2b(digest_size=16, person=kind.encode())
        raw = tenant.encode()
        digest.update(self._tiers + b"%d " % len(raw) + raw + told)
        return digest.hexdigest().encode()

    def _like(self, config: Config, redis: "Redis | None") -> bool:
        bounds = (config.entries, config.keep_seconds)
        return self._redis is redis and bounds == (self._config.entries, self._config.keep_seconds)

    def _terms_of(self, call: Call) -> Terms:
        if call.endpoint != "messages":
            return self._terms["openai"]
        # Anthropic's models write to the cache, and read from it, where the client marks what.
        return self._terms["anthropic"] if b'"cache_control"' in call.raw else self._uncached


def _first(gateway: GatewayConfig, shape: str) -> dict[str, Provider]:
    """The first provider of each tier that takes such requests, by the tier's name."""
    return {
        tier.name: provider
        for tier in gateway.tiers
        for provider in reversed(tier.providers)
        if (provider.shape == "anthropic") == (shape == "anthropic")
    }


def _input_prices(
    ladder: Ladder, providers: Mapping[str, Provider], prices: Mapping[str, Prices]
) -> list[InputPrice]:
    """The ladder's prices of input tokens [K], cached and written ones by the ratios of the providers'."""
    found = []
    for tier in ladder.tiers:
        plain, provider = tier.input_usd_per_million * MILLIONTH, providers.get(tier.name)
        asked = prices[provider.name] if provider else None
        if provider is None or asked is None or not asked.input:
            found.append(InputPrice(plain, plain, plain))
            continue
        scale = plain / asked.input
        seconds, tokens = provider.prompt_cache_seconds, provider.prompt_cache_tokens
        found.append(InputPrice(plain, asked.cached * scale, asked.written * scale, seconds, tokens))
    return found


def _short(name: str | None) -> str | None:
    """A client's name for a conversation, or a hash of one that is too long to carry around."""
    if name is None or (name.isascii() and len(name) <= LONGEST_NAME):
        return name
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
