"""What became of the rows of a log: counts, by reason, with the first places of each."""

from dataclasses import dataclass, field

EXAMPLES = 3
REASONS = 20
OTHERS = "other reasons"


@dataclass
class Reason:
    """Rows that share a reason.

    Attributes:
        count: how many.
        examples: the first places, file and line.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """Counts of what was read.

    Attributes:
        rows: rows of the log, bad ones too.
        records: record rows that were written; a row may hold several, or none.
        dropped: what a format leaves out, or a step did, by reason: no fault of the log.
        refused: rows that are broken, by reason.
    """

    rows: int = 0
    records: int = 0
    dropped: dict[str, Reason] = field(default_factory=dict)
    refused: dict[str, Reason] = field(default_factory=dict)

    def drop(self, reason: str, where: str) -> None:
        """Count what was left out."""
        _count(self.dropped, reason, 1, [where])

    def refuse(self, message: str, where: str) -> None:
        """Count a broken row; ``message`` begins with its place."""
        _count(self.refused, message.removeprefix(f"{where}: "), 1, [where])

    def add(self, later: "Tally") -> None:
        """Add what was read after this."""
        self.rows += later.rows
        self.records += later.records
        for ours, theirs in ((self.dropped, later.dropped), (self.refused, later.refused)):
            for reason, of in theirs.items():
                _count(ours, reason, of.count, of.examples)


def _count(reasons: dict[str, Reason], name: str, count: int, examples: list[str]) -> None:
    if name not in reasons and len(reasons) >= REASONS:
        name = OTHERS
    reason = reasons.setdefault(name, Reason())
    reason.count += count
    reason.examples += examples[: EXAMPLES - len(reason.examples)]
