"""A source in parts, each of which becomes one file of labels: the unit that is done or not done."""

import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from csv import reader
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import islice
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from router_model.errors import FileError, RecordError, one_line
from router_model.jsonl import BYTE_ORDER_MARK
from router_model.lines import Lines, line_blocks
from router_model.serving.batch.blocks import Block, Objects, Table
from router_model.serving.batch.columns import schema_of_rows
from router_model.serving.batch.inputs import STANDARD, Source
from router_model.sources import PARQUET_MAGIC, SEEN, Kind, delimiter, kind_of, opened, unpacking

PART_ROWS = 1 << 17  # of Parquet
PART_BYTES = 16 << 20  # of text, unpacked
CELL_BYTES = 1 << 20  # of CSV, decoded at once
SCHEMA_ROWS = 1000  # of a JSON Lines file tell its columns
BLOCK_ROWS = 4096
BLOCK_BYTES = 8 << 20  # of a block of Parquet, as its footer tells of its rows


@dataclass(frozen=True)
class Groups:
    """Row groups of a Parquet file, or a slice of one, read by whoever labels them.

    Attributes:
        path: the file.
        groups: which row groups.
        first: the number of the first row, counted from 1 over the file.
        skipped: rows of the first group before the slice.
        rows: how many rows.
        row_bytes: of a row in memory, about.
    """

    path: str
    groups: tuple[int, ...]
    first: int
    skipped: int
    rows: int
    row_bytes: int

    def schema(self) -> pa.Schema:
        """The columns that the rows have."""
        with read_parquet(self.path) as file:
            return file.schema_arrow

    def blocks(self, columns: Sequence[str] | None) -> Iterator[Block]:
        """The rows, of these columns or all."""
        size = max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(1, self.row_bytes)))
        before, end = 0, self.skipped + self.rows
        with read_parquet(self.path) as file:
            present = set(file.schema_arrow.names)
            chosen = None if columns is None else [name for name in columns if name in present]
            for batch in file.iter_batches(size, self.groups, chosen, use_threads=False):
                start, stop = max(before, self.skipped), min(before + batch.num_rows, end)
                if start < stop:
                    first = self.first + start - self.skipped
                    yield Table(self.path, first, batch.slice(start - before, stop - start))
                before += batch.num_rows
                if before >= end:
                    return


@dataclass(frozen=True)
class Text:
    """Lines of a JSON Lines file."""

    lines: Lines

    def schema(self) -> pa.Schema:
        """The columns that the first rows have."""
        rows = (row for _, row in islice(self.lines.rows(), SCHEMA_ROWS))
        return schema_of_rows(row for row in rows if isinstance(row, dict))

    def blocks(self, columns: Sequence[str] | None) -> Iterator[Block | RecordError]:
        """The rows, all columns of them, and what is wrong with others."""
        places: list[str] = []
        rows: list[Any] = []
        for where, row in self.lines.rows():
            if isinstance(row, RecordError):
                yield row
            elif not isinstance(row, dict):
                yield RecordError(f"{where}: a row is {type(row).__name__}; give one JSON object a line")
            else:
                places.append(where)
                rows.append(row)
            if len(rows) >= BLOCK_ROWS:
                yield Objects(places, rows)
                places, rows = [], []
        if rows:
            yield Objects(places, rows)


@dataclass(frozen=True)
class Cells:
    """Rows of a CSV file, all text.

    Attributes:
        tables: the rows.
        refused: rows that have more or fewer cells than the header.
    """

    tables: list[Table]
    refused: list[RecordError]

    def schema(self) -> pa.Schema:
        """The columns that the rows have."""
        return self.tables[0].batch.schema if self.tables else pa.schema([])

    def blocks(self, columns: Sequence[str] | None) -> Iterator[Block | RecordError]:
        """The rows, of these columns or all, and what is wrong with others."""
        yield from self.refused
        for table in self.tables:
            names = table.batch.schema.names
            for start in range(0, len(table), BLOCK_ROWS):
                batch = table.batch.slice(start, BLOCK_ROWS)
                chosen = batch if columns is None else batch.select([c for c in columns if c in names])
                yield Table(table.path, table.first + start, chosen)


@dataclass(frozen=True)
class Part:
    """So much of a source as becomes one file of labels.

    Attributes:
        source: what it is a part of.
        number: which, counted from 0.
        content: the rows, or where they are.
        size: bytes of the source that it stands for.
    """

    source: Source
    number: int
    content: Groups | Text | Cells
    size: int = field(compare=False, default=0)

    @property
    def name(self) -> str:
        """Of its file of labels, without the ending."""
        return f"{self.source.name}-{self.number:05d}"


