"""Records as columns: the schema of a record set in Parquet.

Messages, feedback and meta, whose types vary, are JSON text; numbers and texts by model are maps. A time that
was logged as a number becomes ISO 8601 text in UTC, for a column has one type. ``parse_record`` reads it all.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from operator import itemgetter
from typing import Any

from router_model.errors import MissingExtraError

try:
    import orjson
    import pyarrow as pa
except ModuleNotFoundError:
    raise MissingExtraError("Parquet needs pyarrow and orjson: pip install 'router-model[batch]'") from None


Fields = dict[str, Any]


def _side(place: int) -> Callable[[Fields], str | None]:
    return lambda of: of["preference"][place] if of["preference"] else None


def _json(name: str) -> Callable[[Fields], str | None]:
    return lambda of: json_text(of[name]) if of[name] else None


TEXTS: dict[str, Callable[[Fields], str | None]] = {
    "id": itemgetter("id"),
    "prompt": lambda of: of["request"] if isinstance(of["request"], str) else None,
    "messages": lambda of: None if isinstance(of["request"], str) else json_text(of["request"]),
    "best_tier": itemgetter("best_tier"),
    "model": itemgetter("model"),
    "model_a": _side(0),
    "model_b": _side(1),
    "winner": _side(2),
    "reference": itemgetter("reference"),
    "feedback": _json("feedback"),
    "timestamp": lambda of: time_text(of["timestamp"]),
    "session": itemgetter("session"),
    "group": itemgetter("group"),
    "tenant": itemgetter("tenant"),
    "task": itemgetter("task"),
    "meta": _json("meta"),
}
NUMBERS = ("propensity", "input_tokens")
MAPS = {
    "outcomes": ("outcomes", pa.float64()),
    "answer": ("answers", pa.string()),
    "cost_usd": ("cost_usd", pa.float64()),
    "output_tokens": ("output_tokens", pa.float64()),
    "latency_ms": ("latency_ms", pa.float64()),
}
SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in TEXTS]
    + [pa.field(name, pa.float64()) for name in NUMBERS]
    + [pa.field(name, pa.map_(pa.string(), of)) for name, (_, of) in MAPS.items()]
)


def columns(records: Sequence[Fields]) -> Any:
    """The fields of records, as ``checked_fields`` gives them, as a batch of ``SCHEMA``."""
    texts = [_strings(list(map(read, records))) for read in TEXTS.values()]
    numbers = [pa.array([of[name] for of in records], pa.float64()) for name in NUMBERS]
    maps = [_map([of[name] for of in records], kind) for name, kind in MAPS.values()]
    return pa.record_batch([*texts, *numbers, *maps], schema=SCHEMA)


def json_text(value: Any) -> str:
    """A value as JSON; what JSON has no type for, such as a decimal of another table, as text."""
    try:
        return orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError:  # a lone surrogate, a large number, or nested too deeply for it
        return json.dumps(value, default=str)


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
    return pa.MapArray.from_arrays(
        offsets, names, _strings(held) if of == pa.string() else pa.array(held, of)
    )
