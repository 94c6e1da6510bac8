"""Tables, Parquet and CSV, as rows with their places."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from router_model.errors import FileError, MissingExtraError, RecordError, one_line
from router_model.jsonl import MAX_LINE_BYTES, Refuse
from router_model.sources import delimiter as delimiter_of
from router_model.sources import opened, unpacked

BATCH_ROWS = 256  # of a Parquet file at once
# The fields of a record that are no text; a CSV file has text only.
NUMBERS = frozenset({"outcome", "propensity", "cost_usd", "input_tokens", "output_tokens", "latency_ms"})
OBJECTS = frozenset({"outcomes", "answer", "cost_usd", "output_tokens", "latency_ms"})


def parquet_rows(path: str | Path) -> Iterator[tuple[str, Any]]:
    """(place, row) of each row; maps are objects.

    Raises:
        FileError: the file cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise MissingExtraError(f"{path}: Parquet needs pyarrow: pip install 'router-model[batch]'") from None
    number = 0
    try:
        with opened(path) as stored, parquet.ParquetFile(stored) as file:
            maps = {column.name for column in file.schema_arrow if pyarrow.types.is_map(column.type)}
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    row |= {key: dict(row[key]) for key in maps if row[key] is not None}  # lists of pairs
                    yield f"{path}:{number}", row
    except (pyarrow.ArrowException, ValueError, TypeError, LookupError, OverflowError, OSError) as error:
        raise FileError(
            f"{path}: not readable as Parquet: {one_line(error)}; copy the file again or convert the column"
        ) from None


def csv_rows(path: str | Path, refuse: Refuse) -> Iterator[tuple[str, Any]]:
    """(place, row) of each row under a header, with commas, tabs or semicolons; an empty cell is missing.

    Cells are text, but for those of a record's numbers and objects.

    Raises:
        FileError: the file cannot be read, or is not UTF-8.
        RecordError: by ``refuse``, for a row that has more cells than the header or is not quoted well.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    try:
        with unpacked(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as lines:
            header = lines.readline(MAX_LINE_BYTES)
            sign = delimiter_of(header.strip("\r\n")) or ","
            names = next(csv.reader([header], delimiter=sign))
            for line, cells in _numbered(lines, sign):
                where = f"{path}:{line}"
                if isinstance(cells, str):
                    refuse(RecordError(f"{where}: not valid CSV: {cells}; mend or remove the row"))
                elif len(cells) > len(names):
                    refuse(RecordError(f"{where}: {len(cells)} cells under {len(names)} names; quote them"))
                elif cells:
                    pairs = zip(names, cells, strict=False)  # the last cells may be missing
                    yield where, {name: _cell(name, cell) for name, cell in pairs if cell}
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8: {one_line(error)}; convert the file to UTF-8") from None


def _numbered(lines: io.TextIOWrapper, sign: str) -> Iterator[tuple[int, list[str] | str]]:
    """Each row's cells, or what is wrong with it, with the line that it begins on."""
    reader = csv.reader(lines, delimiter=sign, strict=True)
    while True:
        line = reader.line_num + 2  # the header is one, and lines count from 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, one_line(error)


def _cell(name: str, cell: str) -> Any:
    if name in OBJECTS and cell.lstrip().startswith("{"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    if name in NUMBERS:
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell
