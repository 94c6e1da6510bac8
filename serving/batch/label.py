"""Label a prompt log: JSON Lines in, JSON Lines out, in one process and bounded memory."""

import gzip
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from router_model.errors import FileError, PromptError, RecordError
from router_model.files import replacing
from router_model.jsonl import json_lines, read_json_lines, stop
from router_model.prompt import Prompt, read
from router_model.router import Decisions, Router

BLOCK_ROWS = 1024
STANDARD = "-"
RowsDone = Callable[[int], None]


@dataclass
class Labelled:
    """What ``label`` did.

    Attributes:
        rows: rows labelled.
        bad_rows: rows skipped.
        tiers: rows per tier.
        expected_cost_usd: sum over the rows.
    """

    rows: int = 0
    bad_rows: int = 0
    tiers: dict[str, int] = field(default_factory=dict)
    expected_cost_usd: float = 0.0


def label(
    router: Router,
    source: str | Path,
    target: str | Path,
    *,
    quality: float | None = None,
    budget: float | None = None,
    skip_bad: bool = False,
    rows_done: RowsDone | None = None,
) -> Labelled:
    """Route every row of ``source`` and write one row each, in order, to ``target``.

    A row needs "prompt" or "messages", and "id" is taken over. Either place may be "-", the standard
    streams; a name that ends in ".gz" is written compressed. ``target`` appears when all is done.

    Raises:
        FileError: a file cannot be read or written.
        RecordError: a row is bad, and ``skip_bad`` is not set.
        DialError: as ``Router.route``.
    """
    done = Labelled(tiers=dict.fromkeys(router.ladder.names, 0))
    router.policy.point(quality, budget)

    def refuse(error: RecordError) -> None:
        if not skip_bad:
            stop(error)
        done.bad_rows += 1

    if None in (sys.stdin, sys.stdout) and STANDARD in (str(source), str(target)):
        raise FileError("standard input or output is closed; give a file")
    rows = (
        json_lines(sys.stdin.buffer, "standard input", refuse)
        if str(source) == STANDARD
        else read_json_lines(source, refuse)
    )
    with _output(str(target)) as out:
        for block in _blocks(_prompts(rows, refuse)):
            decisions = router.route_prompts([prompt for _, prompt in block], quality=quality, budget=budget)
            for (name, _), decision in zip(block, decisions, strict=True):
                out.write(json.dumps({"id": name, **decision.to_dict()}, ensure_ascii=False) + "\n")
            _count(done, decisions)
            if rows_done:
                rows_done(done.rows)
    return done


def _prompts(
    rows: Iterable[tuple[str, Any]], refuse: Callable[[RecordError], None]
) -> Iterator[tuple[Any, Prompt]]:
    for where, row in rows:
        try:
            yield _identity(row, where), _prompt(row, where)
        except RecordError as error:
            refuse(error)


def _identity(row: Any, where: str) -> Any:
    if not isinstance(row, dict):
        raise RecordError(f"{where}: a row is {type(row).__name__}; give one JSON object a line")
    name = row.get("id")
    if name is None:
        return where
    if isinstance(name, str | int) or (isinstance(name, float) and math.isfinite(name)):
        return name
    kind = name if isinstance(name, float) else type(name).__name__
    raise RecordError(f"{where}: field 'id' is {kind}; give text or a finite number")


def _prompt(row: dict[str, Any], where: str) -> Prompt:
    request = row.get("prompt") if row.get("prompt") is not None else row.get("messages")
    if request is None:
        raise RecordError(f"{where}: neither 'prompt' (text) nor 'messages' (a list); give one of them")
    try:
        return read(request)
    except PromptError as error:
        raise RecordError(f"{where}: {error}") from None


def _blocks(prompts: Iterator[tuple[Any, Prompt]]) -> Iterator[list[tuple[Any, Prompt]]]:
    while block := list(islice(prompts, BLOCK_ROWS)):
        yield block


def _count(done: Labelled, decisions: Decisions) -> None:
    done.rows += len(decisions)
    done.expected_cost_usd += float(decisions.expected_cost_usd.sum())
    for k, name in enumerate(done.tiers):
        done.tiers[name] += int((decisions.tier == k).sum())


@contextmanager
def _output(target: str) -> Iterator[IO[str]]:
    """Text to standard output, or to a temporary file that takes its place when all went well."""
    if target == STANDARD:
        with open(
            sys.stdout.fileno(), "w", encoding="utf-8", errors="backslashreplace", closefd=False
        ) as out:
            yield out
        return
    opener: Any = gzip.open if target.endswith(".gz") else open
    with (
        replacing(target) as temporary,
        opener(temporary, "wt", encoding="utf-8", errors="backslashreplace") as out,
    ):
        yield out
