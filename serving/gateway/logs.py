"""Logs on standard error, a JSON object or a line each, with no secret and no prompt in any of them."""

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from router_model.serving.gateway.accounts import Entry

MASK = "***"
LEAST_SECRET = 6  # characters: a shorter one would mask what is none
# Beside the secrets that are known, what looks like a key: a client's may stand in a library's message.
KEYS = re.compile(
    r"(?i)(\bbearer\s+|\bx-api-key\W{1,4}|\bapi[-_]?key\W{1,4})[^\s\"',;]+|\b(?:sk|rm|rk)-[\w-]{8,}"
)
SIGNS = ("bearer", "api", "sk-", "rm-", "rk-")  # of such a place; to look for these first is much faster

requests = logging.getLogger("router_model.serving.gateway.requests")


class Lines(logging.Formatter):
    """A record as a line; ``as_json`` makes it an object, with the members of ``extra={"fields": ...}``."""

    def __init__(self, as_json: bool, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._as_json = as_json
        known = {secret for secret in secrets if len(secret) >= LEAST_SECRET}
        escaped = {form for secret in known for form in (secret, json.dumps(secret)[1:-1])}
        self._secrets = sorted(escaped, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        if self._as_json:
            time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
            line = {"time": time, "level": record.levelname, "logger": record.name, "message": message}
            text = _json(line | fields)
        else:
            shown = [f"{name}={value}" for name, value in fields.items() if value is not None]
            text = _one_line(" ".join([record.levelname, message, *shown]))
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        lower = text.lower()
        if any(sign in lower for sign in SIGNS):
            text = KEYS.sub(lambda found: (found[1] or "") + MASK, text)
        return text


def log_to(stream: TextIO | None = None, *, as_json: bool, secrets: Iterable[str] = ()) -> logging.Handler:
    """Make all loggers write to ``stream`` (standard error), those of the server too, and nowhere else.

    Returns the handler, which ``logging.getLogger().removeHandler`` takes away.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Lines(as_json, secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    return handler


def log_entry(entry: Entry) -> None:
    """A line for a request that is over: who, where, how long, how much; never what."""
    if not requests.isEnabledFor(logging.INFO):
        return
    fields = {
        "request_id": entry.request_id,
        "tenant": entry.caller.tenant,
        "key": entry.caller.name,
        "endpoint": entry.endpoint,
        "tier": entry.tier or None,
        "provider": entry.provider or None,
        "model": entry.model or None,
        "status": entry.status,
        "stream": entry.stream,
        "cached": entry.cached,
        "attempts": entry.attempts,
        "explored": entry.explored,
        "escalated": entry.escalated,
        "input_tokens": entry.usage.input,
        "output_tokens": entry.usage.output,
        "cost_usd": round(entry.cost_usd, 9),
        "wasted_usd": round(entry.wasted_usd, 9),
        "milliseconds": round(entry.seconds * 1e3, 3),
    }
    requests.info("request", extra={"fields": fields})


def _json(line: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(line).decode()
    except (TypeError, ValueError):  # lone surrogates, or what JSON has no type for
        return json.dumps(line, default=str)


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")
