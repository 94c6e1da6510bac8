"""Rows that are in no Parquet file yet, a JSON line each, in a file that outlives a killed process.

A journal becomes one part for each date of its rows. The names of the parts follow from the journal's: who
dies between a part and the journal's end leaves nothing twice, for whoever goes on writes the same files.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as parquet

logger = logging.getLogger(__name__)

FOLDER = "journal"
BLOCK = 64 << 20  # bytes that are decoded at once; a line is shorter
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "prompt", "messages", "prompt_hash", "model", "timestamp")),
        *((name, pa.string()) for name in ("session", "tenant", "meta")),
        *((name, pa.float64()) for name in ("propensity", "cost_usd", "input_tokens", "output_tokens")),
        ("latency_ms", pa.float64()),
        ("features", pa.list_(pa.float64())),
        ("features_version", pa.int64()),
        ("characters", pa.int64()),
    ]
)


class Journal:
    """A journal that is being written, or was left by a process that died; locked while it is open.

    Raises:
        OSError: the file cannot be made, or another process has it or has just taken it away.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.rows = path, 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._file).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "taken away", str(path))
        except OSError:
            os.close(self._file)
            raise
        self.bytes = os.fstat(self._file).st_size

    def write(self, lines: list[bytes]) -> None:
        """Append whole lines; either all of them are there afterwards or none.

        Raises:
            OSError: the disk is full, or gone.
        """
        content = memoryview(b"".join(lines))
        done = 0
        try:
            while done < len(content):
                done += os.write(self._file, content[done:])
        except OSError:
            os.ftruncate(self._file, self.bytes)
            raise
        self.bytes += done
        self.rows += len(lines)

    def store(self, folder: Path) -> int:
        """Put the rows in parts under ``folder``, take the journal away, and say how many rows there were.

        Raises:
            OSError, pyarrow.ArrowException: a part cannot be written; the journal stays.
        """
        try:
            table = _rows(self.path)
            dates = pc.utf8_slice_codeunits(table["timestamp"], 0, 10)
            for date in pc.unique(dates).to_pylist():
                part = folder / f"date={date}" / f"part-{self.path.stem}.parquet"
                _write(table.filter(pc.equal(dates, date)), part)
            self.path.unlink()
            return int(table.num_rows)
        finally:
            os.close(self._file)

    def close(self) -> None:
        """Leave it as it is."""
        os.close(self._file)


def abandoned(folder: Path) -> Iterator[Journal]:
    """The journals under ``folder`` whose writers have died."""
    for path in sorted((folder / FOLDER).glob("*.jsonl")):
        with contextlib.suppress(OSError):  # its writer lives
            yield Journal(path)


def _rows(path: Path) -> pa.Table:
    """The rows of a journal, without a last line that was cut."""
    content = path.read_bytes()
    content = content[: content.rfind(b"\n") + 1]
    if not content:
        return SCHEMA.empty_table()
    try:
        return pyarrow.json.read_json(
            pa.BufferReader(content),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=BLOCK),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=SCHEMA, newlines_in_values=False, unexpected_field_behavior="ignore"
            ),
        )
    except pa.ArrowException:
        rows = [row for line in content.splitlines() if (row := _row(line))]
        logger.warning("%s: damaged; %d rows of it could be read", path, len(rows))
        return pa.Table.from_pylist(rows, SCHEMA)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
        pa.Table.from_pylist([row], SCHEMA)
        return row if isinstance(row["timestamp"], str) else None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, pa.ArrowException):
        return None


def _write(table: pa.Table, part: Path) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    temporary = part.with_name(f".{part.name}.partial")
    with temporary.open("wb") as file:
        parquet.write_table(table, file, compression="zstd", compression_level=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(part)
