"""A record set written anew in its own form, row by row: JSON Lines, plain or gzip, or Parquet."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from router_model.errors import ConfigError, FileError, MissingExtraError, RecordError, one_line
from router_model.files import replacing
from router_model.jsonl import GZIP_MAGIC, Refuse, decode, read_lines, stop

Row = dict[str, Any]
Edit = Callable[[Row], Row | None]  # the same row, another in its place, or none
Checked = Callable[[Any, str], Row | None]
RowsDone = Callable[[int], None]
PARQUET_MAGIC, PARQUET_BATCH = b"PAR1", 1024
REPORTED = 1000  # rows between two reports of progress


@dataclass
class Rewritten:
    """What ``rewrite`` did, in rows.

    Attributes:
        rows: read.
        changed: written otherwise than they were.
        dropped: left out by the edit.
        bad: left out because they are not rows.
    """

    rows: int = 0
    changed: int = 0
    dropped: int = 0
    bad: int = 0


def rewrite(
    source: Path, target: Path, edit: Edit, *, refuse: Refuse = stop, rows_done: RowsDone | None = None
) -> Rewritten:
    """Write ``source`` to ``target`` in one step, each row edited; the two may be one file.

    A line whose row stays is copied as it is, but for its line break. Memory is bounded by the longest line,
    or 1,024 rows of Parquet.

    Raises:
        FileError: a file cannot be read or written, or a column cannot hold what an edit gave.
        RecordError: by ``refuse``, for a row that is not one.
        ConfigError: the target's name promises another form than the source has.
        MissingExtraError: the source is Parquet and pyarrow is not installed.
    """
    form = _form(source)
    promised = {".parquet": "parquet", ".gz": "gzip"}.get(target.suffix, form)
    if promised != form:
        raise ConfigError(f"--out {target}: {source} is {form}, and stays so; give a name that fits")
    done = Rewritten()

    def checked(row: Any, where: str) -> Row | None:
        if not isinstance(row, dict):
            raise RecordError(f"{where}: a row is {type(row).__name__}; give one JSON object a line")
        try:
            edited = edit(row)
        except RecordError as error:
            raise RecordError(f"{where}: {error}") from None
        done.rows += 1
        done.dropped += edited is None
        done.changed += edited is not None and edited != row
        if rows_done and done.rows % REPORTED == 0:
            rows_done(done.rows)
        return edited

    def refused(error: RecordError) -> None:
        refuse(error)
        done.bad += 1

    with replacing(target) as temporary:
        if form == "parquet":
            _rewrite_parquet(source, temporary, checked)
        else:
            _rewrite_lines(source, temporary, checked, refused, packed=form == "gzip")
    return done


def _rewrite_lines(source: Path, target: Path, edit: Checked, refuse: Refuse, packed: bool) -> None:
    with lines_to(target, packed) as out:
        for where, line in read_lines(source):
            try:
                row = decode(line, where, unique=True)
                edited = edit(row, where)
            except RecordError as error:
                refuse(error)
                continue
            if edited is not None:
                out.write(line.rstrip(b"\r\n") + b"\n" if edited == row else encode(edited))


def _rewrite_parquet(source: Path, target: Path, edit: Checked) -> None:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"{source}: Parquet needs pyarrow: pip install 'router-model[batch]'"
        ) from None
    number = 0
    try:
        with parquet.ParquetFile(source) as file:
            schema = file.schema_arrow
            with parquet.ParquetWriter(target, schema, compression="zstd") as out:
                for batch in file.iter_batches(batch_size=PARQUET_BATCH):
                    rows = batch.to_pylist(maps_as_pydicts="strict")
                    edited = [edit(row, f"{source}:{number + place}") for place, row in enumerate(rows, 1)]
                    number += len(rows)
                    kept = [row for row in edited if row is not None]
                    out.write_batch(batch if kept == rows else pyarrow.RecordBatch.from_pylist(kept, schema))
    except (pyarrow.ArrowException, ValueError, TypeError, LookupError, OverflowError) as error:
        raise FileError(
            f"{source}: not to be rewritten as Parquet: {one_line(error)}; convert it to JSON Lines"
        ) from None


@contextmanager
def lines_to(path: Path, packed: bool) -> Iterator[BinaryIO | gzip.GzipFile]:
    """A file of lines to be written, gzip where ``packed``."""
    with path.open("wb") as file:
        if packed:
            with gzip.GzipFile(
                fileobj=file, mode="wb", filename="", mtime=0
            ) as compressed:  # the same each time
                yield compressed
        else:
            yield file


def encode(row: Row) -> bytes:
    """A row as a line; lone surrogates, which UTF-8 cannot hold, are escaped."""
    return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _form(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}; give a file that can be read") from None
    if start == PARQUET_MAGIC:
        return "parquet"
    return "gzip" if start.startswith(GZIP_MAGIC) else "JSON Lines"
