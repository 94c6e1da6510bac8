"""When to ask again, and after how long."""

import math
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from router_model.serving.gateway.config.retry import Retry

# Of the statuses below 500: what another provider may answer better. A key refused, an account empty or a
# model gone is this provider's matter, and the client's request is sound.
ELSEWHERE = frozenset({401, 402, 403, 404, 408, 409, 425, 429})
FAULTS = frozenset({401, 402, 408, 429})  # of these, what a client cannot bring about by its request


def jitter(retry: Retry, turn: int) -> float:
    """Seconds to wait before round ``turn`` + 1: full jitter (Brooker, "Exponential Backoff And Jitter")."""
    most = min(retry.most_seconds, retry.base_seconds * 2 ** min(turn, 30))
    return random.uniform(0.0, most)  # noqa: S311 - no secret


def retry_after(headers: Iterable[tuple[bytes, bytes]], now: datetime | None = None) -> float | None:
    """Seconds that an answer asks to be left alone for: ``retry-after-ms``, or ``retry-after`` in seconds or
    as a date of HTTP. None where it says nothing that can be read."""
    found = {k: v for k, v in headers if k in (b"retry-after", b"retry-after-ms")}
    ms = _number(found.get(b"retry-after-ms", b""))
    if ms is not None:
        return ms / 1000
    said = found.get(b"retry-after", b"")
    seconds = _number(said)
    return seconds if seconds is not None else _until(said, now or datetime.now(UTC))


def _number(said: bytes) -> float | None:
    try:
        value = float(said[:32])
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(said: bytes, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(said[:64].decode("latin-1"))
    except (TypeError, ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())


def error_event(head: bytes) -> bool:
    """Whether a stream begins with an error, as of a provider that had sent status 200 before it knew."""
    return head.lstrip().startswith((b"event: error", b'data: {"error"', b'data: {"type":"error"'))
