"""Chat as platforms log it: a request's messages, and the answer's text and why it ended.

The shapes are those of OpenAI chat completions and Responses and of Anthropic messages
(https://platform.openai.com/docs/api-reference, https://docs.anthropic.com/en/api/messages).
"""

from collections.abc import Mapping
from typing import Any

from router_model.data.conversations import content
from router_model.data.formats.values import decoded, first, items, mapping, number, text

NO_PROMPT = "no prompt logged"
# Of Anthropic, which leaves them out of ``input_tokens``; OpenAI's counts hold what was cached.
CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")


def request(value: Any) -> dict[str, Any] | None:
    """``{"prompt": text}`` or ``{"messages": [...]}`` of a body, of messages or of text, None of the rest.

    Text may also be the JSON of a body or of messages, as platforms keep them in a column.
    """
    if isinstance(value, str):
        held = decoded(value)
        known = isinstance(held, Mapping) or (isinstance(held, list) and _objects(held))
        return (asked(held) if known else None) or asked(value)
    return asked(value)


def asked(value: Any) -> dict[str, Any] | None:
    """As ``request``, with text taken for a prompt whatever it looks like."""
    if isinstance(value, str):
        return {"prompt": value} if value.strip() else None
    if isinstance(value, list):
        if value and all(isinstance(part, str) for part in value):
            return {"prompt": "\n".join(value)}
        return {"messages": value} if value else None
    if not isinstance(value, Mapping):
        return None
    if "role" in value:
        return {"messages": [dict(value)]}
    said = first(value, "messages", "input", "prompt")
    found = request(said) if "messages" in value else None if isinstance(said, Mapping) else asked(said)
    system = first(value, "system", "instructions")
    if found and isinstance(system, str | list):
        messages = found.get("messages") or [{"role": "user", "content": found["prompt"]}]
        return {"messages": [{"role": "system", "content": system}, *messages]}
    return found


def answer(value: Any) -> tuple[str | None, str | None]:
    """The text of a logged answer and its finish reason, each None where not logged."""
    if isinstance(value, str):
        held = decoded(value)
        if not (_is_answer(held) or (isinstance(held, list) and held and _is_answer(held[-1]))):
            return value or None, None  # a model may answer in JSON, too
        value = held
    if isinstance(value, list):
        return answer(value[-1]) if value and _is_answer(value[-1]) else (content(value), None)
    if not isinstance(value, Mapping):
        return None, None
    choices = items(value.get("choices"))
    if choices:
        choice = mapping(choices[0])
        message = mapping(choice.get("message"))
        said = content(message.get("content")) or text(choice.get("text")) or text(message.get("refusal"))
        return said, text(choice.get("finish_reason"))
    if isinstance(value.get("output"), list):
        spoken = [part for part in map(mapping, value["output"]) if part.get("type") == "message"]
        cut = mapping(value.get("incomplete_details")).get("reason")  # which "incomplete" does not tell
        texts = [content(_unrefused(part.get("content"))) for part in spoken]
        return "\n".join(filter(None, texts)) or None, text(cut) or text(value.get("status"))
    reason = first(value, "finish_reason", "stop_reason")
    return content(first(value, "content", "text", "completion", "output")), text(reason)


def spoken(value: Any) -> Any:
    """A message's content, text or parts; parts may be JSON text."""
    held = decoded(value)
    return held if isinstance(held, list) and held and _objects(held) and "type" in held[0] else value


def tokens(response: Mapping[str, Any]) -> dict[str, float | None]:
    """Input and output tokens of a response's ``usage``."""
    usage = mapping(response.get("usage"))
    asked = number(first(usage, "prompt_tokens"))
    if asked is None and (asked := number(usage.get("input_tokens"))) is not None:
        asked += sum(number(usage.get(name)) or 0.0 for name in CACHED)
    return {
        "input_tokens": asked,
        "output_tokens": number(first(usage, "completion_tokens", "output_tokens")),
    }


def _unrefused(parts: Any) -> Any:
    """Parts of a Response's message, refusals as the texts that they are."""
    return [mapping(part).get("refusal") or part for part in parts] if isinstance(parts, list) else parts


def _objects(values: list[Any]) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def _is_answer(value: Any) -> bool:
    return isinstance(value, Mapping) and ("choices" in value or "role" in value)
