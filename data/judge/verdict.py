"""What the judge replied, read strictly: what is not exactly a verdict is none."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from router_model.data.judge.rubric import BEST_SCORE

WINNERS = ("first", "second", "tie")
MAX_REPLY_CHARACTERS = 100_000
REASON_CHARACTERS = 500
FENCE = "```"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one call.

    Attributes:
        value: an outcome in [0, 1] of one answer; "first", "second" or "tie" of two, in the order shown.
        reason: what the judge says of it, at most 500 characters.
    """

    value: float | str
    reason: str


def parse_verdict(reply: str | None, pairwise: bool) -> Verdict | None:
    """The verdict of a reply, or None where it holds nonsense.

    Read is one JSON object, in one code fence or none, of a "reason" and a "score" from 1 to 5 (put on
    [0, 1]) or a "winner"; no key twice, and no other.
    """
    if not reply or len(reply) > MAX_REPLY_CHARACTERS:
        return None
    text = reply.strip()
    if text.startswith(FENCE) and text.endswith(FENCE):
        text = text.removeprefix(FENCE).removesuffix(FENCE).removeprefix("json")
    try:
        value = json.loads(text, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError):
        return None
    name = "winner" if pairwise else "score"
    if not isinstance(value, dict) or set(value) != {"reason", name} or not isinstance(value["reason"], str):
        return None
    reason = " ".join(value["reason"].split())[:REASON_CHARACTERS]
    said = value[name]
    if pairwise:
        return Verdict(said, reason) if isinstance(said, str) and said in WINNERS else None
    if isinstance(said, bool) or not isinstance(said, int) or not 1 <= said <= BEST_SCORE:
        return None
    return Verdict((said - 1) / (BEST_SCORE - 1), reason)


def _no_key_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
