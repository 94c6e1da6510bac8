"""The columns of labelled rows: those of the input that are kept, and what the router says."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from router_model.decision import Decisions
from router_model.errors import ConfigError, DataError, RecordError, one_line
from router_model.serving.batch.blocks import Block, Objects

TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}  # of JSON's values; all else is text
INT64 = range(-(1 << 63), 1 << 63)


def label_schema(tiers: Sequence[str]) -> pa.Schema:
    """What is added to each row."""
    sufficiency = [pa.field(f"sufficiency_{tier}", pa.float32()) for tier in tiers]
    return pa.schema(
        [
            pa.field("tier", pa.string()),
            *sufficiency,
            pa.field("expected_quality", pa.float32()),
            pa.field("expected_cost_usd", pa.float64()),
            pa.field("truncated", pa.bool_()),
            pa.field("router_fingerprint", pa.string()),
        ]
    )


@dataclass(frozen=True)
class Columns:
    """The columns of an output.

    Attributes:
        tiers: names, cheapest first.
        fingerprint: of the router.
        kept: names of the input's columns, or all where None.
        read: the input's columns in a form whose rows all have the same; None in JSON Lines.
    """

    tiers: tuple[str, ...]
    fingerprint: str
    kept: tuple[str, ...] | None = None
    read: pa.Schema | None = None

    @cached_property
    def labels(self) -> pa.Schema:
        """What the router says."""
        return label_schema(self.tiers)

    @cached_property
    def schema(self) -> pa.Schema:
        """All columns of a table."""
        return pa.schema([*(self.read or ()), *self.labels])

    @cached_property
    def flat(self) -> pa.Schema:
        """As ``schema``, with JSON text for what CSV has no cells for."""
        return pa.schema(
            [field if _is_cell(field.type) else pa.field(field.name, pa.string()) for field in self.schema]
        )

    def header(self) -> bytes:
        """The first line of a CSV file."""
        names = (name.replace('"', '""') for name in self.schema.names)
        return ",".join(f'"{name}"' for name in names).encode() + b"\n"

    def repetitive(self) -> list[str]:
        """Columns in which values may come again, for which a dictionary pays."""
        few = [field.name for field in self.read or () if field.name not in ("prompt", "messages", "answer")]
        return [*few, "tier", "router_fingerprint"]

    def check(self, row: dict[str, Any], place: str) -> None:
        """Refuse a JSON object that the columns do not hold.

        Raises:
            RecordError: a value has another type than its column, or a field has no column.
            ConfigError: a field has a label's name.
        """
        if self.kept is None:
            refuse_labels(row, self.labels, place)
        if self.read is None:
            return
        for name, value in row.items():
            if self.kept is not None and name not in self.kept:
                continue
            field = self._fields.get(name)
            if field is None:
                raise RecordError(
                    f"{place}: field '{name}' is in none of the first rows; name the fields with --columns"
                )
            if value is not None and not _fits(value, field.type):
                raise RecordError(
                    f"{place}: field '{name}' is {type(value).__name__} where the first rows have "
                    f"{field.type}; mend the row, or leave the field out with --columns"
                )

    @cached_property
    def _fields(self) -> dict[str, pa.Field]:
        return {field.name: field for field in self.read or ()}

    def batch(self, block: Block, decisions: Decisions) -> pa.RecordBatch:
        """Rows and labels as a table's."""
        arrays = [_array(block, field) for field in self.read or ()]
        return pa.record_batch([*arrays, *self._labels(decisions)], schema=self.schema)

    def flat_batch(self, block: Block, decisions: Decisions) -> pa.RecordBatch:
        """As ``batch``, for CSV."""
        batch = self.batch(block, decisions)
        arrays = [
            array if array.type == field.type else pa.array(map(_text, array.to_pylist()), pa.string())
            for array, field in zip(batch.columns, self.flat, strict=True)
        ]
        return pa.record_batch(arrays, schema=self.flat)

    def objects(self, block: Block, decisions: Decisions) -> Iterator[dict[str, Any]]:
        """Rows and labels as JSON objects."""
        labels = [array.to_pylist() for array in self._labels(decisions)]
        names = self.labels.names
        for row, values in zip(self._rows(block), zip(*labels, strict=True), strict=True):
            yield {**row, **dict(zip(names, values, strict=True))}

    def _rows(self, block: Block) -> Iterable[dict[str, Any]]:
        if isinstance(block, Objects):
            if self.kept is None:
                return (dict(row) for row in block.rows)
            kept = self.kept
            return ({name: row[name] for name in kept if name in row} for row in block.rows)
        names = [name for name in block.batch.schema.names if self.kept is None or name in self.kept]
        rows: list[dict[str, Any]] = block.batch.select(names).to_pylist(maps_as_pydicts="lossy")
        return rows

    def _labels(self, decisions: Decisions) -> list[pa.Array]:
        count = len(decisions)
        sufficiency = decisions.sufficiency
        return [
            pa.array(self.tiers).take(pa.array(decisions.tier)),
            *(pa.array(np.ascontiguousarray(column)) for column in sufficiency.T),
            pa.array(sufficiency[np.arange(count), decisions.tier]),
            pa.array(decisions.expected_cost_usd),
            pa.array(decisions.truncated),
            pa.repeat(self.fingerprint, count),
        ]


