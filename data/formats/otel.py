"""OpenTelemetry spans of calls to language models, in OTLP JSON: one export request an object.

The envelope is that of https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding, as the collector's
file exporter writes it; attributes and events follow the GenAI semantic conventions
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/). Where the messages stand has changed, and
all places are read: attributes ``gen_ai.input.messages`` and ``gen_ai.output.messages`` of the span or of its
event ``gen_ai.client.inference.operation.details`` (1.37 on); an event a message, ``gen_ai.user.message``
to ``gen_ai.choice`` (1.28 on); and what was before, in ``otel_before``.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from router_model.data.conversations import content
from router_model.data.formats.chat import NO_PROMPT, answer, spoken
from router_model.data.formats.format import Dropped, Format, Row
from router_model.data.formats.otel_before import indexed, prompt_events
from router_model.data.formats.values import first, items, known, mapping, number, text

DEPTH = 32  # of nested values of an attribute; real ones have six
NOT_GENAI = "a span of something else (no gen_ai attributes)"
OTHER_OPERATION = "a GenAI operation that asks for no text"
NOT_SPANS = "metrics or logs, which are no spans"
TEXT_OPERATIONS = ("chat", "text_completion", "completion", "generate_content")
DETAILS = "gen_ai.client.inference.operation.details"
EVALUATION = "gen_ai.evaluation.result"
ROLES = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}


def recognise(row: Mapping[str, Any]) -> bool:
    """Whether the row holds spans of OTLP."""
    return isinstance(row.get("resourceSpans"), list)


def rows(row: Mapping[str, Any]) -> Iterator[Row | Dropped]:
    """A record for each span that asked a model for text."""
    if not recognise(row):
        yield Dropped(NOT_SPANS)
    for resource in items(row.get("resourceSpans")):
        scopes = mapping(resource)
        for scope in items(first(scopes, "scopeSpans", "instrumentationLibrarySpans")):
            for span in items(mapping(scope).get("spans")):
                yield _span(mapping(span))


def _span(span: Mapping[str, Any]) -> Row | Dropped:
    told = _attributes(span.get("attributes"))
    events = [
        (text(event.get("name")) or "", _attributes(event.get("attributes")))
        for event in map(mapping, items(span.get("events")))
    ]
    for name, attributes in events:
        if name == DETAILS:
            told = {**attributes, **told}
    if not any(name.startswith("gen_ai.") for name in told):
        return Dropped(NOT_GENAI)
    if (text(told.get("gen_ai.operation.name")) or TEXT_OPERATIONS[0]) not in TEXT_OPERATIONS:
        return Dropped(OTHER_OPERATION)
    asked, reply, reason = _messages(told, events)
    if not asked:
        return Dropped(NO_PROMPT)
    model = text(first(told, "gen_ai.request.model", "gen_ai.response.model"))
    reasons = items(told.get("gen_ai.response.finish_reasons"))
    session = text(first(told, "gen_ai.conversation.id", "session.id"))
    start, end = number(span.get("startTimeUnixNano")), number(span.get("endTimeUnixNano"))
    return known(
        {
            "id": text(span.get("spanId")),
            "messages": asked,
            "model": model,
            "answer": reply if model else None,
            "feedback": known(
                {
                    "finish_reason": reason or (text(reasons[0]) if reasons else None),
                    "error": _error(span, told),
                    **_evaluations(events),
                }
            ),
            "input_tokens": number(first(told, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")),
            "output_tokens": number(
                first(told, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
            ),
            "latency_ms": None if start is None or end is None or end < start else (end - start) / 1e6,
            "timestamp": None if start is None else start / 1e9,
            "session": session,
            "group": session or text(span.get("traceId")),
            "tenant": text(first(told, "user.id", "enduser.id")),
        }
    )


def _messages(
    told: Mapping[str, Any], events: list[tuple[str, Row]]
) -> tuple[list[Row], str | None, str | None]:
    """What was asked, what was answered, and why the answer ended, from wherever the span has them."""
    asked = [_message(part) for part in items(told.get("gen_ai.input.messages"))]
    if asked:
        system = _parts(items(told.get("gen_ai.system_instructions")))
        answers = [mapping(part) for part in items(told.get("gen_ai.output.messages"))]
        said = mapping(answers[0]) if answers else {}
        asked = [{"role": "system", "content": system}, *asked] if system else asked
        return (
            asked,
            _parts(said.get("parts")) or content(said.get("content")),
            text(said.get("finish_reason")),
        )
    asked = [_event(name, attributes) for name, attributes in events if name in ROLES]
    if asked:
        choices = [attributes for name, attributes in events if name == "gen_ai.choice"]
        return asked, *(_choice(choices[0]) if choices else (None, None))
    return prompt_events(told, events) or indexed(told)


def _message(value: Any) -> Row:
    """A message of the conventions' own schema, in parts, as one of the chat completions."""
    message = mapping(value)
    if "parts" not in message:
        return dict(message)
    calls, results = [], []
    for part in map(mapping, items(message["parts"])):
        if part.get("type") == "tool_call":
            function = {"name": part.get("name"), "arguments": part.get("arguments", "")}
            calls.append({"id": part.get("id"), "type": "function", "function": function})
        elif part.get("type") == "tool_call_response":
            result = first(part, "response", "result")
            if result is not None:
                results.append(result if isinstance(result, str) else json.dumps(result, ensure_ascii=False))
    said = "\n".join(filter(None, (_parts(message["parts"]), *results)))
    return {"role": message.get("role"), "content": said or None, **({"tool_calls": calls} if calls else {})}


