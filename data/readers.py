"""Log files to records, one at a time: JSON Lines, plain or gzip, and Parquet."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from router_model.data.records import FIELDS, Record, parse_record
from router_model.errors import FileError, MissingExtraError, RecordError, one_line
from router_model.jsonl import Refuse, read_json_lines

logger = logging.getLogger(__name__)

PARQUET_MAGIC = b"PAR1"
PARQUET_BATCH = 1024
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
    """The records of one file, told by its content: Parquet, or else JSON Lines, plain or gzip.

    Raises:
        FileError: the file is missing or cannot be read.
        RecordError: a row is bad, and ``reading`` does not say to skip it.
        MissingExtraError: the file is Parquet and pyarrow is not installed.
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
    try:
        with Path(path).open("rb") as file:
            parquet = file.read(4) == PARQUET_MAGIC
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}; give a file that can be read") from None
    yield from _parquet_rows(path) if parquet else read_json_lines(path, refuse)


def _parquet_rows(path: str | Path) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise MissingExtraError(f"{path}: Parquet needs pyarrow: pip install 'router-model[batch]'") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            maps = {column.name for column in file.schema_arrow if pyarrow.types.is_map(column.type)}
            for batch in file.iter_batches(batch_size=PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    row |= {key: dict(row[key]) for key in maps if row[key] is not None}  # lists of pairs
                    yield f"{path}:{number}", row
    except (pyarrow.ArrowException, ValueError, TypeError, LookupError, OverflowError, OSError) as error:
        raise FileError(
            f"{path}: not readable as Parquet: {one_line(error)}; copy the file again or convert the column"
        ) from None
