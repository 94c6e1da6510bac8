"""The journal of calls beside the output: what was paid for is never asked or paid for again.

One JSON object a line. Before a call is sent: ``{"call", "key", "order", "usd"}``, the dollars set aside for
it. When it has ended: ``{"call", "usd", "verdict", "reason"}``, the verdict null for nonsense; or
``{"call", "usd", "failed"}``. A call that never ended, as of a killed run, counts as what was set aside.
"""

import fcntl
import json
import logging
import math
import os
import secrets
from collections import Counter, defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from router_model.data.judge.verdict import WINNERS, Verdict
from router_model.errors import FileError

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 1 << 16
OPENING = b'{"call": "'  # of each line, by which a cut one is told from another file's

Place = tuple[str, int]  # key of the case, order of its answers


class Journal:
    """The calls of all runs of one output; use it as a context, which keeps a second run out.

    Attributes:
        verdicts: by key and order.
        nonsense: replies that held no verdict, by key and order.
        usd: spent for each key: what ended calls did cost, and what was set aside for the others.
        spent_usd: the same of all keys.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.verdicts: dict[Place, Verdict] = {}
        self.nonsense: Counter[Place] = Counter()
        self.usd: defaultdict[str, float] = defaultdict(float)
        self.spent_usd = 0.0
        self._sent: dict[str, tuple[Place, float]] = {}
        self._file: BinaryIO

    def __enter__(self) -> Self:
        """Open and read the journal, and mend a last line that a kill cut short.

        Raises:
            FileError: another run has it open, it cannot be written, or a line is none of a journal.
        """
        try:
            self._file = self.path.open("a+b")
        except OSError as error:
            raise FileError(f"{self.path}: {error.strerror}; give a place that can be written") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
        except OSError as error:
            self._file.close()
            busy = isinstance(error, BlockingIOError)
            reason = "another run is writing it; wait for that" if busy else f"{error.strerror}"
            raise FileError(f"{self.path}: {reason}") from None
        except FileError:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        """Close the file, and with it the lock."""
        os.fsync(self._file.fileno())
        self._file.close()

    def sent(self, key: str, order: int, usd: float) -> str:
        """Note that a call is about to be sent; returns its name."""
        call = secrets.token_hex(8)
        self._write({"call": call, "key": key, "order": order, "usd": usd})
        return call

    def answered(self, call: str, usd: float, verdict: Verdict | None) -> None:
        """Note what a call did cost, and its verdict or nonsense."""
        value, reason = (verdict.value, verdict.reason) if verdict else (None, "")
        self._write({"call": call, "usd": usd, "verdict": value, "reason": reason})

    def failed(self, call: str, usd: float, why: str) -> None:
        """Note that a call brought no reply, and what it may have cost."""
        self._write({"call": call, "usd": usd, "failed": why})

    def _write(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()  # a kill of the process loses nothing that the system has
        except OSError as error:
            raise FileError(f"{self.path}: {error.strerror}; make room and run the same command") from None
        self._apply(line)

    def _read(self) -> None:
        self._file.seek(0)
        whole = number = 0
        while line := self._file.readline(MAX_LINE_BYTES):
            number += 1
            if line[-1:] != b"\n" and (line.startswith(OPENING) or OPENING.startswith(line)):
                logger.warning("%s: the last line was cut short and is dropped", self.path)
                self._file.truncate(whole)
                break
            whole += len(line)
            try:
                self._apply(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
                raise FileError(
                    f"{self.path}:{number}: no line of a judge's journal; mend it, or give another --out"
                ) from None

    def _apply(self, line: dict[str, Any]) -> None:
        """Take up one line; the errors of a line that is none are KeyError, TypeError and ValueError."""
        call, usd = line["call"], _dollars(line["usd"])
        if "key" in line:
            place = (str(line["key"]), int(line["order"]))
            self._sent[call] = (place, usd)
            self._spend(place, usd)
            return
        place, set_aside = self._sent.pop(call)
        self._spend(place, usd - set_aside)
        if "failed" in line:
            return
        if line["verdict"] is None:
            self.nonsense[place] += 1
        else:
            self.verdicts[place] = Verdict(_verdict(line["verdict"]), str(line["reason"]))

    def _spend(self, place: Place, usd: float) -> None:
        self.usd[place[0]] += usd
        self.spent_usd += usd


def _dollars(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("no dollars")
    return float(value)


def _verdict(value: Any) -> float | str:
    if value in WINNERS and isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("no verdict")
    return float(value)
