"""One client's request on its way through the providers, until one answers or none is left."""

import asyncio
import random
from collections.abc import Callable

from router_model.errors import RequestError, UpstreamError
from router_model.serving.gateway.answer import Answer
from router_model.serving.gateway.attempt import Attempt
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.retry import Retry
from router_model.serving.gateway.passage import Passage
from router_model.serving.gateway.pool import Reply
from router_model.serving.gateway.provider import Trip, Upstream
from router_model.serving.gateway.retry import ELSEWHERE, FAULTS, error_event, jitter, retry_after
from router_model.serving.gateway.waste import Waste
from router_model.serving.gateway.within import Within

# The request that sees whether a provider has recovered is a client's: after so long another is asked too.
PROBE_HEDGE_SECONDS = 2.0
INFINITY = float("inf")


class Failure(Exception):  # noqa: N818 - no error of the project: a turn on an errand's way
    """One provider failed; its answer, where it gave one."""

    def __init__(self, words: str, answer: Answer | None = None, *, late: bool = False) -> None:
        super().__init__(words)
        self.answer = answer
        self.late = late


class Errand:
    """Who is asked, in which order, and what is done when one fails.

    Attributes:
        call: the request.
        ways: the upstreams that can take it, by tier, in the order of the tiers; none is empty.
        retry: of the file.
        deadline: by the clock.
        clock: seconds that only grow.
        wasted: told of calls that were paid and whose answer was thrown away, before ``run`` is over.
    """

    def __init__(
        self,
        call: Call,
        ways: list[list[Upstream]],
        retry: Retry,
        deadline: float,
        clock: Callable[[], float],
        wasted: Callable[[Waste], None],
    ) -> None:
        self.call = call
        self.ways = ways
        self.retry = retry
        self.deadline = deadline
        self.clock = clock
        self.wasted = wasted
        self._since = clock()
        self._asked: set[str] = set()  # in this round
        self._round = 0
        self._attempts = 0
        self._paused = 0.0  # since the last call
        self._last: Answer | None = None  # of a failure: it passes through where nothing better comes
        self._late = True  # every failure was one of time
        self._failures: list[str] = []

    async def run(self) -> Answer:
        """Ask until there is an answer that can go to the client.

        Raises:
            RequestError: nobody answered, or nobody may be asked.
        """
        try:
            answer = await self._walk()
        except BaseException:
            self._keep(None)
            raise
        if answer is not self._last:
            self._keep(None)
        answer.attempts = self._attempts
        answer.failures = self._failures
        return answer

    async def _walk(self) -> Answer:
        while self._attempts < self.retry.attempts:
            upstream = self._next(self.ways)
            if upstream is not None:
                attempt = await self._admitted(upstream)
                if attempt is None:
                    continue
                try:
                    return await self._try(attempt)
                except Failure as failure:
                    self._failed(failure)
            elif not await self._pause():
                break
            if self.clock() >= self.deadline:
                break
        if self._last is not None:
            return self._last
        raise self._refusal()

    def _next(self, ways: list[list[Upstream]]) -> Upstream | None:
        """The best that was not asked in this round and may be asked now, of the first tier that has one."""
        for way in ways:
            ready = [u for u in way if u.provider.name not in self._asked and u.wait(self.call) == 0.0]
            if ready:
                return ready[0] if len(ready) == 1 else min(ready, key=self._rank)
        return None

    def _rank(self, upstream: Upstream) -> tuple[bool, float, float]:
        # The least of exponential draws is each one's with the share of its rate: a draw by weight.
        draw = random.expovariate(upstream.provider.weight)
        return upstream.health.standing.last(), upstream.cost_usd(self.call), draw

    async def _pause(self) -> bool:
        """Wait until somebody may be asked again; false where that takes too long."""
        wait = min(u.wait(self.call) for way in self.ways for u in way)
        if wait == INFINITY:  # a probe is in the air, and will tell
            wait = self.retry.base_seconds
        if self._asked:
            wait = max(wait, jitter(self.retry, self._round))
        self._paused += wait
        if self._paused > self.retry.most_retry_after_seconds or self.clock() + wait >= self.deadline:
            return False
        await asyncio.sleep(wait)
        self._round += bool(self._asked)
        self._asked.clear()
        return True

    def _failed(self, failure: Failure) -> None:
        self._failures.append(str(failure))
        self._late &= failure.late
        if failure.answer is not None:
            self._keep(failure.answer)

    def _keep(self, answer: Answer | None) -> None:
        if self._last is not None:
            self._last.close()
        self._last = answer

    async def _admitted(self, upstream: Upstream) -> Attempt | None:
        """A call that may go there; None where it has to wait after all, which ``wait`` then says."""
        if upstream.quota is None:
            return Attempt(upstream, self.call)
        admitted = await upstream.admit(self.call)
        if admitted is None or upstream.wait(self.call):  # others went while Redis was asked
            return None
        return Attempt(upstream, self.call, admitted)

    async def _try(self, attempt: Attempt) -> Answer:
        hedge = self.retry.hedge_after_seconds
        if hedge is None and attempt.upstream.doubtful:
            hedge = PROBE_HEDGE_SECONDS
        if hedge is None or self._attempts + 1 >= self.retry.attempts:
            return await self._ask(attempt)
        return await self._hedged(attempt, hedge)

    async def _hedged(self, first: Attempt, seconds: float) -> Answer:
        """The answer of whoever is first: of this one, or of another of its tier asked a little later."""
        tasks = {asyncio.create_task(self._ask(first)): first}
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds)
            way = next(way for way in self.ways if first.upstream in way)
            other = None if done else self._next([way])
            if other is not None and (second := await self._admitted(other)):
                tasks[asyncio.create_task(self._ask(second))] = second
            return await self._first(tasks)
        finally:
            for task, attempt in tasks.items():
                self._throw_away(attempt, left=True)
                task.cancel()
                task.add_done_callback(_let_go)

    async def _first(self, tasks: "dict[asyncio.Task[Answer], Attempt]") -> Answer:
        while True:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            task = done.pop()
            del tasks[task]
            try:
                return task.result()
            except Failure as failure:
                if not tasks:
                    raise
                self._failed(failure)

    async def _ask(self, attempt: Attempt) -> Answer:
        """One call to one upstream.

        Raises:
            Failure: somebody else should be asked.
        """
        upstream = attempt.upstream
        self._asked.add(upstream.provider.name)
        self._attempts += 1
        self._paused = 0.0
        trip = upstream.begin(self.call, attempt.admitted)
        limit = min(self.retry.first_byte_seconds, self.deadline - trip.begun)
        body: Passage | None = None
        try:
            with Within(limit):
                reply = await upstream.speaker.ask(self.call)
                attempt.body = body = Passage(reply, trip, self.retry.idle_seconds, self.deadline)
                answer = _answer(reply, body, trip)
                words = _judge(trip, reply)
                head = await body.first()
            trip.first_byte(stream=answer.stream and answer.status < 400)
            answer.first_byte_seconds = trip.first_byte_seconds
            if not answer.stream:
                await body.hold()
            elif error_event(head):
                words = "its stream began with an error"
                trip.failure()
        except TimeoutError:
            # A provider is to blame where it had time: half of what the file, or the client's request, gives.
            fair = min(self.retry.first_byte_seconds, self.deadline - self._since) / 2
            self._throw_away(attempt, left=True)
            _drop(body, trip.failure if limit >= fair else trip.leave)
            raise Failure(f"{upstream.provider.name}: no answer in {limit:.3g} s", late=True) from None
        except UpstreamError as e:
            self._throw_away(attempt, left=False)
            _drop(body, trip.failure)
            raise Failure(str(e)) from None
        except BaseException:
            self._throw_away(attempt, left=True)
            _drop(body, trip.leave)
            raise
        answer.error = bool(words) or answer.status >= 400
        if words:
            raise Failure(f"{upstream.provider.name}: {words}", answer)
        return answer

    def _throw_away(self, attempt: Attempt, *, left: bool) -> None:
        if waste := attempt.waste(left=left):
            self.wasted(waste)

    def _refusal(self) -> RequestError:
        if self._failures:
            told = "; ".join(self._failures)
            return RequestError(
                504 if self._late else 502, "server_error", f"No provider answered ({told}). Try again later."
            )
        upstreams = [u for way in self.ways for u in way]
        names = ", ".join(u.provider.name for u in upstreams)
        wait = min(u.wait(self.call) for u in upstreams)
        after = 1.0 if wait == INFINITY else max(1.0, wait)
        if all(u.health.circuit.wait() == 0.0 for u in upstreams):
            words = f"The limits a minute of {names} are used up. Try again later."
            return RequestError(429, "rate_limit_error", words, retry_after=after)
        words = f"None of {names} is in service. Try again later."
        return RequestError(503, "server_error", words, retry_after=after)


