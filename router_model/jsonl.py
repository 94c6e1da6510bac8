"""JSON Lines, plain or gzip: one value a line, each with its place for messages."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from router_model.errors import FileError, RecordError, one_line

MAX_LINE_BYTES = 64 << 20
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Refuse = Callable[[RecordError], None]  # raises to stop, returns to go on


def stop(error: RecordError) -> None:
    """Refuse a bad line by stopping at it."""
    raise error


def read_json_lines(path: str | Path, refuse: Refuse = stop) -> Iterator[tuple[str, Any]]:
    """(place, value) of each line of a file; blank lines are passed over.

    Raises:
        FileError: the file is missing, unreadable, or cut short.
        RecordError: by ``refuse``, for a line that is not UTF-8 or not JSON.
    """
    yield from _values(read_lines(path), refuse)


def json_lines(
    file: BinaryIO | gzip.GzipFile, name: str, refuse: Refuse = stop, number: int = 0
) -> Iterator[tuple[str, Any]]:
    """As ``read_json_lines``, of an open binary file that messages call ``name``, after ``number`` lines."""
    yield from _values(_lines(file, name, number), refuse)


def read_lines(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """(place, line) of each line of a file, as it stands; blank lines are passed over.

    Raises:
        FileError: the file is missing, unreadable, or cut short.
        RecordError: a line is longer than 64 MiB.
    """
    try:
        with Path(path).open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if packed:
                with closing(gzip.GzipFile(fileobj=file)) as unpacked:
                    yield from _lines(unpacked, str(path))
            else:
                yield from _lines(file, str(path))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"{path}: cut short or damaged: {one_line(error)}; copy the file again") from None
    except OSError as error:
        raise FileError(
            f"{path}: {error.strerror or one_line(error)}; give a file that can be read"
        ) from None


def _lines(file: BinaryIO | gzip.GzipFile, name: str, number: int = 0) -> Iterator[tuple[str, bytes]]:
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        where = f"{name}:{number}"
        if len(line) > MAX_LINE_BYTES:  # the rest of it would be read as lines of its own
            raise RecordError(
                f"{where}: the line is longer than {MAX_LINE_BYTES} bytes; split it or leave it out"
            )
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if line.strip():
            yield where, line


def _values(lines: Iterator[tuple[str, bytes]], refuse: Refuse) -> Iterator[tuple[str, Any]]:
    for where, line in lines:
        try:
            value = decode(line, where)
        except RecordError as error:
            refuse(error)
        else:
            yield where, value


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose members all differ, for ``json``; of two of one name, the first would go unseen.

    Raises:
        ValueError: a name comes twice.
    """
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object has two members of one name")
    return members


def decode(line: bytes, where: str, unique: bool = False) -> Any:
    """The value of one line; with ``unique`` no object may have two members of one name.

    Raises:
        RecordError: the line is not UTF-8 or not JSON.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"{where}: byte {error.start} is not UTF-8; convert the file to UTF-8") from None
    try:
        return json.loads(text, object_pairs_hook=unique_members if unique else None)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where}: not valid JSON: {one_line(error)}; mend or remove the line") from None
