"""One call, from the request to the last byte of its answer, and what is written down of it."""

import json
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from router_model.errors import RequestError, UpstreamError
from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.answer import Answer
from router_model.serving.gateway.cache import Flight, Kept
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.keys import Caller
from router_model.serving.gateway.plan import Plan
from router_model.serving.gateway.rows import row_of
from router_model.serving.gateway.state import State
from router_model.serving.gateway.usage import StreamUsage, Usage, usage_of

MOST_BUFFERED = 64 << 20  # of an answer that is no stream; a longer one passes through without its cost
NO_TOKENS = Usage(0, 0)
CLIENT_LEFT = 499  # what nginx logs for it
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Head:
    """The start of an answer: status and headers."""

    status: int
    headers: Headers


Pieces = AsyncGenerator[Head | bytes, None]


def new_id() -> str:
    """A request's id: hard to guess, since feedback is given by it."""
    return f"req_{secrets.token_hex(12)}"


@dataclass(slots=True)
class Exchange:
    """A call on its way.

    Attributes:
        state: the gateway as it was when the call came; a reload does not touch it.
        call, caller, id: the request.
        details: whether the client asked how the decision came about.
    """

    state: State
    call: Call
    caller: Caller
    id: str
    details: bool = False
    _began: float = field(default_factory=time.perf_counter)
    _status: int = CLIENT_LEFT
    _plan: Plan | None = None
    _answer: Answer | None = None
    _usage: Usage = NO_TOKENS
    _cost_usd: float = 0.0
    _cached: str | None = None
    _failures: list[str] = field(default_factory=list)

    async def run(self) -> Pieces:
        """The head of the answer, then its body as it comes; close it where the client leaves.

        Raises:
            RequestError: before the head: the call is refused, or nobody answered.
            UpstreamError: after it: the answer is cut.
        """
        try:
            found = await self.state.cache.look(self.call, self.caller.tenant)
            pieces = self._kept(found) if isinstance(found, Kept) else self._asked(found)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        except RequestError as error:
            self._status = error.status
            raise
        finally:
            self._write_down()

    async def _kept(self, kept: Kept) -> Pieces:
        """An answer of a cache, with the headers of the day it was made but for the id."""
        self._cached, self._status = kept.kind, kept.status
        yield Head(kept.status, [*kept.headers, *self._named(b"x-router-cache", kept.kind)])
        for chunk in kept.chunks:
            yield chunk

    async def _asked(self, flight: Flight | None) -> Pieces:
        """The answer of an upstream, copied to the flight of the cache."""
        state, call = self.state, self.call
        try:
            able = state.able(call)
            room = await state.budgets.room(self.caller, state.worst_usd(call, able))
            try:
                self._plan = plan = state.planner.plan(call, able, room.lowered)
                async with state.capacity.room(plan.tier):
                    pieces = self._sent(plan)
                    async with aclosing(pieces):
                        async for piece in pieces:
                            if flight is not None:
                                self._copy(flight, piece)
                            yield piece
            finally:
                await room.settle(self._cost_usd)
            if flight is not None:
                flight.done()
        except BaseException:
            if flight is not None:
                flight.fail()
            raise

    def _copy(self, flight: Flight, piece: Head | bytes) -> None:
        if isinstance(piece, Head):
            flight.start(piece.status, piece.headers)
        else:
            flight.feed(piece)

    async def _sent(self, plan: Plan) -> Pieces:
        """Ask upstream; a whole answer that is cut is asked for again, since nothing of it has gone out."""
        state, limits = self.state, self.state.config.limits
        deadline = time.monotonic() + limits.request_seconds
        for attempt in range(state.config.retry.attempts, 0, -1):
            answer = await state.dispatch.send(
                self.call, plan.tiers, provider=plan.provider, deadline=deadline
            )
            self._answer = answer
            try:
                async with aclosing(self._passed(answer)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except UpstreamError as error:
                self._failures.append(f"{answer.provider.name}: {error}")
                if answer.stream or attempt == 1:
                    raise

    async def _passed(self, answer: Answer) -> Pieces:
        head = [*answer.headers, *self._about(answer)]
        self._status = answer.status
        if answer.stream:
            counted = StreamUsage(self.call.endpoint)
            yield Head(answer.status, head)
            try:
                async for chunk in answer.chunks:
                    counted.feed(chunk)
                    yield chunk
            finally:
                self._count(answer, counted.usage(self.call))
            return
        body = b"".join([chunk async for chunk in answer.chunks])
        if answer.status == 200:
            self._count(answer, usage_of(self.call.endpoint, body) or by_length(self.call, body))
            head += self._named(b"x-router-cost-usd", f"{self._cost_usd:.9f}")
        yield Head(answer.status, head)
        yield body

    def _count(self, answer: Answer, usage: Usage) -> None:
        self._usage = usage
        self._cost_usd += self.state.prices[answer.provider.name].cost_usd(usage)

    def _about(self, answer: Answer) -> Headers:
        """What the headers say of the decision."""
        about = [
            (b"x-router-tier", answer.tier.encode()),
            (b"x-router-model", answer.provider.model.encode()),
            (b"x-router-provider", answer.provider.name.encode()),
        ]
        if self.details and self._plan:
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
                "failures": [*self._failures, *answer.failures],
            }
            about += self._named(b"x-router-details", json.dumps(told))
        return about

    @staticmethod
    def _named(name: bytes, value: str) -> Headers:
        return [(name, value.encode("ascii", "replace"))]

    def _write_down(self) -> None:
        """Accounts, metrics and the traffic log."""
        state, answer, plan = self.state, self._answer, self._plan
        entry = Entry(
            id=self.id,
            time=time.time(),
            caller=self.caller,
            endpoint=self.call.endpoint,
            tier=answer.tier if answer else None,
            provider=answer.provider.name if answer else None,
            model=answer.provider.model if answer else None,
            status=self._status,
            usage=self._usage,
            cost_usd=self._cost_usd,
            strongest_usd=state.strongest_usd(self._usage),
            cached=self._cached,
            attempts=answer.attempts if answer else 0,
            stream=self.call.stream,
            seconds=time.perf_counter() - self._began,
            first_byte_seconds=answer.first_byte_seconds if answer else 0.0,
            propensity=plan.propensity if plan else None,
            explored=bool(plan and plan.explored),
        )
        state.accounts.add(entry)
        state.metrics.add(entry)
        if state.traffic is not None:
            state.traffic.add(row_of(entry, self.call, plan))


def by_length(call: Call, body: bytes) -> Usage:
    """Tokens of an answer that names none: a quarter of its bytes, which overrates what JSON adds."""
    return Usage(call.input_tokens, len(body) // 4, estimated=True)