def _judge(trip: Trip, reply: Reply) -> str:
    """What the status of an answer says against its provider; empty where the answer is the client's.

    Raises:
        UpstreamError: it sends us elsewhere, where no key and no prompt of ours shall go.
    """
    status = reply.status
    if 300 <= status < 400:
        raise UpstreamError(f"{trip.upstream.provider.name}: status {status}, and redirects are not followed")
    if status < 500 and status not in ELSEWHERE:
        return ""
    if status >= 500 or status in FAULTS:
        trip.failure(retry_after(reply.headers))
    else:
        trip.alive()
    return f"status {status}"


def _answer(reply: Reply, body: Passage, trip: Trip) -> Answer:
    upstream = trip.upstream
    return Answer(
        reply.status,
        reply.headers,
        body,
        upstream.provider,
        upstream.tier,
        close=body.close,
        spent=trip.spent,
    )


def _drop(body: Passage | None, tell: Callable[[], None]) -> None:
    tell()
    if body is not None:
        body.close()


def _let_go(task: "asyncio.Task[Answer]") -> None:
    """A call whose answer nobody waits for any more has ended."""
    if task.cancelled():
        return
    failure = task.exception()
    answer = task.result() if failure is None else getattr(failure, "answer", None)
    if answer is not None:
        answer.close()