def ordered(names: Iterable[str], sources: Sequence[Source]) -> list[str]:
    """Names of parts in the order of their sources and of the rows."""
    places = {source.name: place for place, source in enumerate(sources)}

    def place(name: str) -> tuple[int, int]:
        source, _, number = name.rpartition("-")
        return places[source], int(number)

    return sorted(names, key=place)


def parts(source: Source) -> Generator[Part, None, None]:
    """The parts of a source, always the same ones, in the order of its rows.

    Raises:
        FileError: it cannot be read, or is of no kind that is labelled.
        RecordError: a line is longer than 64 MiB.
    """
    for number, (content, size) in enumerate(_contents(source)):
        yield Part(source, number, content, size)


Content = Groups | Text | Cells


def _contents(source: Source) -> Iterator[tuple[Content, int]]:
    if source.path == STANDARD:
        if sys.stdin is None:
            raise FileError("standard input is closed; give a file")
        yield from _text(cast(BufferedReader, sys.stdin.buffer), source.name)
        return
    with opened(source.path) as stored:
        parquet_file = stored.peek(len(PARQUET_MAGIC))[: len(PARQUET_MAGIC)] == PARQUET_MAGIC
        yield from _groups(source) if parquet_file else _text(stored, source.path)


def _groups(source: Source) -> Iterator[tuple[Content, int]]:
    with read_parquet(source.path) as file:
        found = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        sizes = [(group.num_rows, group.total_byte_size) for group in found]
    total = max(1, sum(rows for rows, _ in sizes))
    first, held, start = 1, 0, 0
    for number, (rows, size) in enumerate(sizes):
        held += rows
        following = sizes[number + 1][0] if number + 1 < len(sizes) else PART_ROWS
        if held + following <= PART_ROWS:
            continue
        size = sum(size for _, size in sizes[start : number + 1])
        for skipped in range(0, held, PART_ROWS):
            few = min(PART_ROWS, held - skipped)
            content = Groups(
                source.path, tuple(range(start, number + 1)), first, skipped, few, size // max(1, held)
            )
            yield content, source.size * few // total
            first += few
        start, held = number + 1, 0


def _text(stored: BufferedReader, path: str) -> Iterator[tuple[Content, int]]:
    read = 0
    with unpacking(stored, path) as file:
        for content in _text_contents(file, path):
            place = stored.tell() if stored.seekable() else 0
            yield content, place - read
            read = place


def _text_contents(file: BufferedReader, path: str) -> Iterator[Content]:
    head = file.peek(SEEN)
    if head[: len(PARQUET_MAGIC)] == PARQUET_MAGIC:
        raise FileError(f"{path}: Parquet cannot be read from a pipe; give a file")
    match kind_of(head):
        case Kind.JSON_LINES:
            yield from map(Text, line_blocks(file, path, PART_BYTES))
        case Kind.CSV:
            yield from _cells(file, head, path)
        case _:
            raise FileError(f"{path}: JSON that is not one object a line; convert it, as with jq -c '.[]'")


def _cells(file: BinaryIO, head: bytes, path: str) -> Iterator[Cells]:
    refused: list[RecordError] = []

    def invalid(row: Any) -> str:
        where = f"{path}:{row.number}" if row.number else path
        refused.append(
            RecordError(f"{where}: {row.actual_columns} cells under {row.expected_columns} names; quote them")
        )
        return "skip"

    line = head.removeprefix(BYTE_ORDER_MARK).partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r")
    sign = delimiter(line) or ","
    names = next(reader([line], delimiter=sign))
    try:
        with csv.open_csv(
            file,
            csv.ReadOptions(use_threads=False, block_size=CELL_BYTES),
            csv.ParseOptions(delimiter=sign, newlines_in_values=True, invalid_row_handler=invalid),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        ) as batches:
            tables: list[Table] = []
            first = 2  # the header is one
            for batch in batches:
                tables.append(Table(path, first, batch))
                first += batch.num_rows
                if sum(table.batch.nbytes for table in tables) >= PART_BYTES:
                    yield Cells(tables, refused[:])
                    tables = []
                    refused.clear()
            if tables or refused:
                yield Cells(tables, refused[:])
    except pa.ArrowException as error:
        raise FileError(f"{path}: not readable as CSV: {one_line(error)}; mend or convert the file") from None


@contextmanager
def read_parquet(path: str) -> Iterator[Any]:
    """An open Parquet file, read piece by piece.

    Raises:
        FileError: it cannot be read, at once or later in the block.
    """
    try:
        with opened(path) as stored, parquet.ParquetFile(stored, pre_buffer=False, buffer_size=SEEN) as file:
            yield file
    except (pa.ArrowException, ValueError, TypeError, LookupError, OverflowError, OSError) as error:
        raise FileError(f"{path}: not readable as Parquet: {one_line(error)}; copy the file again") from None
