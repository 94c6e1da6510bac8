"""Leaks: prompts to test on that training saw, or near-duplicates of them, which flatter a router.

What counts as a near-duplicate is as in data/groups.py: MinHash (Broder 1997) over words in threes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from router_model.data.groups import nearest
from router_model.data.records import Record
from router_model.errors import DataError

OnLeaks = Literal["refuse", "drop", "keep"]
MAX_PAIRS = 50
NAMED = 3  # ids in a message
TEXT = 80  # characters
NOT_CHECKED = "not checked: name the training data with --trained-on"


@dataclass(frozen=True, slots=True)
class LeakingPair:
    """A prompt to test on and the training prompt that it repeats; ``similarity`` is Jaccard's, estimated."""

    test_id: str
    train_id: str
    similarity: float
    text: str


@dataclass(frozen=True, slots=True)
class Leaks:
    """Prompts to test on that are near-duplicates of training prompts.

    Attributes:
        count: of them.
        share: of all prompts to test on, in [0, 1].
        rows: their positions.
        pairs: the first 50 of them, with the first 80 characters of the prompt.
    """

    count: int
    share: float
    rows: tuple[int, ...]
    pairs: tuple[LeakingPair, ...]


@dataclass(frozen=True, slots=True)
class LeakVerdict:
    """What was found and done, in plain words; ``found`` is None where nobody named the training data."""

    message: str = NOT_CHECKED
    found: Leaks | None = None


def leaks(train_records: Sequence[Record], test_records: Sequence[Record]) -> Leaks:
    """Find the test prompts that repeat a training prompt, word for word or nearly."""
    met = nearest(
        [record.prompt.text for record in test_records], [record.prompt.text for record in train_records]
    )
    leaking = [(row, *pair) for row, pair in enumerate(met) if pair is not None]
    return Leaks(
        count=len(leaking),
        share=len(leaking) / max(1, len(test_records)),
        rows=tuple(row for row, _, _ in leaking),
        pairs=tuple(
            LeakingPair(
                test_records[row].id,
                train_records[other].id,
                round(similarity, 3),
                test_records[row].prompt.text[:TEXT],
            )
            for row, other, similarity in leaking[:MAX_PAIRS]
        ),
    )


def without_leaks(
    train_records: Sequence[Record], test_records: Sequence[Record], on_leaks: OnLeaks
) -> tuple[list[Record], LeakVerdict]:
    """The records to test on, and the verdict: leaking ones are refused, dropped or kept.

    Raises:
        DataError: a prompt leaks and is to be refused, or all leak and are to be dropped.
    """
    found = leaks(train_records, test_records)
    if not found.count:
        message = f"none: no test prompt is a near-duplicate of one of {len(train_records)} training prompts"
        return list(test_records), LeakVerdict(message, found)
    says = (
        f"{found.count} of {len(test_records)} test prompts ({found.share:.1%}) are near-duplicates of "
        "training prompts"
    )
    if on_leaks == "keep":
        return list(test_records), LeakVerdict(f"{says} and were kept: the figures flatter the router", found)
    if on_leaks == "refuse":
        named = ", ".join(f"{pair.test_id!r} of {pair.train_id!r}" for pair in found.pairs[:NAMED])
        more = ", ..." if found.count > NAMED else ""
        raise DataError(
            f"{says}: {named}{more}; leave them out with --leaks drop, or keep them with --leaks keep"
        )
    if found.count == len(test_records):
        raise DataError(f"{says}, so --leaks drop leaves none; give data that training has not seen")
    leaking = set(found.rows)
    rest = [record for row, record in enumerate(test_records) if row not in leaking]
    return rest, LeakVerdict(f"{says} and were left out", found)
