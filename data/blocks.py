"""A log in blocks that can be converted apart from one another: so many lines, or so many rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from router_model.data.readers import read_rows
from router_model.data.sources import Kind, kind, unpacked
from router_model.errors import MissingExtraError
from router_model.jsonl import MAX_LINE_BYTES, json_lines

try:
    import orjson
except ModuleNotFoundError:
    raise MissingExtraError("ingest needs orjson: pip install 'router-model[batch]'") from None

BLOCK_BYTES = 2 << 20
BLOCK_ROWS = 1000

Placed = tuple[str, Any]  # a place and what is there: a row, or the error of one that cannot be decoded


@dataclass(frozen=True)
class Lines:
    """Whole lines of a JSON Lines file, not decoded yet.

    Attributes:
        path: the file, as messages name it.
        before: lines before these.
        content: the bytes.
    """

    path: str
    before: int
    content: bytes

    def rows(self) -> Iterator[Placed]:
        """Each line's row, or what is wrong with it."""
        for before, line in enumerate(self.content.split(b"\n"), self.before):
            try:
                row = orjson.loads(line if len(line) <= MAX_LINE_BYTES else b"")
            except ValueError:  # blank, broken, too long, or what only ``json`` reads, such as NaN
                yield from self._line(line, before)
            else:
                yield f"{self.path}:{before + 1}", row

    def _line(self, line: bytes, before: int) -> Iterator[Placed]:
        refused: list[Placed] = []
        yield from json_lines(
            BytesIO(line),
            self.path,
            lambda error: refused.append((f"{self.path}:{before + 1}", error)),
            before,
        )
        yield from refused


@dataclass(frozen=True)
class Rows:
    """Rows of any other file, decoded."""

    placed: list[Placed]

    def rows(self) -> Iterator[Placed]:
        """Each row, or what is wrong with it."""
        return iter(self.placed)


def blocks(path: str | Path) -> Iterator[Lines | Rows]:
    """The blocks of a file, in order; raises as ``read_rows`` does, but for rows that cannot be decoded."""
    yield from _lines(path) if kind(path) is Kind.JSON_LINES else _rows(path)


def _lines(path: str | Path) -> Iterator[Lines]:
    before, rest = 0, b""
    with unpacked(path) as file:
        while piece := file.read(BLOCK_BYTES):
            cut = piece.rfind(b"\n") + 1
            if not cut and len(rest) <= MAX_LINE_BYTES:  # a longer line is refused where lines are decoded
                rest += piece
                continue
            content = rest + piece[:cut]
            yield Lines(str(path), before, content)
            before, rest = before + content.count(b"\n"), piece[cut:]
    if rest:
        yield Lines(str(path), before, rest)


def _rows(path: str | Path) -> Iterator[Rows]:
    refused: list[Placed] = []

    def rows() -> Iterator[Placed]:
        for placed in read_rows(path, lambda error: refused.append(("", error))):
            yield from refused
            refused.clear()
            yield placed
        yield from refused

    placed = rows()
    while block := list(islice(placed, BLOCK_ROWS)):
        yield Rows(block)
