"""Records with answers to records with a judge's marks."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from router_model.data.judge.asking import Asking
from router_model.data.judge.cases import Case, cases, sampled
from router_model.data.judge.config import JudgeConfig
from router_model.data.judge.journal import Journal, Place
from router_model.data.judge.marks import add_mark, find_mark
from router_model.data.readers import NAMED_BAD_ROWS, Reading, read_records
from router_model.data.records import Record
from router_model.data.writers import write_records
from router_model.errors import DataError

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, float], None]  # cases done in this run, of how many, dollars spent so far


@dataclass
class Judged:
    """What ``judge`` did.

    Attributes:
        out: the file written.
        rows: records in it.
        bad_rows: records passed over.
        marks: judgements in it, of this run and of earlier ones.
        new_marks: of this run.
        calls: sent by this run.
        usd: US dollars spent by all runs of this output; None where the prices are not known.
        unmarked: cases that this run gave up, by reason.
        left_out: records or answers that were not to be judged, by reason.
        capped: the cap on dollars ended the run.
    """

    out: str
    rows: int = 0
    bad_rows: int = 0
    marks: int = 0
    new_marks: int = 0
    calls: int = 0
    usd: float | None = None
    unmarked: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    capped: bool = False


def judge(
    source: str | Path,
    out: str | Path,
    config: JudgeConfig,
    *,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Judged:
    """Have the judge mark the answers in ``source``, and write the records with the marks to ``out``.

    Calls are noted in ``out`` + ".journal" as they are made. A run that was interrupted, killed or capped
    goes on from there; what has a mark is not asked again. An interrupt writes ``out`` with the marks so
    far and passes on.

    Raises:
        FileError: a file cannot be read or written, or another run is at it.
        RecordError: a row is bad, and ``skip_bad`` is not set; nothing was asked.
        DataError: no record holds an answer to judge.
        ConfigError: the environment variable holds what is no key.
        JudgeError: the endpoint refuses every call or answers none; the journal keeps what was done.
        KeyboardInterrupt: as above.
    """
    done = Judged(str(out))
    with Journal(Path(f"{out}.journal")) as journal:
        before = frozenset(journal.verdicts)
        todo = _count(source, config, skip_bad, journal, done)
        asked = 0

        def case_done() -> None:
            nonlocal asked
            asked += 1
            if progress:
                progress(asked, todo, asking.spent_usd)

        asking = Asking(config, journal, case_done)
        try:
            asyncio.run(asking.ask_all(_todo(source, config, journal)))
        except KeyboardInterrupt:
            _write(source, config, journal, before, done)
            logger.warning("%s holds %d marks; the same command goes on from there", out, done.marks)
            raise
        done.calls, done.capped, done.unmarked = asking.calls, asking.capped, dict(asking.unmarked)
        done.usd = journal.spent_usd if config.priced else None
        _write(source, config, journal, before, done)
    return done


def _count(source: str | Path, config: JudgeConfig, skip_bad: bool, journal: Journal, done: Judged) -> int:
    """How many cases are to be asked; all rows are checked before any of it costs."""
    reading, left_out = Reading(skip_bad=skip_bad), Counter[str]()
    pending = [_pending(case, journal) for case in _sample(read_records(source, reading), config, left_out)]
    done.bad_rows, done.left_out = reading.bad, dict(left_out)
    if not pending:
        why = ", ".join(f"{reason}: {count}" for reason, count in left_out.items())
        raise DataError(
            f"{source}: none of {reading.rows} records holds {'a pair' if config.pairs else 'an answer'} "
            f"to judge ({why or 'none is in the sample'}); give records with the field 'answer'"
        )
    return sum(pending)


def _todo(source: str | Path, config: JudgeConfig, journal: Journal) -> Iterator[Case]:
    for case in _sample(_read_again(source), config):
        if _pending(case, journal):
            yield case


def _sample(
    records: Iterable[Record], config: JudgeConfig, left_out: Counter[str] | None = None
) -> Iterator[Case]:
    """The cases of the records in the sample, each once, though a row may stand twice."""
    seen = set()
    for record in records:
        if sampled(record.id, config.sample, config.seed):
            for case in cases(record, config.model, config.pairs, config.max_characters, left_out):
                if case.key not in seen:
                    seen.add(case.key)
                    yield case


def _pending(case: Case, journal: Journal) -> bool:
    return any((case.key, order) not in journal.verdicts for order in case.orders)


def _read_again(source: str | Path) -> Iterator[Record]:
    """The records, of which the first reading has named the bad ones."""
    return read_records(source, Reading(skip_bad=True, reasons=["named before"] * NAMED_BAD_ROWS))


def _write(
    source: str | Path, config: JudgeConfig, journal: Journal, before: frozenset[Place], done: Judged
) -> None:
    """All records, with every mark that the journal knows, be it of this sample or of an earlier one."""

    def marked() -> Iterator[Record]:
        for record in _read_again(source):
            whole = record
            for case in cases(record, config.model, config.pairs, config.max_characters):
                mark = find_mark(case, journal)
                if mark is not None:
                    done.marks += 1
                    done.new_marks += any((case.key, order) not in before for order in case.orders)
                    whole = add_mark(whole, case, mark, config.model)
            yield whole

    done.rows = write_records(done.out, marked())