def _parts(parts: Any) -> str | None:
    """The text of parts, without reasoning, tool calls and files."""
    texts = [part.get("content") for part in map(mapping, items(parts)) if part.get("type") == "text"]
    return "\n".join(part for part in texts if isinstance(part, str) and part) or None


def _event(name: str, attributes: Row) -> Row:
    """The message of an event; some exporters put its body into one attribute."""
    body = {**attributes, **mapping(first(attributes, "event_body", "gen_ai.event.content"))}
    message = {"role": text(body.get("role")) or ROLES[name], "content": spoken(body.get("content"))}
    calls = items(body.get("tool_calls"))
    return {**message, "tool_calls": calls} if calls else message


def _choice(attributes: Row) -> tuple[str | None, str | None]:
    body = {**attributes, **mapping(first(attributes, "event_body", "gen_ai.event.content"))}
    said, reason = answer(body.get("message") or body)
    return said, text(body.get("finish_reason")) or reason


def _error(span: Mapping[str, Any], told: Mapping[str, Any]) -> str | bool | None:
    status = mapping(span.get("status"))
    failed = status.get("code") in (2, "2", "STATUS_CODE_ERROR")
    kind = text(told.get("error.type"))
    return (text(status.get("message")) or kind or True) if failed or kind else None


def _evaluations(events: list[tuple[str, Row]]) -> Row:
    """Marks of events ``gen_ai.evaluation.result``, by the evaluation's name."""
    found = {}
    for name, attributes in events:
        of = text(attributes.get("gen_ai.evaluation.name"))
        if name == EVALUATION and of:
            score = number(attributes.get("gen_ai.evaluation.score.value"))
            found[of] = text(attributes.get("gen_ai.evaluation.score.label")) if score is None else score
    return known(found)


def _attributes(value: Any) -> Row:
    """The attributes of a span or an event by name."""
    return {
        name: _value(mapping(pair).get("value"), DEPTH)
        for pair in items(value)
        if (name := text(mapping(pair).get("key")))
    }


def _value(value: Any, depth: int) -> Any:
    """What an ``AnyValue`` holds; 64-bit integers are text in JSON."""
    held = mapping(value)
    if not depth or not held:
        return None
    if "intValue" in held:
        return number(held["intValue"])
    if "arrayValue" in held:
        return [_value(part, depth - 1) for part in items(mapping(held["arrayValue"]).get("values"))]
    if "kvlistValue" in held:
        pairs = map(mapping, items(mapping(held["kvlistValue"]).get("values")))
        return {str(pair.get("key")): _value(pair.get("value"), depth - 1) for pair in pairs}
    return first(held, "stringValue", "doubleValue", "boolValue")


FORMAT = Format("otel", "'resourceSpans' of OTLP JSON, with gen_ai attributes", recognise, rows)
