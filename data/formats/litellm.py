"""LiteLLM: its standard logging payload and the rows of its table of spend logs.

The payload is specified at https://docs.litellm.ai/docs/proxy/logging_spec; the table ``LiteLLM_SpendLogs``
in https://github.com/BerriAI/litellm/blob/main/schema.prisma. Spend logs hold prompts only where
``store_prompts_in_spend_logs`` is set (https://docs.litellm.ai/docs/proxy/ui_logs).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from router_model.data.formats.chat import NO_PROMPT, answer, request
from router_model.data.formats.format import Dropped, Format, Row
from router_model.data.formats.values import first, known, mapping, milliseconds, number, text

TEXT_CALLS = ("completion", "responses", "messages", "generate_content")
OTHER_CALL = "a call that asks for no text (call_type)"


def recognise(row: Mapping[str, Any]) -> bool:
    """Whether the row is a payload or a spend log."""
    row = _payload(row)
    return "call_type" in row and any(name in row for name in ("response_cost", "spend"))


def rows(row: Mapping[str, Any]) -> Iterator[Row | Dropped]:
    """One record, of the deployed model; a failed call is kept with ``error`` as feedback."""
    row = _payload(row)
    call = text(row.get("call_type"))
    if call and not any(name in call for name in TEXT_CALLS):
        yield Dropped(OTHER_CALL)
        return
    said = request(row.get("messages")) or request(row.get("proxy_server_request"))
    if said is None:
        yield Dropped(NO_PROMPT)
        return
    model = text(row.get("model"))
    reply, reason = answer(row.get("response")) if model else (None, None)
    cached = row.get("cache_hit") is True or row.get("cache_hit") == "True"  # spend logs have text
    metadata = mapping(row.get("metadata"))
    status = first(row, "status") or metadata.get("status")  # earlier spend logs have it there alone
    failed = status == "failure" or bool(row.get("error_str"))
    session = text(first(row, "session_id", "trace_id"))
    yield known(
        {
            "id": text(first(row, "id", "request_id")),
            **said,
            "model": model,
            "answer": None if failed else reply,
            "feedback": known({"finish_reason": reason, "error": _error(row) if failed else None}),
            **_measured(row, failed, cached),
            "timestamp": first(row, "startTime"),
            "session": session,
            "tenant": text(
                first(row, "team_id") or first(metadata, "user_api_key_team_id") or first(row, "end_user")
            ),
            "meta": known(
                {"model_group": text(row.get("model_group")), "tags": row.get("request_tags") or None}
                | {"cached": True if cached else None}
            ),
        }
    )


def _measured(row: Mapping[str, Any], failed: bool, cached: bool) -> Row:
    """Dollars, tokens and time of a call, but for the zeros that say that nobody counted.

    LiteLLM logs a failed call with no tokens and no cost. An answer of its cache costs nothing and takes no
    time, which tells nothing of the model.
    """
    counted = {
        "cost_usd": number(first(row, "response_cost", "spend")),
        "input_tokens": number(row.get("prompt_tokens")),
        "output_tokens": number(row.get("completion_tokens")),
        "latency_ms": milliseconds(row.get("startTime"), row.get("endTime")),
    }
    if cached:
        return {"input_tokens": counted["input_tokens"] or None}
    return {name: value for name, value in counted.items() if value or not failed}


def _payload(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payload, which callbacks find under a name of its own."""
    return mapping(row["standard_logging_object"]) if "standard_logging_object" in row else row


def _error(row: Mapping[str, Any]) -> str | bool:
    told = mapping(first(row, "error_information") or mapping(row.get("metadata")).get("error_information"))
    return text(first(row, "error_str") or told.get("error_message")) or True


FORMAT = Format("litellm", "'call_type' with 'response_cost' or 'spend'", recognise, rows)
