"""Logs of any known format to one record set, in bounded memory and in the order of the logs."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from router_model.data.blocks import Rows, blocks
from router_model.data.convert import Convert, Step
from router_model.data.formats.registry import BY_NAME, recognised
from router_model.data.output import encoder, writer
from router_model.data.readers import read_rows
from router_model.errors import ConfigError, DataError, RecordError
from router_model.lines import Lines
from router_model.tally import Tally
from router_model.workers import in_order

OnError = Literal["stop", "skip"]
FIRST_ROWS = 100  # that a format is told by
SMALL = 16 << 20  # bytes of logs for which starting processes does not pay


@dataclass
class Ingested:
    """What ``ingest`` did.

    Attributes:
        out: the record set that was written.
        formats: the format of each log; None of one that holds no row.
        tally: what was read, dropped and refused.
    """

    out: str
    formats: dict[str, str | None] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


def ingest(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    format: str | None = None,
    on_error: OnError = "stop",
    steps: Sequence[Step] = (),
    workers: int | None = None,
    rows_done: Callable[[int], None] | None = None,
) -> Ingested:
    """Convert logs to the records of ``out``, Parquet or JSON Lines by its name; run again, it begins again.

    ``format`` is that of all logs; each is told by its first rows where none is named. ``steps`` are what
    each record row passes before it is checked and written, in the order of ``steps``; they must pickle.
    ``workers`` is the number of processes beside this one, as many as there are cores where not given.

    Raises:
        ConfigError: ``out`` has no known ending, or there is no format of that name.
        DataError: a log is of no known format, or no record was found; nothing is written.
        FileError: a file cannot be read or written.
        RecordError: a row is bad, and ``on_error`` is "stop".
        MissingExtraError: a file needs pyarrow and it is not installed.
    """
    if format is not None and format not in BY_NAME:
        raise ConfigError(f"--format {format}: no such format; give one of {', '.join(BY_NAME)}")
    convert = Convert(encoder(out), tuple(steps), on_error == "stop")
    done = Ingested(str(out), {str(path): format or _format(path, on_error) for path in paths})
    with writer(out) as write:
        for part in in_order(convert, _tasks(done), _processes(paths, workers)):
            done.tally.add(part.tally)
            if part.error:
                raise part.error
            write(part.encoded)
            if rows_done:
                rows_done(done.tally.rows)
        if not done.tally.records:
            reasons = "; ".join((*done.tally.refused, *done.tally.dropped))[:400]
            raise DataError(f"no record in {done.tally.rows} rows ({reasons or 'the logs are empty'})")
    return done


def _format(path: str | Path, on_error: OnError) -> str | None:
    """The format that a log's first rows are of; None where it has no row."""
    refused: list[RecordError] = []
    rows = [row for _, row in islice(read_rows(path, refused.append), FIRST_ROWS)]
    if not rows and refused and on_error == "stop":
        raise refused[0]
    return recognised(rows, str(path)).name if rows else None


def _tasks(done: Ingested) -> Iterator[tuple[str, Lines | Rows]]:
    for path, name in done.formats.items():
        for block in blocks(path) if name else ():
            yield name or "", block


def _processes(paths: Sequence[str | Path], workers: int | None) -> int:
    if workers is not None:
        return workers
    if all(os.path.isfile(path) for path in paths) and sum(map(os.path.getsize, paths)) < SMALL:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
