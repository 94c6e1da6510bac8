"""Files to read: local or remote, packed or not, told by their content and not by their name."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from router_model.errors import FileError, MissingExtraError, one_line
from router_model.jsonl import BYTE_ORDER_MARK, GZIP_MAGIC

PARQUET_MAGIC = b"PAR1"
ZSTANDARD_MAGIC = b"\x28\xb5\x2f\xfd"
SEEN = 1 << 16  # bytes of the content that its kind is told by
DELIMITERS = ",\t;"


class Kind(Enum):
    """What a file holds, once it is unpacked."""

    PARQUET = "Parquet"
    CSV = "CSV"
    JSON_LINES = "JSON Lines"
    JSON = "JSON"  # one array of objects, or objects that are not one a line


@contextmanager
def opened(path: str | Path) -> Iterator[BufferedReader]:
    """The stored bytes of a local path, or of a URI that ``pyarrow.fs`` opens, such as ``s3://bucket/key``.

    Raises:
        FileError: it is missing, cannot be read, or cannot be read twice, as a pipe.
        MissingExtraError: it is remote and pyarrow is not installed.
    """
    try:
        with _remote(str(path)) if "://" in str(path) else Path(path).open("rb") as file:
            file.seek(0)
            yield file
    except OSError as error:
        raise FileError(
            f"{path}: {error.strerror or one_line(error)}; give a file that can be read"
        ) from None


@contextmanager
def unpacked(path: str | Path) -> Iterator[BinaryIO]:
    """As ``opened``, of what a gzip or Zstandard file holds, or of the file itself; raises as both do."""
    with opened(path) as stored, unpacking(stored, path) as file:
        yield file


@contextmanager
def unpacking(stored: BufferedReader, path: str | Path) -> Iterator[BufferedReader]:
    """What an open file, or a pipe at its start, holds: unpacked where it is gzip or Zstandard.

    Raises:
        FileError: it is cut short or damaged.
        MissingExtraError: it is Zstandard and pyarrow is not installed.
    """
    magic = stored.peek(4)[:4]
    stream: BufferedIOBase
    if magic[:2] == GZIP_MAGIC:
        stream = gzip.GzipFile(fileobj=stored)
    elif magic == ZSTANDARD_MAGIC:
        stream = BufferedReader(_pyarrow(path, "Zstandard").CompressedInputStream(stored, "zstd"), SEEN)
    else:
        yield stored
        return
    try:
        with stream:
            yield cast(BufferedReader, stream)
    except (EOFError, zlib.error, OSError) as error:
        raise FileError(f"{path}: cut short or damaged: {one_line(error)}; copy the file again") from None


def kind(path: str | Path) -> Kind:
    """What a file holds, by its first bytes; raises as ``unpacked`` does."""
    with opened(path) as file:
        if file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC:
            return Kind.PARQUET
    with unpacked(path) as file:
        return kind_of(file.read(SEEN))


def kind_of(head: bytes) -> Kind:
    """What an unpacked file that begins with these bytes holds, where it is not Parquet."""
    line, _, rest = head.removeprefix(BYTE_ORDER_MARK).strip().partition(b"\n")
    line = line.rstrip()
    array = line[:1] == b"[" and line[1:].lstrip()[:1] in (
        b"",
        b"{",
        b"]",
    )  # of objects, not one row of numbers
    if line == b"{" or (array and not (rest and _is_json(line))):
        return Kind.JSON
    if line[:1] != b"{" and not _is_json(line) and delimiter(line.decode("utf-8", "replace")):
        return Kind.CSV
    return Kind.JSON_LINES


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def delimiter(header: str) -> str | None:
    """What separates the names of a table's first line; None where it is no such line."""
    found = {}
    for sign in DELIMITERS:
        try:
            names = next(csv.reader([header], delimiter=sign, strict=True), [])
        except csv.Error:
            continue
        if len(names) > 1 and all(names[1:]) and len(set(names)) == len(names):  # pandas names no index
            found[sign] = len(names)
    return max(found, key=lambda sign: found[sign], default=None)


def _remote(uri: str) -> BufferedReader:
    pyarrow = _pyarrow(uri, "a remote file")
    from pyarrow import fs

    try:
        system, path = fs.FileSystem.from_uri(uri)
        return BufferedReader(system.open_input_file(path), SEEN)
    except (pyarrow.ArrowException, ValueError) as error:
        raise FileError(f"{uri}: {one_line(error)}; give a path, or a URI that pyarrow.fs opens") from None


def _pyarrow(path: str | Path, kind: str) -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise MissingExtraError(f"{path}: {kind} needs pyarrow: pip install 'router-model[batch]'") from None
    return pyarrow
