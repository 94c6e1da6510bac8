"""What the workers that pace one budget tell each other, and where: in Redis, or in files of one machine.

Each worker's part stands under its own name and only grows, so that to tell it twice does no harm, and what a
store has lost is told again by those who know it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
from msgspec import Meta, Struct

from router_model.errors import FileError, GatewayConfigError, one_line
from router_model.files import read_file
from router_model.policy.demand import LEVELS
from router_model.policy.pace import MOST_LEVEL
from router_model.policy.traffic import SLOTS

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.25
KEEP_SECONDS = 33 * 86_400  # longer than any term
MOST_BYTES = 16 << 20
KEY = "{router-model:pace}"  # the braces keep all of them on one node of a cluster

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Time = Annotated[float, Meta(ge=0, le=1e11)]
Amount = Annotated[float, Meta(ge=0, le=1e12)]
Level = Annotated[float, Meta(ge=0, le=MOST_LEVEL)]
Costs = Annotated[
    tuple[Annotated[float, Meta(ge=0, le=1e9)], ...], Meta(min_length=len(LEVELS), max_length=len(LEVELS))
]


class Told(Struct, frozen=True):
    """One worker's part of a term.

    Attributes:
        worker: its name, of its own for each start.
        since: when it began; the base of the one that was first is that of all.
        at: when it told this.
        start: of the term.
        base: of the price's level.
        usd, requests, moved: as in ``router_model.policy.pace.Totals``.
    """

    worker: Id
    since: Time
    at: Time
    start: Time
    base: Level
    usd: Amount
    requests: Amount
    moved: Annotated[float, Meta(ge=-1e9, le=1e9)]


class Learnt(Struct, frozen=True):
    """What outlives a term: the profile and the demand of a usual day, and the price's level."""

    days: Annotated[int, Meta(ge=0, le=10**6)] = 0
    requests: Annotated[tuple[Annotated[float, Meta(ge=0, le=1e15)], ...], Meta(max_length=SLOTS)] = ()
    demand: Annotated[tuple[Costs, ...], Meta(max_length=SLOTS)] = ()
    level: Level | None = None


class _File(Struct, frozen=True):
    told: tuple[Told, ...] = ()
    learnt: Learnt = Learnt()


class Store(Protocol):
    """Where workers tell each other."""

    async def open(self, start: float) -> tuple[list[Told], Learnt]:
        """What is known of the term that began at ``start``, and of the days before."""
        ...

    async def exchange(self, own: Told, known: Mapping[str, Told], learnt: Learnt) -> list[Told] | None:
        """Tell the own part, and hear those of the others; None where nobody can be heard now."""
        ...


class Shelf:
    """A file that outlives the processes, and beside it what the workers of one machine tell each other.

    Raises:
        GatewayConfigError: at ``open``: the file cannot be read, or is no such file.
    """

    def __init__(self, path: Path | None, siblings: Callable[[], Iterable[Any]]) -> None:
        self._path, self._siblings = path, siblings
        self._failed = False

    async def open(self, start: float) -> tuple[list[Told], Learnt]:
        """As ``Store``."""
        if self._path is None or not self._path.exists():
            return [], Learnt()
        try:
            found = msgspec.json.decode(read_file(self._path, MOST_BYTES), type=_File)
        except (FileError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            what = (
                f"how the budget was spent cannot be read ({one_line(error)}); remove it to start at nothing"
            )
            raise GatewayConfigError(f"{self._path}: {what}") from None
        return [told for told in found.told if told.start == start], _sound(found.learnt)

    async def exchange(self, own: Told, known: Mapping[str, Told], learnt: Learnt) -> list[Told]:
        """As ``Store``."""
        if self._path is not None:
            partial = self._path.with_name(f".{self._path.name}.{own.worker}.partial")
            try:  # without fsync, which would hold up requests: it outlives the process, not the machine
                partial.write_bytes(msgspec.json.encode(_File((*known.values(), own), learnt)))
                partial.replace(self._path)
                self._failed = False
            except OSError as error:
                if not self._failed:
                    logger.error("%s: what was spent is not kept: %s", self._path, error.strerror or error)
                self._failed = True
        return [told for one in self._siblings() if (told := _read(one)) is not None]


class RedisShelf:
    """In Redis, for workers and replicas: a hash for each term, and what was learnt beside it."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._cut_off = False
        self._taught: Learnt | None = None

    async def open(self, start: float) -> tuple[list[Told], Learnt]:
        """As ``Store``; nothing where Redis cannot be reached."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                rows = await self._redis.hgetall(f"{KEY}:{start:.0f}")  # type: ignore[misc]
                learnt = await self._redis.get(f"{KEY}:learnt")
            return _all(rows.values()), _learnt(learnt)
        except Exception as error:  # whatever a broken Redis does, requests go on
            self._lost(error)
            return [], Learnt()

    async def exchange(self, own: Told, known: Mapping[str, Told], learnt: Learnt) -> list[Told] | None:
        """As ``Store``."""
        key = f"{KEY}:{own.start:.0f}"
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._redis.pipeline(transaction=False) as pipe:
                pipe.hset(key, own.worker, msgspec.json.encode(own))  # type: ignore[arg-type]
                for name, told in known.items():
                    pipe.hsetnx(key, name, msgspec.json.encode(told))  # type: ignore[arg-type]
                pipe.expire(key, KEEP_SECONDS)
                if learnt.days and learnt != self._taught:
                    pipe.set(f"{KEY}:learnt", msgspec.json.encode(learnt), ex=KEEP_SECONDS)
                pipe.hgetall(key)
                rows = (await pipe.execute())[-1]
            heard = _all(rows.values())
        except Exception as error:
            self._lost(error)
            return None
        if self._cut_off:
            logger.warning("pacing: Redis is back")
        self._cut_off, self._taught = False, learnt
        return heard

    def _lost(self, error: Exception) -> None:
        if not self._cut_off:
            why = one_line(error) or type(error).__name__
            logger.warning("pacing: no Redis (%s); each worker takes the others to spend as it does", why)
        self._cut_off, self._taught = True, None


def _all(rows: Sequence[Any]) -> list[Told]:
    return [told for row in rows if (told := _read(row)) is not None]


def _read(row: Any) -> Told | None:
    """A worker's part; None where it is none."""
    try:
        if isinstance(row, bytes | str):
            return msgspec.json.decode(row, type=Told)
        return msgspec.convert(row, Told)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _learnt(row: Any) -> Learnt:
    try:
        return _sound(msgspec.json.decode(row or b"{}", type=Learnt))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Learnt()


def _sound(learnt: Learnt) -> Learnt:
    """Nothing, where it tells of part of a day."""
    whole = len(learnt.requests) in (0, SLOTS) and len(learnt.demand) in (0, SLOTS)
    return learnt if whole else Learnt()
