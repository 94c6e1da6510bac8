"""Blocks of a log to encoded records: decode, convert, change, check, encode, all of one block at once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from router_model.data.blocks import Rows
from router_model.data.formats.format import Dropped, Format, Row
from router_model.data.formats.registry import BY_NAME
from router_model.data.records import Record, checked_fields, to_row
from router_model.errors import RecordError
from router_model.lines import Lines
from router_model.tally import Tally

Fields = dict[str, Any]
Step = Callable[[Row], Row | None]
NOT_AN_OBJECT = "a row is {}; give one JSON object a line"
TOO_DEEP = "nested too deeply; remove the row"
BY_STEP = "left out by {}"


@dataclass(frozen=True)
class Convert:
    """How a block is converted; called with one, in any process.

    Attributes:
        encode: the fields of records to what the output takes.
        steps: what each record row passes, in order, before it is checked and written; a step returns the
            row, another one, or None to leave it out.
        stop: end at the first bad row.
    """

    encode: Callable[[Sequence[Fields]], Any]
    steps: Sequence[Step] = ()
    stop: bool = True

    def __call__(self, task: tuple[str, Lines | Rows]) -> "Converted":
        """The records of a block of a log of the named format."""
        name, block = task
        done = Converted()
        records: list[Fields] = []
        try:
            for where, row in block.rows():
                done.tally.rows += 1
                try:
                    if isinstance(row, RecordError):
                        raise row
                    self._convert(BY_NAME[name], row, where, done.tally, records)
                except RecordError as error:
                    self._refuse(error, where, done.tally)
        except RecordError as error:
            done.error = error
        done.tally.records = len(records)
        done.encoded = self.encode(records)
        return done

    def _convert(self, known: Format, row: Any, where: str, tally: Tally, records: list[Fields]) -> None:
        """Add the records of one row; a bad one among several takes no other with it."""
        if not isinstance(row, dict):
            raise RecordError(f"{where}: {NOT_AN_OBJECT.format(type(row).__name__)}")
        try:
            for part, found in enumerate(known.rows(row)):
                if isinstance(found, Dropped):
                    tally.drop(found.reason, where)
                    continue
                place = f"{where}#{part + 1}" if part else where
                try:
                    changed = self._changed(found, where, tally)
                    if changed is not None:
                        records.append(checked_fields(changed, place))
                except RecordError as error:
                    self._refuse(error, place, tally)
        except RecursionError:
            raise RecordError(f"{where}: {TOO_DEEP}") from None

    def _refuse(self, error: RecordError, where: str, tally: Tally) -> None:
        if self.stop:
            raise error
        tally.refuse(str(error), where)

    def _changed(self, row: Row, where: str, tally: Tally) -> Row | None:
        for step in self.steps:
            changed = step(row)
            if changed is None:
                tally.drop(BY_STEP.format(getattr(step, "__name__", type(step).__name__)), where)
                return None
            row = changed
        return row


@dataclass
class Converted:
    """What a block became.

    Attributes:
        encoded: its records, as the output takes them.
        tally: what was read, up to the error where there is one.
        error: the bad row that it stopped at.
    """

    encoded: Any = None
    tally: Tally = field(default_factory=Tally)
    error: RecordError | None = None


def json_lines_of(records: Sequence[Fields]) -> bytes:
    """The fields of records, as ``checked_fields`` gives them, as JSON Lines."""
    return b"".join(_line(to_row(Record(**of))) for of in records)


def _line(row: Row) -> bytes:
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a lone surrogate, a large number, or nested too deeply for it
        return json.dumps(row, default=str).encode() + b"\n"
