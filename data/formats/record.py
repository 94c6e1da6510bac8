"""This project's own record, as docs/record.md describes it."""

from collections.abc import Iterator, Mapping
from typing import Any

from router_model.data.formats.format import Dropped, Format, Row


def recognise(row: Mapping[str, Any]) -> bool:
    """Whether the row has a prompt or messages where a record has them."""
    return row.get("prompt") is not None or row.get("messages") is not None


def rows(row: Mapping[str, Any]) -> Iterator[Row | Dropped]:
    """The row itself."""
    yield dict(row)


FORMAT = Format("record", "'prompt' or 'messages', with the other fields of a record", recognise, rows)
