"""One logged request and what is known of how models answered it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from router_model.errors import PromptError, RecordError, one_line
from router_model.prompt import Prompt, Request, read

FIELDS = frozenset(
    {
        "id", "prompt", "messages", "best_tier", "outcomes", "model", "outcome", "propensity",
        "model_a", "model_b", "winner", "answer", "reference", "feedback", "cost_usd", "input_tokens",
        "output_tokens", "latency_ms", "timestamp", "session", "group", "tenant", "task", "meta",
    }
)  # fmt: skip
PREFERENCE = ("model_a", "model_b", "winner")
WINNERS = ("model_a", "model_b", "tie")
MOST_COUNTED = 1e12  # characters, messages and parts of a request
LARGEST = 1e15  # of tokens, dollars and milliseconds, so that sums and products stay finite


@dataclass(frozen=True, slots=True)
class Record:
    """A request with its label, of one of four kinds: a judged tier, outcomes, a logged choice, a preference.

    Attributes:
        id: unique in its source; file and line where the row names none.
        request: the prompt, or chat messages.
        prompt: what the router reads of it.
        best_tier: the cheapest tier that is sufficient, by judgement.
        outcomes: score in [0, 1] of each model that answered and was judged.
        model: the one logged model, which answered the request; None where several did, or none is known.
        propensity: probability in (0, 1] with which the one logged model was chosen.
        preference: (model_a, model_b, winner), the winner one of "model_a", "model_b", "tie".
        answers: the text of the answer, by model.
        reference: an answer that is known to be right.
        feedback: what was logged of how the answer was taken, by name; rules make an outcome of it.
        cost_usd: US dollars paid, by model.
        output_tokens: length of the answer, by model.
        input_tokens: length of the request, where known.
        latency_ms: milliseconds to the whole answer, by model.
        timestamp: as logged, ISO 8601 or seconds since 1970.
        group: what must stay on one side of a split; the session where the row names no group.
        session: conversation.
        tenant: whose traffic it is.
        task: for reporting and grouped splits, never a feature.
        meta: whatever else the row holds under "meta"; its "cut_from" says what of a prompt was counted
            before it was cut.
    """

    id: str
    request: Request
    prompt: Prompt
    best_tier: str | None = None
    outcomes: Mapping[str, float] = field(default_factory=dict)
    model: str | None = None
    propensity: float | None = None
    preference: tuple[str, str, str] | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    reference: str | None = None
    feedback: Mapping[str, Any] = field(default_factory=dict)
    cost_usd: Mapping[str, float] = field(default_factory=dict)
    output_tokens: Mapping[str, float] = field(default_factory=dict)
    input_tokens: float | None = None
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    timestamp: str | float | None = None
    group: str | None = None
    session: str | None = None
    tenant: str | None = None
    task: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        """Whether the row says anything of how a tier did."""
        return bool(self.best_tier or self.outcomes or self.preference)


def parse_record(row: Any, where: str) -> Record:
    """Check one decoded row; ``where`` is the file and line that messages name.

    Raises:
        RecordError: the row is not an object, holds no prompt, or a field is not what it must be.
    """
    return Record(**checked_fields(row, where))


def checked_fields(row: Any, where: str) -> dict[str, Any]:
    """The fields of the record that ``parse_record`` makes of a row, without the cost of making it."""
    if not isinstance(row, Mapping):
        raise RecordError(f"{where}: a row is {type(row).__name__}; give one JSON object a line")
    row = {key: value for key, value in row.items() if value is not None}
    request = _request(row, where)
    try:
        prompt = read(request)
    except PromptError as error:
        raise RecordError(f"{where}: {error}") from None
    meta = _object(row, "meta", where)
    if isinstance(request, str) and meta.get("cut_from") is not None:
        prompt = _uncut(prompt, meta["cut_from"], where)
    model = _text(row, "model", where)
    session = _text(row, "session", where)
    return {
        "id": _text(row, "id", where) or where,
        "request": request,
        "prompt": prompt,
        "best_tier": _text(row, "best_tier", where),
        "outcomes": _outcomes(row, model, where),
        "model": model,
        "propensity": _number(row, "propensity", where, low=1e-9, high=1.0),
        "preference": _preference(row, where),
        "answers": _answers(row, model, where),
        "reference": _text(row, "reference", where),
        "feedback": _object(row, "feedback", where),
        "cost_usd": _per_model(row, "cost_usd", model, where),
        "output_tokens": _per_model(row, "output_tokens", model, where),
        "input_tokens": _number(row, "input_tokens", where),
        "latency_ms": _per_model(row, "latency_ms", model, where),
        "timestamp": _timestamp(row, where),
        "group": _text(row, "group", where) or session,
        "session": session,
        "tenant": _text(row, "tenant", where),
        "task": _text(row, "task", where),
        "meta": meta,
    }


def to_row(record: Record) -> dict[str, Any]:
    """The row that ``parse_record`` reads as this record; what is not known is left out."""
    first, second, winner = record.preference or (None, None, None)
    row = {
        "id": record.id,
        ("prompt" if isinstance(record.request, str) else "messages"): record.request,
        "best_tier": record.best_tier,
        "outcomes": dict(record.outcomes),
        "model": record.model,
        "propensity": record.propensity,
        "model_a": first,
        "model_b": second,
        "winner": winner,
        "answer": dict(record.answers),
        "reference": record.reference,
        "feedback": dict(record.feedback),
        "cost_usd": dict(record.cost_usd),
        "input_tokens": record.input_tokens,
        "output_tokens": dict(record.output_tokens),
        "latency_ms": dict(record.latency_ms),
        "timestamp": record.timestamp,
        "session": record.session,
        "group": record.group,
        "tenant": record.tenant,
        "task": record.task,
        "meta": dict(record.meta),
    }
    return {key: value for key, value in row.items() if key == "prompt" or value not in (None, {})}


def _request(row: Mapping[str, Any], where: str) -> Request:
    if "prompt" in row and "messages" in row:
        raise RecordError(f"{where}: both 'prompt' and 'messages'; give one of them")
    if "prompt" in row:
        if not isinstance(row["prompt"], str):
            raise RecordError(f"{where}: field 'prompt' is {type(row['prompt']).__name__}; give text")
        return row["prompt"]
    messages = _decoded(row.get("messages"), "messages", where)
    if messages is None and "prompt_hash" in row:
        raise RecordError(f"{where}: a row of 'redact --hash-prompts' holds no prompt; read the set it is of")
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise RecordError(f"{where}: neither 'prompt' (text) nor 'messages' (a list); give one of them")
    return messages


def _uncut(prompt: Prompt, told: Any, where: str) -> Prompt:
    """A prompt that a log keeps the window of, with what the router counted of the whole request."""
    if not isinstance(told, Mapping):
        raise RecordError(f"{where}: field 'meta.cut_from' is {type(told).__name__}; give an object")
    counts = {
        name: int(_in_range(told.get(name, least), f"meta.cut_from.{name}", where, least, MOST_COUNTED))
        for name, least in (("characters", 0), ("turns", 1), ("tools", 0), ("images", 0))
    }
    counts["characters"] = max(counts["characters"], prompt.characters)  # redaction may have added some
    return Prompt(prompt.text, **counts)


def _outcomes(row: Mapping[str, Any], model: str | None, where: str) -> Mapping[str, float]:
    outcomes = row.get("outcomes", {})
    if outcomes.__class__ is not dict and not isinstance(outcomes, Mapping):
        raise RecordError(
            f"{where}: field 'outcomes' is {type(outcomes).__name__}; give model names and scores"
        )
    checked = {
        str(name): _in_range(score, "outcomes", where, 0.0, 1.0, name)
        for name, score in outcomes.items()
        if score is not None
    }
    if "outcome" in row:
        if model is None:
            raise RecordError(f"{where}: 'outcome' without 'model'; name the model that answered")
        checked[model] = _in_range(row["outcome"], "outcome", where, 0.0, 1.0)
    return checked


def _preference(row: Mapping[str, Any], where: str) -> tuple[str, str, str] | None:
    if row.keys().isdisjoint(PREFERENCE):
        return None
    names = [_text(row, key, where) for key in PREFERENCE]
    if not any(names):
        return None
    first, second, winner = names
    if not (first and second and winner):
        raise RecordError(f"{where}: a preference needs 'model_a', 'model_b' and 'winner'")
    if winner in (first, second) and first != second:
        winner = "model_a" if winner == first else "model_b"
    elif winner.startswith("tie"):
        winner = "tie"
    if winner not in WINNERS:
        raise RecordError(
            f"{where}: field 'winner' is {winner!r:.80}; give {', '.join(WINNERS)} or a model's name"
        )
    return first, second, winner


def _per_model(row: Mapping[str, Any], key: str, model: str | None, where: str) -> Mapping[str, float]:
    """A number per model, or one number for the one logged model."""
    value = row.get(key)
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {
            str(name): _in_range(number, key, where, 0.0, LARGEST, name)
            for name, number in value.items()
            if number is not None
        }
    number = _in_range(value, key, where, 0.0, LARGEST)
    return {model: number} if model else {}


def _text(row: Mapping[str, Any], key: str, where: str) -> str | None:
    value = row.get(key)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    raise RecordError(f"{where}: field {key!r} is {type(value).__name__}; give text")


def _number(
    row: Mapping[str, Any], key: str, where: str, low: float = 0.0, high: float = LARGEST
) -> float | None:
    value = row.get(key)
    if isinstance(value, Mapping):  # input tokens by model, as some logs have them: one tokenizer is as good
        value = next((number for number in value.values() if number is not None), None)
    return None if value is None else _in_range(value, key, where, low, high)


def _in_range(value: Any, key: str, where: str, low: float, high: float, of: Any = None) -> float:
    """The number of a field, or of one model ``of`` that it names."""
    kind = value.__class__
    if (kind is float or kind is int) and low <= value <= high:  # the rest is slower and says what is wrong
        return float(value)
    if isinstance(value, bool) and high == 1.0:
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{where}: field {_name(key, of)!r:.80} is {type(value).__name__}; give a number")
    if not low <= value <= high:
        raise RecordError(
            f"{where}: field {_name(key, of)!r:.80} is {value!r:.40}; give a number from {low:g} to {high:g}"
        )
    return float(value)


def _name(key: str, of: Any) -> str:
    return key if of is None else f"{key}[{of!r}]"


def _timestamp(row: Mapping[str, Any], where: str) -> str | float | None:
    value = row.get("timestamp")
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return value
    return str(value) if hasattr(value, "isoformat") else _text(row, "timestamp", where)


def _answers(row: Mapping[str, Any], model: str | None, where: str) -> Mapping[str, str]:
    """A text per model, or one text of the one logged model."""
    value = row.get("answer")
    if value is None:
        return {}
    if isinstance(value, str):
        if model is None:
            raise RecordError(f"{where}: 'answer' without 'model'; name the model that answered")
        return {model: value}
    texts = _object(row, "answer", where)
    for name, text in texts.items():
        if not isinstance(text, str):
            raise RecordError(f"{where}: field answer[{name!r:.80}] is {type(text).__name__}; give text")
    return texts


def _object(row: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    if key not in row:
        return {}
    value = _decoded(row[key], key, where)
    if not isinstance(value, Mapping):
        raise RecordError(f"{where}: field {key!r} is {type(value).__name__}; give an object")
    return value


def _decoded(value: Any, key: str, where: str) -> Any:
    """What JSON text holds: columns of one type, such as Parquet's, hold nested values as text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where}: field {key!r} is text that is not JSON: {one_line(error)}") from None
