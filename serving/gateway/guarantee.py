"""The certificate in service: feedback on what it decided is watched, and a shift in traffic revokes it.

The watching is ``policy/monitor.py``; here its state is kept. With Redis all workers and replicas share one;
without, each worker has its own at its part of the error. What a client tells one worker of a request that
another answered is passed on. A revocation is also written to a file, which the
other workers and the next start read: remove it, or certify anew, to take it back.
"""

import hashlib
import json
import logging
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from router_model.decision import Decision
from router_model.errors import FileError, GatewayConfigError, one_line
from router_model.files import read_file
from router_model.policy.certificate import Certificate
from router_model.policy.monitor import Feedback, Monitor
from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.config.guarantee import GuaranteeConfig
from router_model.serving.gateway.feedback import REMEMBERED, Outcome
from router_model.serving.gateway.relay import Relay
from router_model.serving.gateway.ticks import Ticks

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0  # between two looks at what others found
TRIES = 8  # to write what others write as well
WAITING = 10_000  # items that wait for Redis; older ones are let go
KEEP_SECONDS = 400 * 86_400
MOST_BYTES = 64 << 10
KEY = "{router-model:certificate}"
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


@dataclass(frozen=True, slots=True)
class Instead:
    """A rule: one tier for all, since the certificate was revoked."""

    position: int
    reason: str

    def __call__(self, sufficiency: Sequence[float], usd: Sequence[float]) -> int:
        """Position of the tier."""
        return self.position

    def __str__(self) -> str:
        return f"the certificate is revoked ({self.reason})"


class _Revoked(msgspec.Struct, forbid_unknown_fields=True):
    certificate: str
    reason: str


class _Shared(msgspec.Struct, forbid_unknown_fields=True):
    items: int
    idle: float
    stakes: tuple[float, ...]


