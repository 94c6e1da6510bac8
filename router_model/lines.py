"""JSON Lines in blocks of whole lines, which can be decoded apart from one another."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

from router_model.errors import MissingExtraError
from router_model.jsonl import MAX_LINE_BYTES, json_lines

try:
    import orjson
except ModuleNotFoundError:
    raise MissingExtraError("blocks of lines need orjson: pip install 'router-model[batch]'") from None

BLOCK_BYTES = 2 << 20

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


def line_blocks(file: BinaryIO, name: str, size: int = BLOCK_BYTES) -> Iterator[Lines]:
    """The lines of an open file that messages call ``name``, in blocks of about ``size`` bytes."""
    before, rest = 0, b""
    while piece := file.read(size):
        cut = piece.rfind(b"\n") + 1
        if not cut and len(rest) <= MAX_LINE_BYTES:  # a longer line is refused where lines are decoded
            rest += piece
            continue
        content = rest + piece[:cut]
        yield Lines(name, before, content)
        before, rest = before + content.count(b"\n"), piece[cut:]
    if rest:
        yield Lines(name, before, rest)
