"""OpenAI request and response pairs, one JSON object a line: ``{"request": {...}, "response": {...}}``.

Bodies are those of chat completions, completions or Responses
(https://platform.openai.com/docs/api-reference/chat/create); either may be wrapped as the Batch API wraps it,
in ``body`` (https://platform.openai.com/docs/guides/batch). A line of a batch's input joined with its output
by ``custom_id`` is a pair too, and so is a stored completion with its messages
(https://platform.openai.com/docs/api-reference/chat/list): one object with ``messages`` and ``choices``.
Beside the bodies a pair may hold fields of a record, such as ``outcome``, ``feedback`` and ``session``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from router_model.data.formats.chat import NO_PROMPT, answer, request, tokens
from router_model.data.formats.format import Dropped, Format, Row
from router_model.data.formats.values import first, known, mapping, number, text

BESIDE = (
    "outcome", "outcomes", "propensity", "reference", "cost_usd", "latency_ms", "timestamp", "session",
    "group", "tenant", "task", "meta",
)  # fmt: skip


def recognise(row: Mapping[str, Any]) -> bool:
    """Whether the row is a pair."""
    asked, _ = _bodies(row)
    answered = any(name in row for name in ("response", "choices", "error"))
    return answered and any(name in asked for name in ("messages", "input", "prompt"))


def rows(row: Mapping[str, Any]) -> Iterator[Row | Dropped]:
    """One record, of the model that the request names."""
    asked, answered = _bodies(row)
    said = request(asked)
    if said is None:
        yield Dropped(NO_PROMPT)
        return
    model = text(first(asked, "model")) or text(first(answered, "model"))
    reply, reason = answer(answered) if model else (None, None)
    feedback = dict(mapping(row.get("feedback")))
    if reason:
        feedback.setdefault("finish_reason", reason)
    error = first(row, "error") or first(answered, "error") or _failed(row.get("response"))
    if error:
        feedback.setdefault("error", text(mapping(error).get("message")) or text(error) or True)
    found = {
        "id": text(first(row, "custom_id", "id")) or text(answered.get("id")),
        **said,
        "model": model,
        "answer": reply,
        "feedback": feedback,
        **tokens(answered),
        "timestamp": number(first(answered, "created", "created_at")),
        "tenant": text(first(asked, "safety_identifier", "user")),
        "meta": dict(mapping(asked.get("metadata"))),
    }
    yield known(found | {name: row[name] for name in BESIDE if row.get(name) is not None})


def _bodies(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The bodies of request and response, without what the Batch API wraps them in."""
    if "choices" in row:
        return row, row
    asked = mapping(row.get("request")) or ({"body": row["body"]} if "body" in row else {})
    answered = mapping(row.get("response"))
    return (
        mapping(asked.get("body")) if "body" in asked else asked,
        mapping(answered.get("body")) if "body" in answered else answered,
    )


def _failed(response: Any) -> str | None:
    status = number(mapping(response).get("status_code"))
    return f"status {status:.0f}" if status is not None and status >= 400 else None


FORMAT = Format(
    "openai", "'request' and 'response', the bodies of chat completions, one pair an object", recognise, rows
)
