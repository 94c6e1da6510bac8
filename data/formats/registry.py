"""All formats, and which of them a log is in."""

from collections.abc import Iterable
from typing import Any

from router_model.data.formats import (
    conversations,
    langfuse,
    litellm,
    openai,
    otel,
    preferences,
    record,
    scores,
)
from router_model.data.formats.format import Format
from router_model.errors import DataError

# The narrower before the wider: a row is of the first format that recognises it.
FORMATS = (
    otel.FORMAT,
    litellm.FORMAT,
    langfuse.FORMAT,
    openai.FORMAT,
    preferences.FORMAT,
    conversations.FORMAT,
    scores.FORMAT,
    record.FORMAT,
)
BY_NAME = {known.name: known for known in FORMATS}


def recognised(rows: Iterable[Any], path: str) -> Format:
    """The format of the first row that is of a known one.

    Raises:
        DataError: none is; the message names the formats and how each is told.
    """
    for row in rows:
        for known in FORMATS:
            if isinstance(row, dict) and _is(known, row):
                return known
    told = "; ".join(f"{known.name}: {known.told_by}" for known in FORMATS)
    raise DataError(f"{path}: the first rows are of no known format; name one with --format. {told}")


def _is(known: Format, row: dict[str, Any]) -> bool:
    try:
        return known.recognise(row)
    except RecursionError:
        return False
