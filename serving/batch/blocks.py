"""Some thousand rows at a time, as a table or as JSON objects, with the place of each."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from router_model.errors import RecordError

PROMPT, MESSAGES = "prompt", "messages"
NO_REQUEST = "neither 'prompt' (text) nor 'messages' (a list); give one of them"


@dataclass(frozen=True)
class Table:
    """Rows of a Parquet or CSV file.

    Attributes:
        path: the file, as messages name it.
        first: the number of the first row.
        batch: the rows.
        numbers: int64 [N], the rows' numbers after ``first``; all where not given.
    """

    path: str
    first: int
    batch: pa.RecordBatch
    numbers: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def place(self, position: int) -> str:
        """File and row."""
        number = position if self.numbers is None else int(self.numbers[position])
        return f"{self.path}:{self.first + number}"

    def column(self, name: str) -> Any:
        """An Arrow array."""
        place = self.batch.schema.get_field_index(name)
        return self.batch.column(place) if place >= 0 else None

    def take(self, positions: NDArray[np.int64]) -> "Table":
        """Some of the rows."""
        numbers = positions if self.numbers is None else self.numbers[positions]
        try:
            batch = self.batch.take(pa.array(positions))
        except pa.ArrowNotImplementedError:  # of some types, such as views of strings
            rows = self.batch.to_pylist()
            batch = pa.RecordBatch.from_pylist([rows[place] for place in positions], self.batch.schema)
        return Table(self.path, self.first, batch, numbers)


@dataclass(frozen=True)
class Objects:
    """Rows of a JSON Lines file.

    Attributes:
        places: file and line of each row.
        rows: each an object.
    """

    places: Sequence[str]
    rows: Sequence[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, position: int) -> str:
        """File and line."""
        return self.places[position]

    def column(self, name: str) -> Any:
        """A list."""
        values = [row.get(name) for row in self.rows]
        return values if any(value is not None for value in values) else None

    def take(self, positions: NDArray[np.int64]) -> "Objects":
        """Some of the rows."""
        kept = positions.tolist()
        return Objects([self.places[place] for place in kept], [self.rows[place] for place in kept])


Block = Table | Objects


def requests(block: Block, field: str | None) -> Iterator[Any]:
    """What to route of each row: the named field, or else the prompt, or else the messages; or its error.

    Messages may be JSON text. Of maps and structs, what Arrow gives is what JSON would be.
    """
    if field is not None:
        yield from (
            RecordError(f"field '{field}' is missing; mend the row") if value is None else value
            for value in _values(block, field)
        )
        return
    prompts = _values(block, PROMPT)
    if not any(prompt is None for prompt in prompts):
        yield from prompts
        return
    for prompt, messages in zip(prompts, _values(block, MESSAGES), strict=True):
        yield _decoded(messages) if prompt is None else prompt


def _values(block: Block, name: str) -> list[Any]:
    column = block.column(name)
    if column is None:
        return [None] * len(block)
    return column if isinstance(column, list) else list(column.to_pylist())


def _decoded(messages: Any) -> Any:
    if messages is None:
        return RecordError(NO_REQUEST)
    if not isinstance(messages, str):
        return messages
    try:
        return json.loads(messages)
    except (ValueError, RecursionError):
        return RecordError("field 'messages' is text and not JSON; give a list of messages")
