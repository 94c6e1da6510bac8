"""A mark: what the journal's calls say of a case, and its place in the record."""

from dataclasses import dataclass, replace
from typing import Any

from router_model.data.judge.cases import Case
from router_model.data.judge.journal import Journal
from router_model.data.judge.rubric import PROMPT_VERSION
from router_model.data.records import Record

WINNER = (
    {"first": "model_a", "second": "model_b"},  # by the order in which the pair was shown
    {"first": "model_b", "second": "model_a"},
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A judgement that is whole.

    Attributes:
        outcome: in [0, 1], of one answer; None of a pair.
        winner: "model_a", "model_b" or "tie" of a pair, a tie where the two orders disagree; None of one.
        reasons: what the judge said, of each call.
        usd: US dollars of all its calls.
    """

    outcome: float | None
    winner: str | None
    reasons: tuple[str, ...]
    usd: float


def find_mark(case: Case, journal: Journal) -> Mark | None:
    """The mark of a case, or None where a call that it needs has no verdict."""
    verdicts = [journal.verdicts.get((case.key, order)) for order in case.orders]
    found = [verdict for verdict in verdicts if verdict is not None]
    if len(found) < len(verdicts):
        return None
    reasons, usd = tuple(verdict.reason for verdict in found), journal.usd[case.key]
    if case.mode == "pairwise":
        winners = {WINNER[order].get(str(verdict.value), "tie") for order, verdict in enumerate(found)}
        return Mark(None, winners.pop() if len(winners) == 1 else "tie", reasons, usd)
    return Mark(float(found[0].value), None, reasons, usd)


def add_mark(record: Record, case: Case, mark: Mark, judge: str) -> Record:
    """The record with the outcome or the preference, and the mark at the end of ``meta["judge"]``."""
    models = [model for model, _ in case.answers]
    entry: dict[str, Any] = {
        "models": models,
        "judge": judge,
        "prompt_version": PROMPT_VERSION,
        "mode": case.mode,
        "usd": mark.usd,
        "reasons": list(mark.reasons),
    }
    if mark.outcome is not None:
        entry["outcome"] = mark.outcome
        record = replace(record, outcomes={**record.outcomes, models[0]: mark.outcome})
    if mark.winner is not None:
        entry["winner"] = mark.winner
        record = replace(record, preference=(models[0], models[1], mark.winner))
    before = record.meta.get("judge", [])
    marks = [*(before if isinstance(before, list) else [before]), entry]
    return replace(record, meta={**record.meta, "judge": marks})
