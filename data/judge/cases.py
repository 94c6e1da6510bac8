"""What there is to judge in a record: one answer, or two to compare."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from router_model.data.judge.rubric import PROMPT_VERSION
from router_model.data.records import Record
from router_model.prompt import Request

Mode = Literal["reference-free", "reference", "pairwise"]
TEXT_TYPES = ("text", "input_text", "output_text")


@dataclass(frozen=True, slots=True)
class Case:
    """One judgement to be made.

    Attributes:
        key: of record id, judge, prompt version and all that is judged; what has it is judged once.
        record_id: of the record.
        mode: "reference-free" or "reference" of one answer, "pairwise" of two.
        request: the whole request as text.
        reference: an answer that is known to be right.
        answers: (model, text) of the one answer, or of the two.
    """

    key: str
    record_id: str
    mode: Mode
    request: str
    reference: str | None
    answers: tuple[tuple[str, str], ...]

    @property
    def orders(self) -> tuple[int, ...]:
        """The calls that the judgement takes: a pair is shown in both orders."""
        return (0, 1) if self.mode == "pairwise" else (0,)


def cases(
    record: Record, judge: str, pairs: bool, max_characters: int, left_out: Counter[str] | None = None
) -> Iterator[Case]:
    """What there is to judge in ``record``, and why the rest is left out, counted in ``left_out``.

    Alone: each answer whose model has no outcome. As a pair: the answers of a record that has two and no
    preference.
    """
    left_out = Counter() if left_out is None else left_out
    answers = tuple(record.answers.items())
    groups: list[tuple[tuple[str, str], ...]]
    if pairs:
        groups = [answers] if len(answers) == 2 and record.preference is None else []
    else:
        groups = [(answer,) for answer in answers if answer[0] not in record.outcomes]
    if not groups:
        left_out["nothing to judge"] += 1
        return
    request = transcript(record.request)
    for group in groups:
        texts = (request, record.reference or "", *(text for _, text in group))
        if record.prompt.images:
            left_out["an image, which the judge would not see"] += 1
        elif record.meta.get("cut_from") and isinstance(record.request, str):
            left_out["a request that the log cut"] += 1
        elif sum(map(len, texts)) > max_characters:
            left_out["too long"] += 1
        else:
            mode: Mode = "pairwise" if pairs else "reference" if record.reference else "reference-free"
            key = _key(record.id, judge, PROMPT_VERSION, mode, request, record.reference, group)
            yield Case(key, record.id, mode, request, record.reference, group)


def sampled(record_id: str, share: float, seed: int) -> bool:
    """Whether a record is in the seeded sample: the same id always is, whatever stands around it."""
    digest = hashlib.sha256(f"{seed}:{record_id}".encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def transcript(request: Request) -> str:
    """The whole request as text, each message under its role; the router reads a window of it only."""
    if isinstance(request, str):
        return request
    messages = request if isinstance(request, Sequence) else [request]
    return "\n\n".join(_message(message) for message in messages)


def _message(message: Any) -> str:
    if not isinstance(message, Mapping):
        return _json(message)
    rest = {key: value for key, value in message.items() if key not in ("role", "content")}
    parts = message.get("content")
    texts = [_part(part) for part in (parts if isinstance(parts, list) else [parts]) if part is not None]
    return "\n".join([f"[{message.get('role', 'message')}]", *texts, *([_json(rest)] if rest else [])])


def _part(part: Any) -> str:
    if isinstance(part, Mapping) and part.get("type") in TEXT_TYPES:
        part = part.get("text")
    return part if isinstance(part, str) else _json(part)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
