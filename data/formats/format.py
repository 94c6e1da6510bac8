"""What a log format is: a name, how its rows are told, and the record rows that one of them becomes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]  # of the fields of a record, as ``parse_record`` reads them


@dataclass(frozen=True)
class Dropped:
    """A part of a log that is no request to a model, or does not hold it.

    Attributes:
        reason: why, the same words for all of a kind, for they are counted.
    """

    reason: str


@dataclass(frozen=True)
class Format:
    """A format of logs.

    Attributes:
        name: what ``--format`` calls it.
        told_by: what its rows have, in words, for the message about a file of no known format.
        recognise: whether a row, any JSON object, is of this format.
        rows: the record rows of one row of the log, in order, none of them checked yet, and what was left
            out. It takes any JSON object: what has the wrong type is left out where it is optional, and
            otherwise handed on, for ``parse_record`` to refuse.
    """

    name: str
    told_by: str
    recognise: Callable[[Mapping[str, Any]], bool]
    rows: Callable[[Mapping[str, Any]], Iterator[Row | Dropped]]
