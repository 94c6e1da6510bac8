"""How conversations go on, learnt from their logs: turns to come by turn, and how soon they come.

A turn is one request; a conversation, all requests of one session. Whether a conversation goes on after its
turn t is estimated from those that had a turn t and are known to have gone on, or to have ended, there: a
session that was active shortly before the log's end may still go on, and tells nothing of its last turn
(Kaplan and Meier 1958). The turns to come after turn t are

    R(t) = go_on(t) (1 + discount R(t + 1)),

a turn farther away counting less, as a conversation may be elsewhere by then. ``go_on`` of the last turn
that enough conversations have had is that of all later ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from router_model.data.formats.values import seconds as seconds_of
from router_model.errors import ConfigError, DataError

DISCOUNT = 0.8
LEAST_SESSIONS = 20  # that tell of a turn, or it is told as the one before
MOST_TURNS = 64  # that the table tells apart
MOST_LEFT = 1e4


@dataclass(frozen=True)
class Turns:
    """What logs tell of conversations.

    Attributes:
        turns_left: R(1), R(2), ...; the last number is of all later turns too.
        kept_share: share of turns but the first that came within ``seconds`` of the one before.
        seconds: the time to live of providers' prompt caches that was asked for.
        sessions: conversations.
        requests: their turns.
        open: conversations of ``sessions`` that may still have gone on when the log ended.
        left_out: rows without a session or a time.
    """

    turns_left: tuple[float, ...]
    kept_share: float
    seconds: float
    sessions: int
    requests: int
    open: int
    left_out: int


def turns(
    rows: Iterable[Mapping[str, Any]],
    *,
    seconds: float = 300.0,
    idle_seconds: float = 3600.0,
    discount: float = DISCOUNT,
) -> Turns:
    """Learn from rows of records that have ``session`` and ``timestamp``; others are counted.

    Args:
        rows: as a log has them, with or without the texts; a session is one of its ``tenant``.
        seconds: that a provider keeps a prompt after it was read last.
        idle_seconds: a session that was silent for so long has ended.
        discount: in [0, 1].

    Raises:
        ConfigError: a setting is out of its range.
        DataError: no row has both, or no session is known to have ended or gone on.
    """
    if not (seconds > 0 and idle_seconds > 0 and 0 <= discount <= 1):
        raise ConfigError(
            f"seconds={seconds!r:.40}, idle_seconds={idle_seconds!r:.40}, discount={discount!r:.40}: give "
            "seconds above 0 and a discount in [0, 1]"
        )
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    left_out = 0
    for row in rows:
        session, at = row.get("session"), _time(row.get("timestamp"))
        if session is None or at is None:
            left_out += 1
        else:
            times[str(row.get("tenant")), str(session)].append(at)
    if not times:
        raise DataError("no row has both 'session' and 'timestamp'; give logs of conversations")
    sessions = [sorted(of_one) for of_one in times.values()]
    end = max(of_one[-1] for of_one in sessions)
    ended = [end - of_one[-1] >= idle_seconds for of_one in sessions]
    gaps = [later - at for of_one in sessions for at, later in pairwise(of_one)]
    return Turns(
        turns_left=_turns_left([len(of_one) for of_one in sessions], ended, discount),
        kept_share=sum(gap <= seconds for gap in gaps) / len(gaps) if gaps else 0.0,
        seconds=seconds,
        sessions=len(sessions),
        requests=sum(map(len, sessions)),
        open=len(ended) - sum(ended),
        left_out=left_out,
    )


def _turns_left(lengths: Sequence[int], ended: Sequence[bool], discount: float) -> tuple[float, ...]:
    going_on: list[float] = []
    for turn in range(1, MOST_TURNS + 1):
        went_on = sum(length > turn for length in lengths)
        known = went_on + sum(length == turn and over for length, over in zip(lengths, ended, strict=True))
        if known < (LEAST_SESSIONS if going_on else 1):
            break
        going_on.append(went_on / known)
    if not going_on:
        raise DataError(
            "every session of the log may still go on; give a log that ends at least idle_seconds later"
        )
    last = going_on[-1]
    left = last / (1 - discount * last) if discount * last < 1 else MOST_LEFT
    table = [min(left, MOST_LEFT)]
    for share in reversed(going_on[:-1]):
        table.append(min(share * (1 + discount * table[-1]), MOST_LEFT))
    return tuple(round(number, 4) for number in reversed(table))


def _time(timestamp: Any) -> float | None:
    """Seconds since 1970 of what a row has: a number, ISO 8601 text, or a time as Parquet holds it."""
    return seconds_of(timestamp.isoformat() if hasattr(timestamp, "isoformat") else timestamp)
