"""Rows with their labels as Parquet, JSON Lines or CSV, plain or packed."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, RawIOBase
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from router_model.decision import Decisions
from router_model.errors import ConfigError
from router_model.serving.batch.blocks import Block
from router_model.serving.batch.columns import Columns

GROUP_BYTES = 16 << 20  # of a Parquet row group, before it is packed
PIECE = 4 << 20
FORMS = ("parquet", "jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "csv.zst")

Write = Callable[[Block, Decisions], None]


@dataclass(frozen=True)
class Form:
    """How labels are written.

    Attributes:
        name: one of ``FORMS``, which files of the form end in.
    """

    name: str

    @classmethod
    def of_file(cls, path: str) -> "Form | None":
        """The form that a file's name tells; None where it tells none, as a folder's."""
        return next((cls(name) for name in FORMS if path.endswith(f".{name}")), None)

    @classmethod
    def of_name(cls, name: str) -> "Form":
        """Raises ConfigError where there is no form of the name."""
        if name not in FORMS:
            raise ConfigError(f"--format {name}: no such form; give one of {', '.join(FORMS)}")
        return cls(name)

    @property
    def tabular(self) -> bool:
        """Whether all rows have the same columns, each of one type."""
        return not self.name.startswith("jsonl")

    @contextmanager
    def writing(self, file: BinaryIO, columns: Columns, headed: bool) -> Iterator[Write]:
        """What writes blocks to an open file, to be used until the block ends.

        ``headed``: a CSV file begins with the columns' names.
        """
        if self.name == "parquet":
            with _parquet(file, columns) as write:
                yield write
            return
        with _packed(file, self.name.partition(".")[2]) as stream:
            if not self.tabular:
                yield lambda block, decisions: _write_lines(stream, columns, block, decisions)
                return
            if headed:
                stream.write(columns.header())
            with csv.CSVWriter(
                stream, columns.flat, write_options=csv.WriteOptions(include_header=False)
            ) as out:
                yield lambda block, decisions: out.write_batch(columns.flat_batch(block, decisions))

    def head(self, columns: Columns) -> bytes:
        """What stands before the first row, in a file that is joined from files without it."""
        if self.name == "parquet" or not self.tabular:
            return b""
        buffer = BytesIO()
        with _packed(buffer, self.name.partition(".")[2]) as stream:
            stream.write(columns.header())
        return buffer.getvalue()

    def join(self, files: Iterator[BinaryIO], out: BinaryIO, columns: Columns) -> None:
        """Write one file of many that have no head, in their order."""
        if self.name == "parquet":
            _join_parquet(files, out, columns)
            return
        out.write(self.head(columns))
        for file in files:  # packed files, one after another, are a packed file
            while piece := file.read(PIECE):
                out.write(piece)


@contextmanager
def _packed(file: BinaryIO, packing: str) -> Iterator[Any]:
    if packing == "gz":
        with gzip.GzipFile("", "wb", 1, file, mtime=0) as stream:
            yield stream
    elif packing == "zst":
        with pa.CompressedOutputStream(pa.PythonFile(_Kept(file), "w"), "zstd") as stream:
            yield stream
    else:
        yield file


class _Kept(RawIOBase):
    """A file that stays open when what is written through this is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._file.write(content)


def _write_lines(stream: Any, columns: Columns, block: Block, decisions: Decisions) -> None:
    stream.write(b"".join(map(_line, columns.objects(block, decisions))))


def _line(row: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a lone surrogate, a large number, or nested too deeply for it
        return json.dumps(row, default=str).encode() + b"\n"


@contextmanager
def _parquet(file: BinaryIO, columns: Columns) -> Iterator[Write]:
    held: list[pa.RecordBatch] = []

    def flush() -> None:
        if held:
            out.write_table(pa.Table.from_batches(held))
            held.clear()

    def write(block: Block, decisions: Decisions) -> None:
        held.append(columns.batch(block, decisions))
        if sum(batch.nbytes for batch in held) >= GROUP_BYTES:
            flush()

    with _parquet_writer(file, columns) as out:
        yield write
        flush()


def _parquet_writer(file: BinaryIO, columns: Columns) -> Any:
    return parquet.ParquetWriter(
        file, columns.schema, compression="zstd", compression_level=1, use_dictionary=columns.repetitive()
    )


def _join_parquet(files: Iterator[BinaryIO], out: BinaryIO, columns: Columns) -> None:
    with _parquet_writer(out, columns) as joined:
        for file in files:
            with parquet.ParquetFile(file) as part:
                for group in range(part.num_row_groups):
                    joined.write_table(part.read_row_group(group))
