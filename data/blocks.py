"""A log in blocks that can be converted apart from one another: so many lines, or so many rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from router_model.data.readers import read_rows
from router_model.lines import BLOCK_BYTES, Lines, Placed, line_blocks
from router_model.sources import Kind, kind, unpacked

BLOCK_ROWS = 1000


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
    with unpacked(path) as file:
        yield from line_blocks(file, str(path), BLOCK_BYTES)


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
