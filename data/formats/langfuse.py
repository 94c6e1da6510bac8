"""Langfuse: traces with their observations and scores, and observations alone.

Shapes are those of the API and of the downloads of single traces and sessions
(https://langfuse.com/faq/all/export-single-trace-or-session, https://api.reference.langfuse.com), and of the
exports to a bucket, whose names have underscores and whose input and output are JSON text
(https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields). One record a
generation; scores become feedback by their own names.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from router_model.data.formats.chat import NO_PROMPT, answer, request
from router_model.data.formats.format import Dropped, Format, Row
from router_model.data.formats.values import first, items, known, mapping, milliseconds, number, text

NOT_A_GENERATION = "an observation that is no generation"
NO_OBSERVATIONS = "a trace without its observations; export these"
LONE_SCORE = "a score apart from its trace; export traces with their scores"


def recognise(row: Mapping[str, Any]) -> bool:
    """Whether the row is a trace, a session of traces, an observation, or a page of either."""
    if isinstance(row.get("data"), list) and "meta" in row:
        return any(recognise(mapping(part)) for part in row["data"][:8])
    if isinstance(row.get("traces"), list):
        return True
    if isinstance(row.get("trace"), Mapping) and "observations" in row:
        return True
    observed = first(row, "traceId", "trace_id") is not None and (
        first(row, "startTime", "start_time") is not None or first(row, "dataType", "data_type") is not None
    )
    traced = "observations" in row or ("userId" in row and "sessionId" in row) or "html_path" in row
    return (observed and ("type" in row or "value" in row)) or (traced and "timestamp" in row)


def rows(row: Mapping[str, Any]) -> Iterator[Row | Dropped]:
    """A record for each generation."""
    if isinstance(row.get("data"), list):
        for part in row["data"]:
            yield from rows(mapping(part))
    elif isinstance(row.get("traces"), list):
        for part in row["traces"]:
            yield from _trace(mapping(part), first(row, "id"))
    elif "observations" in row or ("timestamp" in row and "type" not in row and "value" not in row):
        yield from _trace(row, None)
    elif "value" in row or "string_value" in row:
        yield Dropped(LONE_SCORE)
    else:
        yield from _observation(row, row, {})


def _trace(row: Mapping[str, Any], session: Any) -> Iterator[Row | Dropped]:
    trace = {**mapping(row.get("trace")), **row}
    observations = [part for part in items(trace.get("observations")) if isinstance(part, Mapping)]
    if not observations:
        yield Dropped(NO_OBSERVATIONS)
        return
    if session is not None:
        trace.setdefault("sessionId", session)
    scores = [part for part in items(trace.get("scores")) if isinstance(part, Mapping)]
    generations = sum(_is_generation(part) for part in observations)
    for observation in observations:
        name = first(observation, "id")
        own = {
            text(score.get("name")): score
            for score in scores
            # What is said of a whole trace is said of its answer where one generation gave that.
            if first(score, "observationId", "observation_id") == name
            or (first(score, "observationId", "observation_id") is None and generations == 1)
        }
        yield from _observation(observation, trace, {key: _value(of) for key, of in own.items() if key})


def _is_generation(observation: Mapping[str, Any]) -> bool:
    return observation.get("type") == "GENERATION"


def _value(score: Mapping[str, Any]) -> Any:
    """A score as it was given: truth, a number, or a word."""
    kind = first(score, "dataType", "data_type")
    value = number(score.get("value"))
    if kind == "CATEGORICAL" or value is None:
        return text(first(score, "stringValue", "string_value", "value"))
    return bool(value) if kind == "BOOLEAN" else value


def _observation(
    row: Mapping[str, Any], trace: Mapping[str, Any], scores: Mapping[str, Any]
) -> Iterator[Row | Dropped]:
    if not _is_generation(row):
        yield Dropped(NOT_A_GENERATION)
        return
    said = request(row.get("input"))
    if said is None:
        yield Dropped(NO_PROMPT)
        return
    model = text(first(row, "model", "providedModelName", "provided_model_name"))
    reply, reason = answer(row.get("output")) if model else (None, None)
    error = (
        (text(first(row, "statusMessage", "status_message")) or True) if row.get("level") == "ERROR" else None
    )
    start = first(row, "startTime", "start_time")
    yield known(
        {
            "id": text(first(row, "id")),
            **said,
            "model": model,
            "answer": reply,
            "feedback": known({"finish_reason": reason, "error": error, **scores}),
            **_usage(row),
            "latency_ms": milliseconds(start, first(row, "endTime", "end_time")),
            "timestamp": text(start),
            "session": text(first(trace, "sessionId", "session_id")),
            "group": text(first(trace, "sessionId", "session_id") or first(row, "traceId", "trace_id")),
            "tenant": text(first(trace, "userId", "user_id")),
            "meta": known({"name": text(row.get("name")), "tags": trace.get("tags") or None}),
        }
    )


def _usage(row: Mapping[str, Any]) -> Row:
    """Tokens and dollars, by today's names or by those that were before."""
    details = mapping(first(row, "usageDetails", "usage_details"))
    before = mapping(row.get("usage"))
    before = before if first(before, "unit") in (None, "TOKENS") else {}  # others are no tokens
    costs = mapping(first(row, "costDetails", "cost_details"))
    total = first(costs, "total") or first(row, "totalCost", "total_cost", "calculatedTotalCost")
    asked, answered = (_sum(details, side) or number(before.get(side)) for side in ("input", "output"))
    return {
        "input_tokens": asked or number(first(row, "promptTokens")),
        "output_tokens": answered or number(first(row, "completionTokens")),
        "cost_usd": number(total),
    }


def _sum(details: Mapping[str, Any], side: str) -> float | None:
    """Tokens of one side: cached and reasoning ones stand apart from ``input`` and ``output``.

    As Langfuse sums them: all whose names hold the side's
    (https://langfuse.com/docs/observability/features/token-and-cost-tracking).
    """
    counts = [number(count) for name, count in details.items() if side in name]
    found = [count for count in counts if count is not None]
    return sum(found) if found else None


FORMAT = Format(
    "langfuse", "traces with 'observations', or observations with 'traceId' (or 'trace_id') and 'type'",
    recognise, rows,
)  # fmt: skip
