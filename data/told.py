"""Outcomes that clients told a gateway afterwards, joined to the rows of its traffic log."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from router_model.data.formats.format import Row
from router_model.errors import FileError, RecordError
from router_model.jsonl import decode, read_lines

Names = tuple[str, str]  # id of the request, tenant


class Told:
    """A step of ``ingest``: gives the outcome that was told to the row of the same id and tenant.

    ``outcomes`` are in [0, 1]. A row that names no one model, since nobody answered, is left as it is.
    """

    def __init__(self, outcomes: Mapping[Names, float]) -> None:
        self._outcomes = outcomes

    def __call__(self, row: Row) -> Row:
        """The row, with its outcome where one was told."""
        told = self._outcomes.get((row.get("id"), row.get("tenant")))  # type: ignore[arg-type]
        return row if told is None or row.get("model") is None else {**row, "outcome": told}

    @classmethod
    def read(cls, folder: Path) -> "Told":
        """The outcomes of a gateway's ``feedback`` folder; of several for one request the latest counts.

        A last line that a killed process has left unfinished is passed over.

        Raises:
            FileError: it is no folder, or a file cannot be read.
            RecordError: a line is no outcome.
        """
        if not folder.is_dir():
            raise FileError(f"--feedback {folder}: no folder; give the 'feedback' folder of a traffic log")
        latest: dict[Names, tuple[str, float]] = {}
        for path in sorted(folder.glob("*.jsonl")):
            for names, told in _outcomes(path):
                latest[names] = max(latest.get(names, told), told)
        return cls({names: outcome for names, (_, outcome) in latest.items()})


def _outcomes(path: Path) -> Iterable[tuple[Names, tuple[str, float]]]:
    for where, line in read_lines(path):
        if line.endswith(b"\n"):
            yield _outcome(decode(line, where), where)


def _outcome(row: Any, where: str) -> tuple[Names, tuple[str, float]]:
    fields = [row.get(name) for name in ("id", "tenant", "timestamp")] if isinstance(row, dict) else [None]
    outcome = row.get("outcome") if isinstance(row, dict) else None
    if not all(isinstance(field, str) for field in fields):
        raise RecordError(f"{where}: no outcome of a gateway; give 'id', 'tenant' and 'timestamp' as text")
    if isinstance(outcome, bool) or not isinstance(outcome, int | float) or not 0 <= outcome <= 1:
        raise RecordError(f"{where}: 'outcome' is {outcome!r:.40}; give a number from 0 to 1")
    identity, tenant, time = map(str, fields)
    return (identity, tenant), (time, float(outcome))
