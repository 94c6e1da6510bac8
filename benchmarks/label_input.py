"""The file that ``label.py`` labels: real prompts, no two alike, in Parquet as a user's writer leaves it."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from router_model.data.readers import read_records
from router_model.files import replacing

VERSION = 1  # part of the file's name: another way to make it is another file
MODELS = ("small-8b", "mid-70b", "large-400b")
TENANTS = tuple(
    "acme apex bravo cedar delta ember fjord gamma harbor iris juno kite lumen maple nova onyx pine quartz "
    "river sable".split()
)
FIRST_DAY, DAYS = np.datetime64("2026-01-01T00:00:00"), 30


class Source(NamedTuple):
    """A real prompt and its task."""

    task: str
    text: str


def read_sources(paths: Sequence[str]) -> list[Source]:
    """The distinct prompts of log files, in their order.

    Raises:
        FileError, RecordError: as ``read_records``.
    """
    records = (record for path in paths for record in read_records(path))
    return list(
        {record.prompt.text: Source(record.task or "", record.prompt.text) for record in records}.values()
    )


def row_id(number: int) -> str:
    """The id of a row by its position in the file."""
    return f"row-{number:09d}"


def make(folder: Path, sources: Sequence[Source], rows: int, group: int) -> Path:
    """The file of ``rows`` rows in row groups of ``group``, made unless the folder has it.

    Every pass over the prompts has an order of its own, and every row a salt of its own. Memory is that of
    one row group.
    """
    digest = hashlib.sha256("\0".join(source.text for source in sources).encode("utf-8", "replace"))
    path = folder / f"prompts-{VERSION}-{rows}-{group}-{digest.hexdigest()[:8]}.parquet"
    if path.exists():
        return path
    chance = random.Random(0)  # noqa: S311  # of a benchmark, the same each time
    salted, columns = _salted(sources, chance), np.random.default_rng(0)
    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None
        for start in range(0, rows, group):
            table = _table(salted, columns, start, min(group, rows - start), rows)
            writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=group)
        if writer:
            writer.close()
    return path


def _salted(sources: Sequence[Source], chance: random.Random) -> Iterator[Source]:
    """Prompts without end, each with words of others in front and within, a made-up word and its number.

    So no prompt, no ids of a prompt and not even all of its words can have been seen before.
    """
    words = sorted({word for source in sources for word in source.text.split() if word.isalpha()})
    order, number = list(sources), 0
    while True:
        chance.shuffle(order)
        for task, text in order:
            first, second, third, fourth, fifth = chance.choices(words, k=5)
            made_up = "".join(chance.choices("etaoinshrdlucmfw", k=7))
            place = max(0, text.find(" ", chance.randrange(len(text) + 1)))
            front = f"{first} {second} {made_up} {number:x} {third}: "
            yield Source(task, f"{front}{text[:place]} {fourth} {fifth} {text[place:]}")
            number += 1


def _table(
    salted: Iterator[Source], columns: np.random.Generator, start: int, count: int, rows: int
) -> pa.Table:
    sources = [next(salted) for _ in range(count)]
    numbers = np.arange(start, start + count)
    seconds = numbers * (DAYS * 86_400) // rows
    times = pa.array(FIRST_DAY + seconds.astype("timedelta64[s]"))
    tenants = columns.zipf(1.5, count) % len(TENANTS)
    return pa.table(
        {
            "id": [row_id(number) for number in range(start, start + count)],
            "task": [source.task for source in sources],
            "tenant": pa.array(TENANTS).take(pa.array(tenants)),
            "timestamp": pc.strftime(times, format="%Y-%m-%dT%H:%M:%SZ"),
            "model": pa.array(MODELS).take(pa.array(columns.integers(len(MODELS), size=count))),
            "cost_usd": columns.lognormal(-7.0, 1.0, count).round(8),
            "prompt": [source.text for source in sources],
        }
    )
