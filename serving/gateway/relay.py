"""Outcomes of requests that another worker answered, on their way there: feedback goes where its client's
connection does.

With Redis they pass through a stream, to all workers and replicas; without, through the snapshots that the
workers of one machine put beside each other.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from router_model.serving.gateway.feedback import Outcome

if TYPE_CHECKING:
    from redis.asyncio import Redis

MOST = 10_000  # that wait, or stand in the stream; older ones are let go
MOST_OF_SNAPSHOT, SNAPSHOT_SECONDS = 1000, 10.0  # the others look once a second
READ_AT_ONCE = 1000
KEEP_SECONDS = 86_400
FIELD = b"outcome"

Share = Annotated[float, Meta(ge=0, le=1)]


class _Passed(Struct, frozen=True):
    request: str
    outcome: Share
    tenant: str
    time: float
    strongest: Share | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> "_Passed":
        told = outcome.request_id, outcome.outcome, outcome.tenant, outcome.time
        return cls(*told, outcome.strongest_outcome)

    def read(self) -> Outcome:
        return Outcome(self.request, self.outcome, self.tenant, self.time, None, self.strongest)


class _Snapshot(Struct, frozen=True):
    worker: str
    passed: tuple[tuple[int, _Passed], ...]  # numbered as they came


class Relay:
    """One worker's end.

    Args:
        key: of the stream.
        redis: that replicas share; None where there is none.
        others: the last ``told`` of the other workers of the machine.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        key: str,
        redis: "Redis | None" = None,
        others: Callable[[], Iterable[Any]] = list,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key, self._redis, self._others, self._clock = key, redis, others, clock
        self._worker = secrets.token_hex(8)
        self._waiting: deque[_Passed] = deque(maxlen=MOST)
        self._shown: deque[tuple[float, int, _Passed]] = deque(maxlen=MOST_OF_SNAPSHOT)
        self._put = 0
        self._read = "0-0"  # of the stream, so far
        self._seen: dict[str, int] = {}  # of each other worker

    def put(self, outcome: Outcome) -> None:
        """Pass on an outcome of a request that is not known here."""
        passed = _Passed.of(outcome)
        if self._redis is not None:
            self._waiting.append(passed)
        else:
            self._put += 1
            self._shown.append((self._clock(), self._put, passed))

    def told(self) -> dict[str, Any]:
        """For the other workers' ``others``: plain values, for JSON."""
        since = self._clock() - SNAPSHOT_SECONDS
        fresh = tuple((number, passed) for at, number, passed in self._shown if at >= since)
        built: dict[str, Any] = msgspec.to_builtins(_Snapshot(self._worker, fresh))
        return built

    def beside(self) -> list[Outcome]:
        """What the other workers of the machine have passed on since the last call."""
        found = []
        for row in self._others():
            try:
                snapshot = msgspec.convert(row, _Snapshot)
            except msgspec.ValidationError:
                continue
            seen = self._seen.get(snapshot.worker, 0)
            found += [passed.read() for number, passed in snapshot.passed if number > seen]
            self._seen[snapshot.worker] = max([seen, *(number for number, _ in snapshot.passed)])
        return found

    async def exchange(self) -> list[Outcome]:
        """Pass on what waits, through Redis, and hear what came since the last call, the own ones among it.

        Raises:
            Exception: whatever a broken Redis raises; what waits waits on.
        """
        if self._redis is None:
            return []
        redis: Any = self._redis
        waiting = list(self._waiting)
        if waiting:
            async with redis.pipeline(transaction=False) as pipe:
                for passed in waiting:
                    pipe.xadd(self._key, {FIELD: msgspec.json.encode(passed)}, maxlen=MOST, approximate=True)
                pipe.expire(self._key, KEEP_SECONDS)
                await pipe.execute()
            for _ in waiting:
                self._waiting.popleft()
        found: list[Outcome] = []
        while rows := await redis.xrange(self._key, min=f"({self._read}", count=READ_AT_ONCE):
            for place, fields in rows:
                self._read = place.decode() if isinstance(place, bytes) else place
                if (told := _passed(fields.get(FIELD))) is not None:
                    found.append(told.read())
        return found


def _passed(raw: Any) -> _Passed | None:
    try:
        return msgspec.json.decode(raw or b"", type=_Passed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
