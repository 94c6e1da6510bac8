"""Messages of GenAI spans as they stood before the conventions had a place for them.

Events ``gen_ai.content.prompt`` and ``gen_ai.content.completion`` with the messages as JSON text, or the same
as attributes ``gen_ai.prompt`` and ``gen_ai.completion``
(https://github.com/open-telemetry/semantic-conventions/blob/v1.27.0/docs/gen-ai/gen-ai-spans.md); and
an attribute a field of each message, ``gen_ai.prompt.0.content``, as OpenLLMetry writes them
(https://www.traceloop.com/docs/openllmetry/contributing/semantic-conventions).
"""

import re
from collections.abc import Mapping
from typing import Any

from router_model.data.formats.chat import answer, request, spoken
from router_model.data.formats.values import text

Found = tuple[list[dict[str, Any]], str | None, str | None]
FIELD = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,6})\.(role|content|finish_reason)")


def prompt_events(told: Mapping[str, Any], events: list[tuple[str, dict[str, Any]]]) -> Found | None:
    """Messages, answer and finish reason of JSON text, or None where there is none."""
    for name, attributes in events:
        if name in ("gen_ai.content.prompt", "gen_ai.content.completion"):
            told = {**told, **attributes}
    asked = request(told.get("gen_ai.prompt"))
    if asked is None:
        return None
    messages = asked.get("messages") or [{"role": "user", "content": asked["prompt"]}]
    return messages, *answer(told.get("gen_ai.completion"))


def indexed(told: Mapping[str, Any]) -> Found:
    """Messages, answer and finish reason of attributes that are numbered."""
    messages: dict[str, dict[int, dict[str, Any]]] = {"prompt": {}, "completion": {}}
    for name, value in told.items():
        if match := FIELD.fullmatch(name):
            kind, index, field = match.groups()
            messages[kind].setdefault(int(index), {})[field] = spoken(value) if field == "content" else value
    asked = [{"role": "user", **message} for _, message in sorted(messages["prompt"].items())]
    said = min(messages["completion"].items(), default=(0, {}))[1]
    return asked, answer(said.get("content"))[0], text(said.get("finish_reason"))
