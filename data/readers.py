"""Log files to records, one at a time: JSON Lines, plain or gzip, and Parquet."""

import gzip
import json
import logging
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from router_model.data.records import FIELDS, Record, parse_record
from router_model.errors import FileError, MissingExtraError, RecordError, one_line

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 64 << 20
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
    """The records of one file, told by its content: gzip, Parquet, or else JSON Lines.

    Raises:
        FileError: the file is missing or cannot be read.
        RecordError: a row is bad, and ``reading`` does not say to skip it.
        MissingExtraError: the file is Parquet and pyarrow is not installed.
    """
    reading = reading or Reading()
    unknown: set[str] = set()
    for where, row in read_rows(path, reading):
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


def read_rows(path: str | Path, reading: Reading) -> Iterator[tuple[str, Any]]:
    """Each row of a file as decoded, with its place; raises as ``read_records`` does."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start == b"PAR1":
                yield from _parquet_rows(path)
            elif start.startswith(b"\x1f\x8b"):
                with closing(gzip.GzipFile(fileobj=file)) as unpacked:
                    yield from json_rows(unpacked, str(path), reading)
            else:
                yield from json_rows(file, str(path), reading)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"{path}: cut short or damaged: {one_line(error)}") from None
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or one_line(error)}; give a file that can be read") from None


def json_rows(file: BinaryIO | gzip.GzipFile, name: str, reading: Reading) -> Iterator[tuple[str, Any]]:
    """Each line of an open JSON Lines file, decoded, with its place; blank lines are passed over."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        where = f"{name}:{number}"
        if len(line) > MAX_LINE_BYTES:
            raise RecordError(f"{where}: the line is longer than {MAX_LINE_BYTES} bytes")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            try:
                yield where, _decode(line, where)
            except RecordError as error:
                reading.refuse(error)


def _decode(line: bytes, where: str) -> Any:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"{where}: byte {error.start} is not UTF-8; convert the file to UTF-8") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where}: not valid JSON: {one_line(error)}") from None


def _parquet_rows(path: str | Path) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise MissingExtraError(f"{path}: Parquet needs pyarrow: pip install 'router-model[batch]'") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", _maps_to_dicts(row)
    except (pyarrow.ArrowException, ValueError) as error:
        raise FileError(f"{path}: not readable as Parquet: {one_line(error)}") from None


def _maps_to_dicts(row: dict[str, Any]) -> dict[str, Any]:
    """Parquet's map columns come as lists of pairs."""
    return {
        key: dict(value)
        if isinstance(value, list) and value and all(isinstance(pair, tuple) for pair in value)
        else value
        for key, value in row.items()
    }
