"""Records to a file that ``read_records`` reads: JSON Lines, plain or gzip."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from router_model.data.records import Record, to_row
from router_model.files import replacing


def write_records(path: str | Path, records: Iterable[Record]) -> int:
    """Write ``records`` one a line, compressed where the name ends in ".gz"; returns how many there were.

    The file appears, or takes the place of an older one, when all is written.

    Raises:
        FileError: the file cannot be written.
    """
    rows = 0
    opener: Any = gzip.open if str(path).endswith(".gz") else open
    with (
        replacing(path) as temporary,
        # A lone surrogate becomes the escape that JSON has for it.
        opener(temporary, "wt", encoding="utf-8", errors="backslashreplace") as out,
    ):
        for record in records:
            out.write(json.dumps(to_row(record), ensure_ascii=False, default=str) + "\n")
            rows += 1
    return rows