class Guarantee:
    """One worker's end.

    Args:
        certificate: of the router.
        config: the file's section.
        tiers: names of the ladder's, cheapest first.
        redis: that replicas share.
        workers: of this gateway, which share the error where there is no Redis.
        path: of the file that keeps a revocation.
        others: what the other workers' ``relay`` tells, where there is no Redis.

    Attributes:
        relay: of feedback on requests that another worker answered.

    Raises:
        GatewayConfigError: ``config`` names a tier that is none, or an error below what the certificate's
            claims take of it.
    """

    def __init__(
        self,
        certificate: Certificate,
        config: GuaranteeConfig,
        tiers: Sequence[str],
        *,
        redis: "Redis | None" = None,
        workers: int = 1,
        path: Path | None = None,
        others: Callable[[], Iterable[Any]] = list,
    ) -> None:
        if config.tier is not None and config.tier not in tiers:
            raise GatewayConfigError(
                f"guarantee.tier: {config.tier!r} is none of the router's tiers, {', '.join(tiers)}"
            )
        taken = certificate.claims_error
        if not taken < config.error:
            raise GatewayConfigError(
                f"guarantee.error: {config.error:g} is all taken by the certificate; give more than {taken:g}"
            )
        error = taken + (config.error - taken) / (1 if redis else workers)
        self.certificate, self.config = certificate, config
        self.monitor = Monitor.of(certificate, error, config.tolerance)
        self.reason = ""
        self._id = _id(certificate)
        self._tiers = tuple(tiers)
        self._instead = tiers.index(config.tier) if config.tier else len(tiers) - 1
        self._redis, self._path = redis, path
        self.relay = Relay(f"{KEY}:{self._id}:feedback", redis, others)
        self._requests: OrderedDict[str, tuple[str, Feedback]] = OrderedDict()
        self._waiting: deque[Feedback] = deque(maxlen=WAITING)
        self._ticks = Ticks(self._tick, TICK_SECONDS)
        self._cut_off = False

    @property
    def rule(self) -> Instead | None:
        """What decides in the place of the certified point; None while it stands."""
        return Instead(self._instead, self.reason) if self.reason else None

    def status(self) -> dict[str, Any]:
        """For people."""
        told: dict[str, Any] = {"promise": self.certificate.message, "feedback": self.monitor.items}
        return told | ({"status": "revoked", "reason": self.reason} if self.reason else {"status": "stands"})

    def remember(self, entry: Entry, decision: Decision) -> None:
        """Know a request, where the certified point decided it and its tier answered, or a stronger one.

        Turns that a conversation raised are a part of the traffic too, and those that are left without them
        would be no fair sample: what tells of prompts would seem to have shifted.
        """
        certified = decision.point is not None and decision.point.dial == "certified"
        if not certified or self._tiers.index(entry.tier) < self._tiers.index(decision.tier):
            return
        strongest = list(decision.sufficiency.values())[-1]
        item = Feedback(math.nan, decision.expected_quality, strongest, decision.characters)
        self._requests[entry.request_id] = (entry.caller.tenant, item)
        if len(self._requests) > REMEMBERED:
            self._requests.popitem(last=False)

    def tell(self, outcome: Outcome) -> None:
        """Count an outcome, where it is the first for a request that the certified point decided.

        One of a request that this worker did not answer is passed on to the others.
        """
        if not self._count(outcome) and outcome.tier is None:
            self.relay.put(outcome)

    def _count(self, outcome: Outcome) -> bool:
        """Whether it is of such a request, and counts now."""
        tenant, item = self._requests.get(outcome.request_id, (None, None))
        if item is None or tenant != outcome.tenant:
            return False
        del self._requests[outcome.request_id]
        item = replace(item, outcome=outcome.outcome, strongest_outcome=outcome.strongest_outcome)
        if self._redis:
            self._waiting.append(item)
        else:
            self.monitor = self.monitor.after(item)
            self._look()
        return True

    async def open(self) -> None:
        """See whether it was revoked; from then on look once a second."""
        await self._tick()
        if self._redis or self._path:
            self._ticks.start()

    async def close(self) -> None:
        """Tell what waits."""
        if await self._ticks.stop():
            await self._tick()

    async def _tick(self) -> None:
        if self._redis:
            try:
                for outcome in await self.relay.exchange():
                    self._count(outcome)
                await self._exchange(self._redis)
                self._cut_off = False
            except Exception as error:  # whatever a broken Redis does, requests go on
                if not self._cut_off:
                    logger.warning("certificate: no Redis (%s); feedback waits", one_line(error))
                self._cut_off = True
        for outcome in self.relay.beside():
            self._count(outcome)
        if self._path and not self.reason:
            self._read(self._path)
        self._look()

    async def _exchange(self, redis: "Redis") -> None:
        """Put this worker's items on top of what all have seen."""
        key = f"{KEY}:{self._id}"
        from redis.exceptions import WatchError

        for _ in range(TRIES):
            waiting = list(self._waiting)
            pipeline: Any = redis.pipeline(transaction=True)
            async with pipeline as pipe:
                await pipe.watch(key)
                monitor = self._newest(await pipe.get(key))
                for item in waiting:
                    monitor = monitor.after(item)
                if waiting:
                    shared = _Shared(monitor.items, monitor.idle, monitor.stakes)
                    pipe.multi()
                    pipe.set(key, msgspec.json.encode(shared), ex=KEEP_SECONDS)
                    try:
                        await pipe.execute()
                    except WatchError:
                        continue
            self.monitor = monitor
            for _ in waiting:
                self._waiting.popleft()
            return

    def _newest(self, raw: bytes | None) -> Monitor:
        """The shared state, or this worker's own where a Redis has lost it or holds what is none."""
        try:
            told = msgspec.json.decode(raw or b"", type=_Shared)
        except UNREADABLE:
            return self.monitor
        numbers = (told.idle, *told.stakes)
        sound = all(0 <= number < math.inf for number in numbers) and told.items >= self.monitor.items
        if not sound or len(told.stakes) != len(self.monitor.stakes):
            return self.monitor
        return replace(self.monitor, items=told.items, idle=told.idle, stakes=told.stakes)

    def _look(self) -> None:
        """Revoke where the monitor does."""
        if self.monitor.revoked and not self.reason:
            self._revoke(self.monitor.reason)
            if self._path:
                try:
                    self._path.write_bytes(msgspec.json.encode(_Revoked(self._id, self.reason)))
                except OSError as error:
                    logger.error("%s: the revocation is not kept: %s", self._path, error.strerror or error)

    def _read(self, path: Path) -> None:
        """Revoke where another worker, or an earlier start, has."""
        if not path.exists():
            return
        try:
            told = msgspec.json.decode(read_file(path, MOST_BYTES), type=_Revoked)
        except (FileError, *UNREADABLE) as error:
            self._revoke(f"{path.name} cannot be read: {one_line(error)}")
            return
        if told.certificate == self._id:
            self._revoke(told.reason)

    def _revoke(self, reason: str) -> None:
        self.reason = reason[:500]
        logger.error(
            "the certificate is revoked after %d items of feedback: %s; %s",
            self.monitor.items,
            self.reason,
            "certify the router on rows of today's traffic",
        )


def _id(certificate: Certificate) -> str:
    """Of the promise, which is of outcomes: other prices do not make another one of it."""
    told = certificate.to_dict()
    promised = {key: value for key, value in told["point"].items() if not key.startswith("cost")}
    return hashlib.sha256(json.dumps({**told, "point": promised}).encode()).hexdigest()[:32]
