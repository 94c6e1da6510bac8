"""One call, from the request to the last byte of its answer, and what is written down of it."""

import json
import secrets
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field

from msgspec import Struct

from router_model.errors import RequestError, UpstreamError
from router_model.serving.gateway.accounts import Cached, Entry
from router_model.serving.gateway.answer import Answer
from router_model.serving.gateway.cache.flight import Flight
from router_model.serving.gateway.cache.kept import Kept
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.events import Events
from router_model.serving.gateway.keys import Caller
from router_model.serving.gateway.logs import log_entry
from router_model.serving.gateway.plan import Plan
from router_model.serving.gateway.sessions.sessions import HEADER, Conversation
from router_model.serving.gateway.state import State
from router_model.serving.gateway.usage import StreamUsage, Usage, usage_of
from router_model.serving.gateway.waste import Waste

MOST_BUFFERED = 64 << 20  # of an answer that is no stream
NO_TOKENS = Usage(0, 0)
CLIENT_LEFT = 499  # what nginx logs for it
BROKEN = 502
ERRORS = 400  # and above: of answers that are none, which tell the pacer nothing unless they cost something
Headers = list[tuple[bytes, bytes]]


class Head(Struct, frozen=True, gc=False):
    """The start of an answer: status and headers."""

    status: int
    headers: Headers


Pieces = AsyncGenerator[Head | bytes, None]


def new_id() -> str:
    """A request's id: hard to guess, since feedback is given by it."""
    return f"req_{secrets.token_hex(12)}"


