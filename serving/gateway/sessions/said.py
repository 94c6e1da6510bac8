"""What a request's messages tell of its conversation: which it is, and where in it the request stands.

A client sends the whole conversation each time, so what a request begins with is what the one before it was,
up to the model's answer. A conversation is known again by that: no client needs to name it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_model.complaint import complains

# Tuples, not sets: what is looked for among them is anything that JSON can hold.
MODELS = ("function_call", "custom_tool_call", "reasoning")  # items of Responses that a model made
RESULTS = ("function_call_output", "custom_tool_call_output", "tool_result")
CALLS = ("function_call", "custom_tool_call", "tool_use")
SYSTEM = ("system", "developer")
ENDS = 1024  # characters of a text, from each end, that tell it from others
MOST_PARTS = 8  # of a message
APART = ("user", "prompt_cache_key", "safety_identifier")  # fields that keep alike beginnings apart
LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class Said:
    """What a request tells of its conversation.

    Attributes:
        name: that the client gives it; None where it gives none.
        before: what tells the conversation as the request before this one left it; None at its beginning.
        now: what tells it as this request leaves it.
        tool_loop: whether tool calls, or their results, wait for the model.
        complaint: whether the user says that the last answer was wrong.
    """

    name: str | None
    before: bytes | None
    now: bytes
    tool_loop: bool
    complaint: bool

    @classmethod
    def read(cls, body: Mapping[str, Any], name: str | None) -> "Said":
        """Read the body of a chat, Responses or Anthropic request; whatever is no conversation begins one."""
        name = _name(body, name)
        said = body.get("messages", body.get("input"))
        messages = [part for part in said if part.__class__ is dict] if said.__class__ is list else []
        end = len(messages)
        while end and _of_model(messages[end - 1]):  # an answer that the model is to go on with, or calls
            end -= 1
        asked = end
        while asked and not _of_model(messages[asked - 1]):
            asked -= 1
        before = asked
        while before and _of_model(messages[before - 1]):
            before -= 1
        fresh = messages[asked:end]
        results = any(map(_is_result, fresh))
        told = [str(body.get(key, ""))[:LONGEST_NAME] for key in APART]
        return cls(
            name,
            _digest(told, messages[:before]) if before else None,
            _digest(told, messages[:end] or [{"role": "user", "content": said}]),
            results or any(map(_is_call, messages[end:])),
            bool(before and fresh and not results and complains(_text(fresh[-1]))),
        )


def _name(body: Mapping[str, Any], name: str | None) -> str | None:
    """The header's name, or that of a field that is there for it."""
    metadata, conversation = body.get("metadata"), body.get("conversation")
    if name is None and metadata.__class__ is dict:
        name = metadata.get("session_id")
    if name is None:
        name = conversation.get("id") if conversation.__class__ is dict else conversation
    fits = name.__class__ is str and name and name.isprintable() and len(name) <= LONGEST_NAME
    return name if fits else None


def _of_model(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "assistant" or message.get("type") in MODELS


def _is_result(message: Mapping[str, Any]) -> bool:
    if message.get("role") in ("tool", "function") or message.get("type") in RESULTS:
        return True
    return any(part.get("type") in RESULTS for part in _parts(message))


def _is_call(message: Mapping[str, Any]) -> bool:
    if message.get("tool_calls") or message.get("function_call") or message.get("type") in CALLS:
        return True
    return any(part.get("type") in CALLS for part in _parts(message))


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content", message.get("output"))
    return [part for part in content if part.__class__ is dict] if content.__class__ is list else []


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content", message.get("output"))
    if content.__class__ is str:
        return str(content)
    parts = _parts(message)
    few = parts if len(parts) <= MOST_PARTS else [*parts[: MOST_PARTS // 2], *parts[-MOST_PARTS // 2 :]]
    texts = (part.get("text", part.get("content")) for part in few)
    return "\n".join(text for text in texts if text.__class__ is str)


def _digest(told: Sequence[str], messages: Sequence[Mapping[str, Any]]) -> bytes:
    """Of the number of messages that are neither the system's nor the model's, the first, and the last two.

    The others change from turn to turn: system prompts tell the time, and answers come back without their
    reasoning.
    """
    said = [m for m in messages if m.get("role") not in SYSTEM and not _of_model(m)]
    digest = hashlib.blake2b(digest_size=16)
    for text in (*told, str(len(said)), *map(_text, [*said[:1], *said[1:][-2:]])):
        short = text if len(text) <= 2 * ENDS else f"{text[:ENDS]}{text[-ENDS:]}"
        raw = short.encode("utf-8", "surrogatepass")
        digest.update(b"%d %d " % (len(text), len(raw)))
        digest.update(raw)
    return digest.digest()
