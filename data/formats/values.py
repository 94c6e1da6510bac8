"""Values that platforms log in more than one way: JSON as text, numbers as text, times of several kinds."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def decoded(value: Any) -> Any:
    """What JSON text holds where it is an object or a list; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, given as one or as JSON text; an empty one in place of anything else."""
    if value.__class__ is dict:  # as in most rows; to ask an abstract class is four times slower
        return value
    value = decoded(value)
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """A list, given as one or as JSON text; an empty one in place of anything else."""
    value = decoded(value)
    return value if isinstance(value, list) else []


def first(row: Mapping[str, Any], *names: str) -> Any:
    """The value of the first of ``names`` that has one."""
    for name in names:
        value = row.get(name)
        if value is not None and value != "":
            return value
    return None


def text(value: Any) -> str | None:
    """Text as it is, a whole number as text, None in place of anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    return value if isinstance(value, str) and value else None


def number(value: Any) -> float | None:
    """A finite number, given as one or as text; None in place of anything else."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        return None
    return float(value) if math.isfinite(value) else None


def score(value: Any) -> Any:
    """A mark: truth, be it text, and numbers as text become numbers; the rest as it is, to be refused."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        named = {"true": 1.0, "false": 0.0}.get(value.strip().lower())
        return named if named is not None else (number(value) if number(value) is not None else value)
    return value


def seconds(value: Any) -> float | None:
    """Seconds since 1970 of a number or an ISO 8601 text, which is in UTC where it names no zone."""
    if number(value) is not None:
        return number(value)
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def milliseconds(start: Any, end: Any) -> float | None:
    """Milliseconds from one time to a later one."""
    began, ended = seconds(start), seconds(end)
    if began is None or ended is None or ended < began:
        return None
    return round((ended - began) * 1000, 3)


def known(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without the fields that nothing is known of."""
    return {key: value for key, value in row.items() if value is not None and value != {}}
