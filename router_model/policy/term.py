"""The term of a paced budget: which day, month or lot of requests a time is in."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from router_model.policy.pace import Term

LOT = re.compile(r"([1-9][0-9]{2,8}) requests")


def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of a name; None where there is none here."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def lot_of(per: str | None) -> float | None:
    """How many requests ``per`` names, 100 to 999,999,999; None where it names none."""
    found = LOT.fullmatch(per or "")
    return float(found[1]) if found else None


def term_at(usd: float, per: str | None, zone: str, now: float) -> Term:
    """The term that ``now``, in seconds since 1970, is in.

    Args:
        usd: US dollars to spend in it.
        per: "day", "month" or so many requests, as ``lot_of`` reads; the term of a lot is its day.
        zone: whose days and months they are, as ``zone_of`` reads.
    """
    midnight = _midnight(zone, now)
    if per == "month":
        start = midnight.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    else:
        start, end = midnight, midnight + timedelta(days=1)
    return Term(usd, start.timestamp(), end.timestamp(), lot_of(per))


def midnight_before(zone: str, now: float) -> float:
    """When the day that ``now`` is in began there."""
    return _midnight(zone, now).timestamp()


def _midnight(zone: str, now: float) -> datetime:
    day = datetime.fromtimestamp(now, zone_of(zone))
    return day.replace(hour=0, minute=0, second=0, microsecond=0)
