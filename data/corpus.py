"""The starter corpus: prompts written for this project, labelled by judgement."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from router_model.data.readers import read_records
from router_model.data.records import Record
from router_model.ladder import Ladder


def starter_paths() -> list[Path]:
    """The corpus's files, one a task."""
    folder = Path(str(files("router_model.data.starter")))
    return sorted(folder.glob("*.jsonl"))


def starter_records() -> Iterator[Record]:
    """The corpus's records, in the order of its files."""
    for path in starter_paths():
        yield from read_records(path)


def starter_ladder() -> Ladder:
    """Three tiers, small, medium and large, at prices typical of 2026."""
    return Ladder.read(Path(str(files("router_model.data.starter"))) / "ladder.json")
