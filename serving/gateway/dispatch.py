"""Who is asked, in which order, and what is done when one fails."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from router_model.errors import RequestError, UpstreamError
from router_model.serving.gateway.answer import Answer
from router_model.serving.gateway.answer_body import Body
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config import GatewayConfig, Provider, Retry
from router_model.serving.gateway.pool import WARM_SECONDS, Http, Pool, Reply, Speaker
from router_model.serving.gateway.provider import Prices, Trip, Upstream, file_prices
from router_model.serving.gateway.retry import ELSEWHERE, FAULTS, error_event, jitter, retry_after


class Failure(Exception):  # noqa: N818 - no error of the project: a turn in the dispatch's own way
    """One provider failed; its answer, where it gave one."""

    def __init__(self, words: str, answer: Answer | None = None, *, late: bool = False) -> None:
        super().__init__(words)
        self.answer = answer
        self.late = late


@dataclass(slots=True)
class Errand:
    """One client's request on its way through the providers.

    Attributes:
        ways: the upstreams that can take it, by tier, in the order of the tiers.
        asked: in this round.
        round: of all upstreams, from 0.
        attempts: calls so far.
        paused: seconds since the last call.
        last: the newest answer of a failure, which passes through where nothing better comes.
        late: whether every failure was one of time.
    """

    call: Call
    ways: list[list[Upstream]]
    deadline: float
    begun: float
    asked: set[str] = field(default_factory=set)
    round: int = 0
    attempts: int = 0
    paused: float = 0.0
    last: Answer | None = None
    late: bool = True
    failures: list[str] = field(default_factory=list)

    def failed(self, failure: Failure) -> None:
        """Remember a failure."""
        self.failures.append(str(failure))
        self.late &= failure.late
        if failure.answer is not None:
            self.drop()
            self.last = failure.answer

    def drop(self) -> None:
        """Let go of the answer that was kept."""
        if self.last is not None:
            self.last.close()
            self.last = None


class Dispatch:
    """The providers of a gateway's file, and the way of a request among them.

    In a tier: those whose breaker is closed and whose limits leave room; first those that meet the latency
    wish, then the cheapest for this call, equal ones by weight. One that fails is followed by the next of
    the tier, then by the tiers above where the file allows it, then by another round after a pause.

    Attributes:
        config: of the file.
        upstreams: by the provider's name.
    """

    def __init__(
        self,
        config: GatewayConfig,
        secrets: Mapping[str, str],
        since: "Dispatch | None" = None,
        *,
        prices: Callable[[Provider], Prices] = file_prices,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.config = config
        self.upstreams: dict[str, Upstream] = {}
        self._clock = clock
        self._pool = Pool(config.retry)
        self._warmth: asyncio.Task[None] | None = None
        self._tiers: dict[str, list[Upstream]] = {}
        for tier in config.tiers:
            for p in tier.providers:
                before = since.upstreams.get(p.name) if since else None
                if before is not None and before.provider.base_url != p.base_url:
                    before = None
                speaker = _speaker(p, secrets.get(p.name), self._pool, config.retry)
                upstream = Upstream(p, tier.name, speaker, prices(p), config, clock, before)
                self.upstreams[p.name] = upstream
                self._tiers.setdefault(tier.name, []).append(upstream)

    async def open(self) -> None:
        """Open the connections that the file wants ahead, as far as they can be, and keep them."""
        await self._pool.open()
        await self._warm()
        self._warmth = asyncio.create_task(self._keep_warm())

    async def close(self, seconds: float = 0.0) -> None:
        """Close all connections, after answers that are under way had so many seconds to end."""
        if self._warmth is not None:
            self._warmth.cancel()
        try:
            async with asyncio.timeout(seconds):
                while self.flying:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass
        await self._pool.close()

    @property
    def flying(self) -> int:
        """Calls that are under way."""
        return sum(u.flying for u in self.upstreams.values())

    def able(self, call: Call, tier: str) -> list[Provider]:
        """Providers of a tier whose shape, abilities and context fit the call, healthy or not."""
        return [u.provider for u in self._tiers.get(tier, ()) if u.takes(call)]

    async def send(
        self, call: Call, tiers: Sequence[str], *, deadline: float, provider: str | None = None
    ) -> Answer:
        """Have a call answered.

        Args:
            call: as the client sent it.
            tiers: in the order in which they may answer; the first that has an able provider is the one
                wanted.
            deadline: by the clock (``time.monotonic`` unless told otherwise), when the whole answer has to
                have gone.
            provider: only those of this name, or of this model.

        Returns:
            The answer whose first piece is here, or all of it where it is no stream of at most 4 MiB. Its
            ``close`` has to be called however it ends.

        Raises:
            RequestError: 400 nobody can take it; 429 or 503 nobody may be asked now; 502 or 504 nobody
                answered. Where a provider answered with an error, that answer is returned instead.
        """
        ways = self._ways(call, tiers, provider)
        errand = Errand(call, ways, deadline, self._clock())
        try:
            answer = await self._walk(errand)
        except BaseException:
            errand.drop()
            raise
        if answer is not errand.last:
            errand.drop()
        answer.attempts = errand.attempts
        answer.failures = errand.failures
        return answer

    def _ways(self, call: Call, tiers: Iterable[str], name: str | None) -> list[list[Upstream]]:
        ways = []
        for tier in tiers:
            able = [u for u in self._tiers.get(tier, ()) if u.takes(call)]
            if name is not None:
                able = [u for u in able if name in (u.provider.name, u.provider.model)]
            if able:
                ways.append(able)
        if not ways:
            raise RequestError(
                400,
                "invalid_request_error",
                f"No provider of {', '.join(tiers) or 'no tier'} takes this request"
                f"{f' under the name {name}' if name else ''}: it may be too long for its model, or need "
                "images, tools or a JSON schema that it does not have.",
            )
        return ways if self.config.retry.upwards else ways[:1]

    async def _walk(self, errand: Errand) -> Answer:
        while errand.attempts < self.config.retry.attempts:
            upstream = self._next(errand, errand.ways)
            if upstream is None:
                if not await self._pause(errand):
                    break
                continue
            try:
                return await self._try(errand, upstream)
            except Failure as failure:
                errand.failed(failure)
            if self._clock() >= errand.deadline:
                break
        if errand.last is not None:
            return errand.last
        raise self._refusal(errand)

    def _next(self, errand: Errand, ways: list[list[Upstream]]) -> Upstream | None:
        """The best upstream that was not asked in this round and may be asked now, of the first tier that
        has one."""
        for way in ways:
            ready = [u for u in way if u.provider.name not in errand.asked and self._wait(errand, u) == 0.0]
            if len(ready) == 1:
                return ready[0]
            if ready:
                return min(ready, key=lambda u: self._rank(errand.call, u))
        return None

    def _wait(self, errand: Errand, upstream: Upstream) -> float:
        usage = upstream.expected(errand.call)
        return upstream.wait(usage.input + usage.output)

    @staticmethod
    def _rank(call: Call, upstream: Upstream) -> tuple[bool, float, float]:
        cost = upstream.prices.cost_usd(upstream.expected(call))
        # The least of exponential draws is each one's with the share of its rate: a draw by weight.
        draw = random.expovariate(upstream.provider.weight)
        return upstream.health.standing.last(), round(cost, 12), draw

    async def _pause(self, errand: Errand) -> bool:
        """Wait until somebody may be asked again; false where that is too long."""
        retry = self.config.retry
        wait = min(self._wait(errand, u) for way in errand.ways for u in way)
        if errand.asked:
            wait = max(wait, jitter(retry, errand.round)) if wait < float("inf") else wait
        seconds = min(wait, retry.base_seconds) if wait == float("inf") else wait
        errand.paused += seconds
        late = self._clock() + seconds >= errand.deadline
        if late or errand.paused > retry.most_retry_after_seconds:
            return False
        await asyncio.sleep(seconds)
        errand.round += bool(errand.asked)
        errand.asked.clear()
        return True

    async def _try(self, errand: Errand, upstream: Upstream) -> Answer:
        hedge = self.config.retry.hedge_after_seconds
        first = self._ask(errand, upstream)
        if hedge is None or errand.attempts >= self.config.retry.attempts:
            return await first
        return await self._hedged(errand, upstream, asyncio.create_task(first), hedge)

    async def _hedged(
        self, errand: Errand, upstream: Upstream, first: "asyncio.Task[Answer]", seconds: float
    ) -> Answer:
        """The answer of whoever is first, of the one asked and of another of its tier a little later."""
        tasks = {first}
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds)
            way = [u for w in errand.ways for u in w if u.tier == upstream.tier]
            other = self._next(errand, [way]) if not done else None
            if other is not None and errand.attempts < self.config.retry.attempts:
                tasks.add(asyncio.create_task(self._ask(errand, other)))
            return await self._first(errand, tasks)
        finally:
            for task in tasks:
                _call_off(task)

    async def _first(self, errand: Errand, tasks: "set[asyncio.Task[Answer]]") -> Answer:
        while True:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            task = done.pop()
            tasks.discard(task)
            try:
                return task.result()
            except Failure as failure:
                if not tasks:
                    raise
                errand.failed(failure)

    async def _ask(self, errand: Errand, upstream: Upstream) -> Answer:
        """One call to one upstream.

        Raises:
            Failure: somebody else should be asked.
        """
        errand.asked.add(upstream.provider.name)
        errand.attempts += 1
        errand.paused = 0.0
        retry, name = self.config.retry, upstream.provider.name
        trip = upstream.begin(errand.call)
        limit = min(retry.first_byte_seconds, errand.deadline - trip.begun)
        body: Body | None = None
        try:
            async with asyncio.timeout(limit):
                reply = await upstream.speaker.ask(errand.call)
                body = Body(reply, trip, retry.idle_seconds, errand.deadline)
                answer = _answer(reply, body, trip)
                words = judge(trip, answer)
                head = await body.first()
            answer.first_byte_seconds = trip.first_byte_seconds
            if answer.stream:
                words = words or judge_event(trip, head)
            else:
                await body.hold()
        except TimeoutError:
            # A provider is to blame where it had time: half of what the file, or the client's request, gives.
            fair = min(retry.first_byte_seconds, errand.deadline - errand.begun) / 2
            _drop(body, trip.failure if limit >= fair else trip.leave)
            raise Failure(f"{name}: no answer in {limit:.3g} s", late=True) from None
        except UpstreamError as e:
            _drop(body, trip.failure)
            raise Failure(str(e)) from None
        except BaseException:
            _drop(body, trip.leave)
            raise
        if words:
            raise Failure(f"{name}: {words}", answer)
        return answer

    def _refusal(self, errand: Errand) -> RequestError:
        if errand.attempts:
            status = 504 if errand.late else 502
            return RequestError(
                status,
                "server_error",
                f"No provider answered ({'; '.join(errand.failures)}). Try again later.",
            )
        upstreams = [u for way in errand.ways for u in way]
        wait = min(self._wait(errand, u) for u in upstreams)
        names = ", ".join(u.provider.name for u in upstreams)
        after = max(1.0, wait) if wait < float("inf") else 1.0
        if all(u.health.circuit.wait() == 0.0 for u in upstreams):
            return RequestError(
                429, "rate_limit_error", f"The limits a minute of {names} are used up.", retry_after=after
            )
        return RequestError(
            503, "server_error", f"None of {names} is in service. Try again later.", retry_after=after
        )

    async def _warm(self) -> None:
        upstreams = [u for u in self.upstreams.values() if u.provider.warm_connections]
        try:
            async with asyncio.timeout(self.config.retry.connect_seconds):
                await asyncio.gather(*(u.speaker.warm(u.provider.warm_connections) for u in upstreams))
        except TimeoutError:
            pass

    async def _keep_warm(self) -> None:
        while True:
            await asyncio.sleep(WARM_SECONDS)
            await self._warm()


def judge(trip: Trip, answer: Answer) -> str:
    """What the status of an answer says against its provider; empty where the answer is the client's."""
    status = answer.status
    if status < 500 and status not in ELSEWHERE:
        return ""
    if status >= 500 or status in FAULTS:
        trip.failure(retry_after(answer.headers))
    else:
        trip.leave()
    return f"status {status}"


def judge_event(trip: Trip, head: bytes) -> str:
    """What the first event of a stream says against its provider."""
    if not error_event(head):
        return ""
    trip.failure()
    return "its stream began with an error"


def _answer(reply: Reply, body: Body, trip: Trip) -> Answer:
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


def _drop(body: Body | None, tell: Callable[[], None]) -> None:
    tell()
    if body is not None:
        body.close()


def _call_off(task: "asyncio.Task[Answer]") -> None:
    """End a call whose answer nobody waits for any more."""
    task.cancel()
    task.add_done_callback(_let_go)


def _let_go(task: "asyncio.Task[Answer]") -> None:
    if task.cancelled():
        return
    failure = task.exception()
    answer = failure.answer if isinstance(failure, Failure) else None
    if failure is None:
        answer = task.result()
    if answer is not None:
        answer.close()


def _speaker(provider: Provider, secret: str | None, pool: Pool, retry: Retry) -> Speaker:
    if provider.shape != "litellm":
        return Http(provider, secret, pool)
    from router_model.serving.gateway.litellm import LiteLLM

    return LiteLLM(provider, secret, retry)
