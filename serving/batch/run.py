"""A run of labelling as it goes: what is done, what was counted, what was left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from router_model.errors import ConfigError, OutputError, RouterModelError
from router_model.serving.batch.counts import Counts
from router_model.serving.batch.folder import Finished
from router_model.serving.batch.labeller import Done, Settings
from router_model.serving.batch.summary import dollars
from router_model.tally import Tally


@dataclass
class Run:
    """A run so far.

    Attributes:
        counts: over all rows that have labels, those of earlier runs too.
        stop: whether to end at what is bad.
        size: bytes of all sources; 0 where they are not known.
        size_done: bytes of those that were labelled.
        tally: rows read, and refused by reason.
        failed: why files were left, wholly or from some part on, and which.
        resumed: rows that earlier runs labelled.
        finished: parts that have labels.
        began: when, by the monotonic clock, in seconds.
    """

    counts: Counts
    stop: bool
    size: int
    size_done: int = 0
    tally: Tally = field(default_factory=Tally)
    failed: dict[str, list[str]] = field(default_factory=dict)
    resumed: int = 0
    finished: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, tiers: Sequence[str], settings: Settings, size: int) -> "Run":
        """A run that has done nothing."""
        return cls(Counts.empty(tiers, settings.by), settings.on_error == "stop", size)

    def resume(self, finished: dict[str, Finished]) -> None:
        """Count what earlier runs finished."""
        for name, done in finished.items():
            self.resumed += done.tally.records
            self._count(name, done.counts, done.tally, done.size)

    def add(self, done: Done) -> None:
        """Count a part; raises its error where that ends the run."""
        if done.error:
            self.fail(done.path, done.error)
            self.size_done += done.size
        else:
            self._count(done.part, done.counts, done.tally, done.size)

    def fail(self, path: str, error: RouterModelError) -> None:
        """Leave a source, or a part of it; raises ``error`` where that ends the run."""
        if self.stop or isinstance(error, ConfigError | OutputError):
            raise error
        files = self.failed.setdefault(str(error).removeprefix(f"{path}: "), [])
        if path not in files:
            files.append(path)

    def share(self) -> float:
        """Of the sources' bytes, how many are done, in [0, 1]; 0 where they are not known."""
        return min(1.0, self.size_done / self.size) if self.size else 0.0

    def said(self) -> str:
        """How far it is, in one line."""
        totals, rate = self.counts.whole, 0.0
        if self.tally.records > self.resumed:
            rate = (self.tally.records - self.resumed) / (time.monotonic() - self.began)
        tiers = zip(self.counts.names, totals.tier_rows, strict=True)
        shares = " ".join(f"{name} {rows / max(1, totals.rows):.0%}" for name, rows in tiers)
        return f"{totals.rows:,} rows, {rate:,.0f}/s, {shares}, {dollars(totals.routed_usd)} USD"

    def left(self, path: str) -> bool:
        """Whether a file was left."""
        return any(path in files for files in self.failed.values())

    def _count(self, part: str, counts: Counts, tally: Tally, size: int) -> None:
        self.counts.merge(counts)
        self.tally.add(tally)
        self.size_done += size
        self.finished.add(part)
