"""JSON that is not one value a line: an array of objects, or objects over several lines, read one by one."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from router_model.errors import FileError, RecordError, one_line
from router_model.jsonl import MAX_LINE_BYTES
from router_model.sources import unpacked

PIECE = 1 << 18
BEFORE = re.compile(r"\s*\[?[\s,\]]*")
BETWEEN = re.compile(r"[\s,\]]*")


def json_values(path: str | Path) -> Iterator[tuple[str, Any]]:
    """(place, value) of each element of an array, or of values one after the other, in bounded memory.

    A place is the file and the value's number, from 1.

    Raises:
        FileError: the file cannot be read, or is not UTF-8.
        RecordError: the rest is not JSON, a value is longer than 64 MiB, or nested too deeply to be read.
    """
    scan, decode = json.JSONDecoder().raw_decode, codecs.getincrementaldecoder("utf-8-sig")()
    text, position, number, between, ended = "", 0, 1, BEFORE, False
    try:
        with unpacked(path) as file:
            while True:
                match = between.match(text, position)
                position = match.end() if match else position
                try:
                    value, end = scan(text, position)
                except RecursionError:
                    raise RecordError(f"{path}:{number}: nested too deeply; remove the value") from None
                except ValueError as error:
                    if ended and position == len(text):
                        return
                    if ended or len(text) - position > MAX_LINE_BYTES:
                        raise RecordError(
                            f"{path}:{number}: not valid JSON: {one_line(error)}; mend the file"
                        ) from None
                    text, position = text[position:], 0
                    piece = file.read(max(PIECE, len(text)))  # a long value is begun again a few times only
                    ended = not piece
                    text += decode.decode(piece, final=ended)
                else:
                    yield f"{path}:{number}", value
                    position, number, between = end, number + 1, BETWEEN
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8: {one_line(error)}; convert the file to UTF-8") from None