@dataclass(slots=True)
class Turn:
    """A call on its way.

    Attributes:
        state: the gateway as it was when the call came; a reload does not touch it.
        call, caller, id: the request.
        headers: of the client, names in lower case.
    """

    state: State
    call: Call
    caller: Caller
    id: str
    headers: Mapping[str, str]
    _time: float = field(default_factory=time.time)
    _began: float = field(default_factory=time.perf_counter)
    _status: int = CLIENT_LEFT
    _plan: Plan | None = None
    _answer: Answer | None = None
    _usage: Usage = NO_TOKENS
    _cost_usd: float = 0.0
    _cached: Cached | None = None
    _spared_usd: float = 0.0
    _wasted: list[Waste] = field(default_factory=list)
    _conversation: Conversation | None = None

    async def run(self) -> Pieces:
        """The head of the answer, then its body as it comes; close it where the client leaves.

        Raises:
            RequestError: before the head: the call is refused, or nobody answered.
            UpstreamError: after it: the answer is cut.
        """
        self.state.dispatch.turns += 1
        try:
            if sessions := self.state.sessions:
                self._conversation = await sessions.find(self.call, self.caller.tenant, self.headers)
            found = await self.state.cache.look(
                self.call, self.caller.tenant, self.headers.get("cache-control", "")
            )
            pieces = self._kept(found) if isinstance(found, Kept) else self._asked(found)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        except RequestError as error:
            self._status = error.status
            self.state.metrics.count("refused_total", error.kind)
            raise
        except UpstreamError:
            self._status = BROKEN
            raise
        finally:
            self._write_down()
            self.state.dispatch.turns -= 1

    async def _kept(self, kept: Kept) -> Pieces:
        """An answer of a cache."""
        self._cached, self._status = kept.source, kept.status
        if prices := self.state.prices.get(kept.provider):  # of a provider that the file still names
            encoding = header(kept.headers, b"content-encoding")
            self._spared_usd = prices.cost_usd(self._usage_of(b"".join(kept.chunks), encoding))
        tier, provider = kept.tier.encode(), kept.provider.encode()
        about = [(b"x-router-tier", tier), (b"x-router-provider", provider), (b"x-router-cost-usd", b"0")]
        yield Head(kept.status, [*kept.headers, *about, (b"x-router-cache", kept.source.encode())])
        for chunk in kept.chunks:
            yield chunk

    async def _asked(self, flight: Flight | None) -> Pieces:
        """The answer of an upstream; the ticket of the cache, where there is one, sees it too."""
        state, call = self.state, self.call
        with flight or nullcontext():
            able = state.able(call)
            room = await state.budgets.room(self.caller, state.worst_usd(call, able))
            try:
                self._plan = plan = self._planned(able, room.lowered)
                # What came of a draw, or of a budget that ran out, is nothing to give to others.
                ticket = None if plan.explored or room.lowered else flight
                async with state.capacity.room(plan.tier), aclosing(self._sent(plan, ticket)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:
                usd = self._cost_usd + sum(waste.usd for waste in self._wasted)
                if state.pacer is not None and (usd or self._status < ERRORS):
                    state.pacer.spent(usd)
                await room.settle(usd)

    def _planned(self, able: list[str], lowered: float) -> Plan:
        began = time.perf_counter()
        plan = self.state.planner.plan(self.call, able, lowered, self._conversation)
        if plan.decision is not None:
            self.state.metrics.observe("decision_seconds", seconds=time.perf_counter() - began)
        return plan

    async def _sent(self, plan: Plan, flight: Flight | None) -> Pieces:
        deadline = time.monotonic() + self.state.config.limits.request_seconds
        answer = await self.state.dispatch.send(
            self.call, plan.tiers, provider=plan.provider, deadline=deadline, wasted=self._wasted.append
        )
        self._answer, self._status = answer, answer.status
        self._go_on(plan, answer)
        try:
            pieces = self._streamed(answer) if answer.stream else self._whole(answer)
            async with aclosing(pieces):
                async for piece in pieces:
                    if flight is not None and isinstance(piece, bytes):
                        flight.feed(piece)
                    yield piece
            if flight is not None:
                flight.done(answer.status, answer.headers, tier=answer.tier, provider=answer.provider.name)
        finally:
            answer.close()

    def _go_on(self, plan: Plan, answer: Answer) -> None:
        """The conversation has a turn more."""
        sessions, conversation = self.state.sessions, self._conversation
        if sessions and conversation and plan.decision and not answer.error:
            sufficiency = list(plan.decision.sufficiency.values())
            move = sessions.answered(conversation, self.id, answer.tier, sufficiency)
            self.state.metrics.count("conversation_turns_total", move)

    async def _streamed(self, answer: Answer) -> Pieces:
        encoding = header(answer.headers, b"content-encoding")
        counted, events = StreamUsage(self.call.endpoint, encoding), Events()
        yield Head(answer.status, [*answer.headers, *self._about(answer)])
        try:
            async for chunk in answer.chunks:
                counted.feed(chunk)
                if whole := chunk if encoding else events.feed(chunk):
                    yield whole
            if rest := events.rest():
                yield rest
        except UpstreamError:
            if events.torn:  # end it, for the event of the error that follows
                yield b"\n\n"
            raise
        finally:
            if not answer.error:
                self._count(answer, counted.usage(self.call))

    async def _whole(self, answer: Answer) -> Pieces:
        """An answer that is no stream: read to its end first, so that the headers can tell its cost."""
        head = [*answer.headers, *self._about(answer)]
        body = bytearray()
        async for chunk in answer.chunks:
            body += chunk
            if len(body) > MOST_BUFFERED:
                raise UpstreamError(f"{answer.provider.name}: its answer is over {MOST_BUFFERED} bytes long")
        if answer.status == 200:
            self._count(answer, self._usage_of(bytes(body), header(answer.headers, b"content-encoding")))
            head.append((b"x-router-cost-usd", f"{self._cost_usd:.9f}".encode()))
        yield Head(answer.status, head)
        yield bytes(body)

    def _usage_of(self, body: bytes, encoding: str) -> Usage:
        """What a whole answer says of its tokens, or else an estimate."""
        endpoint = self.call.endpoint
        told = usage_of(endpoint, body, encoding)
        if told and (told.output or endpoint == "embeddings"):
            return told
        counted = StreamUsage(endpoint, encoding)  # estimates what was not told
        counted.feed(body)
        return counted.usage(self.call)

    def _count(self, answer: Answer, usage: Usage) -> None:
        self._usage = usage
        self._cost_usd = self.state.prices[answer.provider.name].cost_usd(usage)
        answer.spent(usage)

    def _about(self, answer: Answer) -> Headers:
        """What the headers say of the decision."""
        about = [
            (b"x-router-tier", answer.tier.encode()),
            (b"x-router-model", answer.provider.model.encode()),
            (b"x-router-provider", answer.provider.name.encode()),
        ]
        about += self._carried()
        if self._plan and self.headers.get("x-router-details", "") in ("1", "true"):
            decision = self._plan.decision
            told = {
                "asked": self.call.asked.word,
                "why": decision.why if decision else "named by the client",
                "sufficiency": decision.sufficiency if decision else {},
                "expected_cost_usd": decision.expected_cost_usd if decision else None,
                "explored": self._plan.explored,
                "propensity": self._plan.propensity,
                "region": answer.provider.region,
                "attempts": answer.attempts,
                "failures": answer.failures,
            }
            about.append((b"x-router-details", json.dumps(told).encode()))
        return about

    def _carried(self) -> Headers:
        """What the client may send back with the conversation's next turn."""
        sessions, conversation = self.state.sessions, self._conversation
        token = sessions.token(conversation, self.caller.tenant) if sessions and conversation else ""
        return [(HEADER.encode(), token.encode())] if token else []

    def _write_down(self) -> None:
        """Accounts, metrics, and the traffic log."""
        state, answer, plan, conversation = self.state, self._answer, self._plan, self._conversation
        if state.sessions and conversation:
            state.sessions.keep(conversation, self.id, failed=self._status >= 500)
        decision = plan.decision if plan else None
        decided = decision is not None
        escalated = bool(answer and plan and answer.tier != plan.tier)
        entry = Entry(
            request_id=self.id,
            time=self._time,
            caller=self.caller,
            endpoint=self.call.endpoint,
            tier=answer.tier if answer else "",
            provider=answer.provider.name if answer else "",
            model=answer.provider.model if answer else "",
            status=self._status,
            usage=self._usage,
            cost_usd=self._cost_usd,
            strongest_usd=state.strongest_usd(self._usage) if decided else None,
            cached=self._cached,
            spared_usd=self._spared_usd,
            wasted=tuple(self._wasted),
            attempts=answer.attempts if answer else 0,
            escalated=escalated,
            explored=bool(plan and plan.explored),
            propensity=plan.propensity if plan and decided and not escalated else None,
            stream=self.call.stream,
            seconds=time.perf_counter() - self._began,
            first_byte_seconds=answer.first_byte_seconds if answer else 0.0,
            asked=self.call.asked.word,
            session=conversation.name if conversation else self.headers.get(HEADER),
        )
        state.accounts.add(entry)
        state.metrics.add(entry)
        state.lasting.spans.add(entry, self.headers.get("traceparent"))
        if state.config.log_requests:
            log_entry(entry)
        if state.guarantee and decision and not entry.explored and self._status == 200:
            state.guarantee.remember(entry, decision)
        if state.traffic is not None:
            state.traffic.add(entry, self.call)
        if state.hears_feedback:
            state.feedback.remember(entry)


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """A header of an answer; empty where it has none."""
    return next((value.decode("latin-1") for key, value in headers if key == name), "")
