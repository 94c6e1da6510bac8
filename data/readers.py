"""Log files to records, one at a time: JSON Lines, JSON, CSV and Parquet, plain, gzip or Zstandard."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from router_model.data.documents import json_values
from router_model.data.records import FIELDS, Record, parse_record
from router_model.data.tables import csv_rows, parquet_rows
from router_model.errors import RecordError
from router_model.jsonl import Refuse, json_lines
from router_model.sources import Kind, kind, unpacked

logger = logging.getLogger(__name__)

NAMED_BAD_ROWS = 20


@dataclass
class Reading:
    """What a reader met, counted as it goes.

    Attributes:
        skip_bad: count bad rows and go on, instead of stopping at the first.
        rows: good rows so far.
        bad: bad rows so far.
        reasons: the messages of the first 20 bad rows.
    """

    skip_bad: bool = False
    rows: int = 0
    bad: int = 0
    reasons: list[str] = field(default_factory=list)

    def refuse(self, error: RecordError) -> None:
        """Count a bad row, or stop."""
        if not self.skip_bad:
            raise error
        self.bad += 1
        if len(self.reasons) < NAMED_BAD_ROWS:
            self.reasons.append(str(error))
            logger.warning("skipped: %s", error)


def read_records(path: str | Path, reading: Reading | None = None) -> Iterator[Record]:
    """The records of one file, a path or a URI that ``pyarrow.fs`` opens, told by its content.

    Raises:
        FileError: the file is missing, cut short or cannot be read.
        RecordError: a row is bad, and ``reading`` does not say to skip it.
        MissingExtraError: the file is Parquet, Zstandard or remote, and pyarrow is not installed.
    """
    reading = reading or Reading()
    unknown: set[str] = set()
    for where, row in read_rows(path, reading.refuse):
        try:
            record = parse_record(row, where)
        except RecordError as error:
            reading.refuse(error)
            continue
        for key in row.keys() - FIELDS - unknown:
            unknown.add(key)
            logger.info("%s: field %r is not part of a record and is passed over", path, key)
        reading.rows += 1
        yield record


def read_rows(path: str | Path, refuse: Refuse) -> Iterator[tuple[str, Any]]:
    """(place, row) of each row of a file, decoded but not checked; raises as ``read_records`` does."""
    match kind(path):
        case Kind.PARQUET:
            yield from parquet_rows(path)
        case Kind.CSV:
            yield from csv_rows(path, refuse)
        case Kind.JSON:
            yield from json_values(path)
        case Kind.JSON_LINES:
            with unpacked(path) as file:
                yield from json_lines(file, str(path), refuse)
