"""Records as columns: the schema of a record set in Parquet.

Messages, feedback and meta, whose types vary, are JSON text; numbers and texts by model are maps. A time that
was logged as a number becomes ISO 8601 text in UTC, for a column has one type. ``parse_record`` reads it all.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from router_model.data.records import Record
from router_model.errors import MissingExtraError

try:
    import pyarrow as pa
except ModuleNotFoundError:
    raise MissingExtraError("Parquet needs pyarrow: pip install 'router-model[batch]'") from None


ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def _side(place: int) -> Callable[[Record], str | None]:
    return lambda record: record.preference[place] if record.preference else None


TEXTS: dict[str, Callable[[Record], str | None]] = {
    "id": lambda record: record.id,
    "prompt": lambda record: record.request if isinstance(record.request, str) else None,
    "messages": lambda record: None if isinstance(record.request, str) else json_text(record.request),
    "best_tier": lambda record: record.best_tier,
    "model": lambda record: record.model,
    "model_a": _side(0),
    "model_b": _side(1),
    "winner": _side(2),
    "reference": lambda record: record.reference,
    "feedback": lambda record: json_text(record.feedback) if record.feedback else None,
    "timestamp": lambda record: time_text(record.timestamp),
    "session": lambda record: record.session,
    "group": lambda record: record.group,
    "tenant": lambda record: record.tenant,
    "task": lambda record: record.task,
    "meta": lambda record: json_text(record.meta) if record.meta else None,
}
NUMBERS: dict[str, Callable[[Record], float | None]] = {
    "propensity": lambda record: record.propensity,
    "input_tokens": lambda record: record.input_tokens,
}
MAPS: dict[str, tuple[Any, Callable[[Record], Mapping[str, Any]]]] = {
    "outcomes": (pa.float64(), lambda record: record.outcomes),
    "answer": (pa.string(), lambda record: record.answers),
    "cost_usd": (pa.float64(), lambda record: record.cost_usd),
    "output_tokens": (pa.float64(), lambda record: record.output_tokens),
    "latency_ms": (pa.float64(), lambda record: record.latency_ms),
}
SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in TEXTS]
    + [pa.field(name, pa.float64()) for name in NUMBERS]
    + [pa.field(name, pa.map_(pa.string(), of)) for name, (of, _) in MAPS.items()]
)


def columns(records: Sequence[Record]) -> Any:
    """The records as a batch of ``SCHEMA``."""
    texts = [_strings([read(record) for record in records]) for read in TEXTS.values()]
    numbers = [pa.array([read(record) for record in records], pa.float64()) for read in NUMBERS.values()]
    maps = [_map([read(record) for record in records], of) for of, read in MAPS.values()]
    return pa.record_batch([*texts, *numbers, *maps], schema=SCHEMA)


def json_text(value: Any) -> str:
    """A value as JSON; what JSON has no type for, such as a date of another table, as text."""
    return ENCODE(value)


def time_text(value: str | float | None) -> str | None:
    """A time as it was logged, or seconds since 1970 as ISO 8601."""
    if value is None or isinstance(value, str):
        return value
    try:
        return datetime.fromtimestamp(value, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return str(value)


def _strings(values: list[str | None]) -> Any:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # lone surrogates, which UTF-8 has no bytes for
        return pa.array(
            [value and value.encode("utf-8", "replace").decode("utf-8") for value in values], pa.string()
        )


def _map(values: list[Mapping[str, Any]], of: Any) -> Any:
    if not any(values):
        return pa.nulls(len(values), pa.map_(pa.string(), of))
    offsets = pa.array([0, *accumulate(map(len, values))], pa.int32())
    names = _strings([name for value in values for name in value])
    held = [item for value in values for item in value.values()]
    return pa.MapArray.from_arrays(offsets, names, _strings(held) if of == pa.string() else pa.array(held, of))
