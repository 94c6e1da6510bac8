"""The traffic log: every request as a record, in Parquet by date, without a request ever waiting for it.

``add`` puts a row into a bounded queue. A thread takes the rows, encodes them and appends them to a journal,
and a second one turns a journal that is full or old into a part. A stop loses nothing; a ``kill -9`` loses
what was not in the journal yet, and the next start turns what was into parts.
"""

import json
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from router_model.errors import one_line
from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.traffic import Traffic
from router_model.serving.gateway.feedback import Outcome
from router_model.serving.gateway.journal import FOLDER, Journal, abandoned
from router_model.serving.gateway.memory import give_back
from router_model.serving.gateway.words import WordsKept

logger = logging.getLogger(__name__)

QUEUED_BYTES = 64 << 20  # of the bodies that wait
JOURNAL_BYTES = 16 << 20  # a part is made in memory, which takes several times as much for a moment
FEEDBACK = "feedback"  # the folder of outcomes
YIELD_SECONDS = 0.0005  # that the thread works at a stretch
PIECE = 256  # rows that are written at once

Item = tuple[Entry, Call] | Outcome


class TrafficLog:
    """The log of one worker in a folder that others may share.

    ``kept`` says what is kept of texts; ``models`` is the ladder's name of each tier's model, which records
    go by; ``clock`` tells seconds since 1970.
    """

    def __init__(
        self,
        config: Traffic,
        folder: Path,
        kept: WordsKept,
        *,
        models: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._folder, self._kept = config, folder, kept
        self._models, self._clock = models or {}, clock
        self._queue: deque[Item] = deque()
        self._put_bytes = self._taken_bytes = 0  # of bodies; each is counted by one thread only
        self._counts = {"written": 0, "dropped": 0, "refused": 0}
        self._worker, self._part = secrets.token_hex(6), 0
        self._journal: Journal | None = None
        self._told: Journal | None = None
        self._opened = self._since = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic log", daemon=True)
        self._parts = ThreadPoolExecutor(1, thread_name_prefix="traffic parts")

    def open(self) -> None:
        """Begin to write, and turn what killed processes have left into parts."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits and end the part; blocks until it is there."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._parts.shutdown()

    def add(self, entry: Entry, call: Call) -> None:
        """Put a request in the queue; where it is full, the row is dropped and counted."""
        size = len(call.raw)
        if (
            len(self._queue) >= self._config.queue
            or self._put_bytes - self._taken_bytes + size > QUEUED_BYTES
        ):
            self._counts["dropped"] += 1
            return
        self._put_bytes += size
        self._queue.append((entry, call))

    def tell(self, outcome: Outcome) -> None:
        """Put an outcome for an earlier request in the queue, as ``add``."""
        if len(self._queue) >= self._config.queue:
            self._counts["dropped"] += 1
        else:
            self._queue.append(outcome)

    def counts(self) -> dict[str, int]:
        """Rows that were written, dropped for want of room, and refused because they cannot be encoded."""
        return dict(self._counts)

    def _run(self) -> None:
        self._parts.submit(self._sweep)
        while not self._stop.wait(self._config.flush_seconds / 4):
            self._flush()
        self._flush()
        self._roll()
        if self._told:
            self._told.close()

    def _flush(self) -> None:
        """Write what waits; on a full disk it waits on."""
        while self._queue:
            piece = [self._queue.popleft() for _ in range(min(PIECE, len(self._queue)))]
            try:
                self._write(piece)
            except OSError as error:
                logger.error("%s: the traffic log waits: %s", self._folder, one_line(error))
                self._queue.extendleft(reversed(piece))
                return
            self._taken_bytes += sum(len(item[1].raw) for item in piece if isinstance(item, tuple))
        config, journal = self._config, self._journal
        if journal and (
            journal.rows >= config.part_rows
            or journal.bytes >= JOURNAL_BYTES
            or self._clock() - self._opened >= config.part_seconds
        ):
            self._roll()

    def _write(self, piece: list[Item]) -> None:
        rows = [line for item in piece if isinstance(item, tuple) and (line := self._line(item))]
        told = [line for item in piece if isinstance(item, Outcome) and (line := self._line(item))]
        if told:  # first: after a failure both come again, and an outcome that stands twice is one
            if self._told is None:
                self._told = Journal(self._folder / FEEDBACK / f"{self._worker}.jsonl")
            self._told.write(told)
        if rows:
            if self._journal is None:
                name = f"{self._worker}-{self._part:05}.jsonl"
                self._journal, self._opened = Journal(self._folder / FOLDER / name), self._clock()
                self._part += 1
            self._journal.write(rows)
        self._counts["written"] += len(rows) + len(told)

    def _line(self, item: Item) -> bytes | None:
        if time.perf_counter() - self._since > YIELD_SECONDS:
            time.sleep(0)  # lets the loop's thread go on, which else would wait for many rows
            self._since = time.perf_counter()
        try:
            row = outcome_row(item) if isinstance(item, Outcome) else self._row(*item)
            return _encoded(row) + b"\n"
        except Exception as error:  # a row that cannot be encoded must not end the log
            self._counts["refused"] += 1
            logger.warning("a row of the traffic log was refused: %s", type(error).__name__)
            return None

    def _row(self, entry: Entry, call: Call) -> dict[str, Any]:
        answered = not entry.failed and entry.cached is None
        # An answer to another question that means the same says nothing of what the model makes of this one.
        own = not entry.failed and entry.cached != "semantic"
        usage, kept = entry.usage, self._kept.of(call)
        cut_from = kept.pop("cut_from", None)
        meta = {
            "tier": entry.tier,
            "provider": entry.provider,
            "provider_model": entry.model,
            "endpoint": entry.endpoint,
            "asked": entry.asked,
            "key": entry.caller.name,
            "status": entry.status,
            "stream": entry.stream,
            "explored": entry.explored,
            "escalated": entry.escalated,
            "cached": entry.cached,
            "attempts": entry.attempts,
            "paid_usd": entry.cost_usd + entry.wasted_usd,
            "strongest_usd": entry.strongest_usd,
            "first_byte_ms": entry.first_byte_seconds * 1e3,
            "usage": usage,
            **({"cut_from": cut_from} if cut_from else {}),
        }
        return {
            "id": entry.request_id,
            **{name: _text(value) for name, value in kept.items()},
            "model": (self._models.get(entry.tier, entry.model) or None) if own else None,
            "propensity": entry.propensity,
            "cost_usd": entry.cost_usd if answered else None,
            "input_tokens": usage.input or None,  # 0 where nobody counted: it is for readers to estimate
            "output_tokens": usage.output if answered else None,
            "latency_ms": entry.seconds * 1e3 if answered else None,
            "timestamp": datetime.fromtimestamp(entry.time, UTC).isoformat(),
            "session": self._kept.session(entry.session),
            "tenant": entry.caller.tenant,
            "meta": _encoded(meta).decode(),
        }

    def _roll(self) -> None:
        if self._journal:
            self._parts.submit(self._store, self._journal)
            self._parts.submit(self._sweep)
            self._journal = None

    def _sweep(self) -> None:
        for journal in abandoned(self._folder):
            self._store(journal)

    def _store(self, journal: Journal) -> None:
        try:
            journal.store(self._folder)
            give_back()
        except (OSError, pa.ArrowException) as error:
            logger.error("%s: no part could be made of it, and it stays: %s", journal.path, one_line(error))


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a line of the log's ``feedback`` folder."""
    return {
        "id": outcome.request_id,
        "outcome": outcome.outcome,
        "tenant": outcome.tenant,
        "timestamp": datetime.fromtimestamp(outcome.time, UTC).isoformat(),
    }


def _text(value: Any) -> Any:
    """What a column of text holds of nested messages: JSON."""
    nested = isinstance(value, list) and value and isinstance(value[0], dict)
    return _encoded(value).decode() if nested else value


def _encoded(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # lone surrogates, which UTF-8 has no bytes for
        return json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace")
