"""What an answer says, in words: of every endpoint's shape, whole or as a stream."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from router_model.serving.gateway.cache.kept import Kept
from router_model.serving.gateway.call import Endpoint

# Reasons to end that leave an answer whole.
ENDED = frozenset({"stop", "end_turn", "stop_sequence", "completed", None})
# All but blanks and the punctuation of sentences: a sign, a point within a number, an emoji or a mark over a
# letter may be all that tells two answers apart.
WORDS = re.compile(
    r"(?:(?<!\w)[-−])?\d+(?:[.,:/-]\d+)*|[^\W_]+|"
    r"(?<!\w)[-−](?=[.$€£¥])|[.,](?=\d)|[^\w\s.,;:!?…\"'`´‘’“”„«»()\[\]*_–—。、，；：！？「」-]"
)

Part = str | None  # None of what is no text: a tool's call, a refusal, an answer that was cut


def saying_of(endpoint: Endpoint, kept: Kept) -> str | None:
    """The text of an answer; None where it is anything but one whole text."""
    text = kept.plain()
    read = READERS.get(endpoint)
    if text is None or read is None:
        return None
    try:
        events = _events(text) if kept.stream else [msgspec.json.decode(text)]
        parts = [part for event in events for part in read(event)]
    except (msgspec.DecodeError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return None if None in parts or not parts else "".join(filter(None, parts))


def same_saying(one: str, other: str) -> bool:
    """Whether two answers are the same words, numbers and signs, whatever case, blanks and punctuation."""
    first, second = (WORDS.findall(text.casefold()) for text in (one, other))
    return first == second if first or second else one.strip() == other.strip()


def _events(text: bytes) -> Iterable[Any]:
    for line in text.splitlines():
        if line.startswith(b"data:") and line != b"data: [DONE]":
            yield msgspec.json.decode(line[5:])


def _chat(event: dict[str, Any]) -> Iterable[Part]:
    for choice in event["choices"]:
        message = choice.get("message") or choice.get("delta") or {}
        whole = choice.get("finish_reason") in ENDED and not choice.get("index")
        odd = message.get("tool_calls") or message.get("function_call") or message.get("refusal")
        yield (message.get("content") or "") if whole and not odd else None


def _completions(event: dict[str, Any]) -> Iterable[Part]:
    for choice in event["choices"]:
        yield choice["text"] if choice.get("finish_reason") in ENDED and not choice.get("index") else None


def _messages(event: dict[str, Any]) -> Iterable[Part]:
    kind = event["type"]
    if kind == "content_block_delta":
        yield event["delta"].get("text", "")
    elif kind == "content_block_start":
        yield "" if event["content_block"]["type"] in ("text", "thinking") else None
    elif kind == "message_delta":
        yield "" if event["delta"].get("stop_reason") in ENDED else None
    elif kind == "message":
        yield "" if event.get("stop_reason") in ENDED else None
        for block in event["content"]:
            yield block["text"] if block["type"] == "text" else "" if block["type"] == "thinking" else None


def _responses(event: dict[str, Any]) -> Iterable[Part]:
    kind = event.get("type")
    if kind is not None and kind != "response.completed":
        return
    for item in event.get("response", event)["output"]:
        if item["type"] != "reasoning":
            yield from _item(item)


def _item(item: dict[str, Any]) -> Iterable[Part]:
    for block in item.get("content") or [{}]:
        yield block["text"] if block.get("type") == "output_text" else None


READERS: dict[Endpoint, Callable[[dict[str, Any]], Iterable[Part]]] = {
    "chat": _chat,
    "completions": _completions,
    "messages": _messages,
    "responses": _responses,
}