def refuse_labels(names: Iterable[str], labels: pa.Schema, place: str) -> None:
    """Raise ConfigError where a name is a label's."""
    taken = [name for name in names if name in labels.names]
    if taken:
        raise ConfigError(
            f"{place}: '{taken[0]}' is a column already, as of labels; name those to keep with --columns"
        )


def unified(schemas: Iterable[tuple[str, pa.Schema]], refuse: Any) -> pa.Schema:
    """One schema that holds the columns of all; ``refuse`` is told of a file that has other types."""
    whole: pa.Schema | None = None
    for path, schema in schemas:
        try:
            whole = (
                schema if whole is None else pa.unify_schemas([whole, schema], promote_options="permissive")
            )
        except pa.ArrowException as error:
            refuse(
                path, DataError(f"{path}: its columns are not those of the files before: {one_line(error)}")
            )
    return whole or pa.schema([])


def schema_of_rows(rows: Iterable[dict[str, Any]]) -> pa.Schema:
    """The columns of JSON objects: numbers and truth values where all are, text or JSON text otherwise."""
    seen: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            kinds = seen.setdefault(name, set())
            if value is not None:
                kinds.add(type(value))
    return pa.schema([pa.field(name, _type(kinds)) for name, kinds in seen.items()])


def _type(kinds: set[type]) -> pa.DataType:
    if kinds == {int, float}:
        return pa.float64()
    return TYPES.get(next(iter(kinds)), pa.string()) if len(kinds) == 1 else pa.string()


def _fits(value: Any, of: pa.DataType) -> bool:
    if pa.types.is_int64(of):
        return type(value) is int and value in INT64
    if pa.types.is_float64(of):
        return type(value) in (int, float)
    return type(value) is bool if pa.types.is_boolean(of) else pa.types.is_string(of)


def _array(block: Block, field: pa.Field) -> pa.Array:
    column = block.column(field.name)
    if column is None:
        return pa.nulls(len(block), field.type)
    if isinstance(column, list):
        return _strings(column) if pa.types.is_string(field.type) else pa.array(column, field.type)
    return column if column.type == field.type else column.cast(field.type)


def _strings(values: list[Any]) -> pa.Array:
    texts = [value if value is None or isinstance(value, str) else _text(value) for value in values]
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:  # lone surrogates, which UTF-8 has no bytes for
        return pa.array([text and text.encode("utf-8", "replace").decode() for text in texts], pa.string())


def _text(value: Any) -> str | None:
    """A value as JSON, and text as it is."""
    if value is None or isinstance(value, str):
        return value
    try:
        return orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError:
        return json.dumps(value, default=str)


def _is_cell(of: pa.DataType) -> bool:
    """Whether Arrow writes values of this type to CSV."""
    kinds = ("null", "boolean", "integer", "floating", "string", "large_string", "temporal")
    return any(getattr(pa.types, f"is_{kind}")(of) for kind in kinds)
