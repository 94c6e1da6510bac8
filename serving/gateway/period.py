"""Days and months of UTC, in seconds since 1970."""

from datetime import UTC, datetime, timedelta

from router_model.serving.gateway.config.budget import Period


def start_of(period: Period, now: float) -> float:
    """When the period that ``now`` is in began."""
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day.replace(day=1) if period == "month" else day).timestamp()


def end_of(period: Period, now: float) -> float:
    """When the period that ``now`` is in ends, and the next one begins."""
    start = datetime.fromtimestamp(start_of(period, now), UTC)
    return start_of(period, (start + timedelta(days=1 if period == "day" else 32)).timestamp())
