"""The starter corpus: prompts written for this project, labelled by judgement."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from router_model.data.readers import read_records
from router_model.data.records import Record
from router_model.data.split import holdout
from router_model.errors import FileError
from router_model.files import replace_file
from router_model.jsonl import read_json_lines
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


def write_starter(folder: Path, share: float, seed: int) -> dict[str, int]:
    """Write train.jsonl, test.jsonl and ladder.json, split by group; returns the rows of each.

    Raises:
        FileError: the folder cannot be written.
    """
    from router_model.data.groups import group

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: {error.strerror or error}; give a folder that can be written") from None
    rows = [row for path in starter_paths() for _, row in read_json_lines(path)]
    held = holdout(group(list(starter_records())), share, seed).tolist()
    parts = {
        "train": [row for row, out in zip(rows, held, strict=True) if not out],
        "test": [row for row, out in zip(rows, held, strict=True) if out],
    }
    for name, part in parts.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in part]
        replace_file(folder / f"{name}.jsonl", "".join(lines).encode())
    replace_file(folder / "ladder.json", (json.dumps(starter_ladder().to_dict(), indent=2) + "\n").encode())
    return {name: len(part) for name, part in parts.items()}
