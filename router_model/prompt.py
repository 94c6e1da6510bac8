"""The one place where a request becomes the text that is routed, for training and serving alike.

The text is the last user turn, then the system prompt and the other turns in their order, without tool
schemas, system reminders and base64 data, cut to a window of characters. Anything that changes what comes
out for some input raises ``PROMPT_VERSION``: an artifact is bound to the version it was trained on.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_model.errors import PromptError

PROMPT_VERSION = 1
MAX_ASCII_CHARACTERS = 2048
MAX_OTHER_CHARACTERS = 1024  # other scripts take more tokens a character
MAX_REMOVALS = 64  # of reminders and of base64 runs each, so that hostile text costs bounded work

TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
IMAGE_PARTS = frozenset({"image", "image_url", "input_image"})
CALLS = frozenset({"function_call", "custom_tool_call", "tool_use"})
RESULTS = frozenset({"function_call_output", "custom_tool_call_output", "tool_result"})
CALLS_AND_RESULTS = CALLS | RESULTS

REMINDER_OPEN, REMINDER_CLOSE = "<system-reminder>", "</system-reminder>"
BASE64_MARK = ";base64,"
BASE64_RUN = re.compile(r"[A-Za-z0-9+/=_-]*")

Request = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the router reads of a request.

    Attributes:
        text: the window of the routed text; valid Unicode without lone surrogates.
        characters: length of the routed text before it was cut to the window.
        turns: messages in the request, 1 for a plain string.
        tools: tool calls and tool results among them.
        images: images among them.
    """

    text: str
    characters: int
    turns: int = 1
    tools: int = 0
    images: int = 0

    @property
    def truncated(self) -> bool:
        """Whether characters were left out."""
        return self.characters > len(self.text)


def read(request: Request) -> Prompt:
    """Read a string, a list of chat messages, or a whole request body.

    Bodies and messages are understood in the shapes of OpenAI chat completions, OpenAI Responses and
    Anthropic messages. Parts of unknown types are passed over.

    Raises:
        PromptError: ``request`` has none of these shapes, or holds no message.
    """
    if isinstance(request, str):
        text = _clean(request)
        return Prompt(_window(text), len(text))
    system, messages = _body(request)
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, Sequence) or isinstance(messages, bytes) or not messages:
        raise PromptError("the request holds no messages; give a string or a list of at least one message")
    return _read_messages(system, messages)


def _read_messages(system: Any, messages: Sequence[Any]) -> Prompt:
    texts: list[str] = [_clean(_content(system, []))] if system else []
    last_user = -1
    kinds: list[str] = []
    for message in messages:
        if not isinstance(message, Mapping):
            raise PromptError(
                f"a message is {type(message).__name__}; give objects with 'role' and 'content'"
            )
        before = len(kinds)
        text = _clean(_message(message, kinds))
        if message.get("role") == "user" and text and "result" not in kinds[before:]:
            last_user = len(texts)
        texts.append(text)
    if last_user >= 0:
        texts.insert(0, texts.pop(last_user))
    text = "\n\n".join(filter(None, texts))
    images = kinds.count("image")
    return Prompt(_window(text), len(text), len(messages), len(kinds) - images, images)


def _body(request: Any) -> tuple[Any, Any]:
    """System prompt and messages of a list of messages, of one message, or of a request body."""
    if not isinstance(request, Mapping):
        if isinstance(request, Sequence):
            return None, request
        raise PromptError(f"cannot route {type(request).__name__}; give a string or chat messages")
    if "messages" in request:
        return request.get("system"), request["messages"]
    if "input" in request:
        return request.get("instructions"), request["input"]
    if "role" in request:
        return None, [request]
    raise PromptError("the request has none of 'messages', 'input' and 'role'; give chat messages")


def _message(message: Mapping[str, Any], kinds: list[str]) -> str:
    """Text of one message or Responses item; appends "call", "result" or "image" for each it holds."""
    if _kind(message) in CALLS_AND_RESULTS:
        return _part(message, kinds)
    text = _content(message.get("content"), kinds)
    if message.get("role") == "tool":
        kinds.append("result")
    calls = message.get("tool_calls")
    if isinstance(calls, Sequence) and not isinstance(calls, str):
        said = [_call(call.get("function"), kinds) for call in calls if isinstance(call, Mapping)]
        text = "\n".join(filter(None, [text, *said]))
    return text


def _content(content: Any, kinds: list[str]) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return _part(content, kinds)
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        return "\n".join(filter(None, (_flat_part(part, kinds) for part in content)))
    return ""


def _flat_part(part: Any, kinds: list[str]) -> str:
    if isinstance(part, str):
        return part
    return _part(part, kinds) if isinstance(part, Mapping) else ""


def _part(part: Mapping[str, Any], kinds: list[str]) -> str:
    kind = _kind(part)
    if kind in TEXT_PARTS:
        text = part.get("text")
        return text if isinstance(text, str) else ""
    if kind in IMAGE_PARTS:
        kinds.append("image")
    elif kind in CALLS:
        return _call(part, kinds)
    elif kind in RESULTS:
        kinds.append("result")
        return "\n".join(_result_texts(part.get("content", part.get("output")), kinds))
    return ""


def _kind(part: Mapping[str, Any]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _result_texts(content: Any, kinds: list[str]) -> Iterator[str]:
    """A tool's result: a string, or text and image parts; results do not nest."""
    parts = [content] if isinstance(content, str | Mapping) else content
    for part in parts if isinstance(parts, Sequence) else ():
        if isinstance(part, str):
            yield part
        elif isinstance(part, Mapping) and _kind(part) not in RESULTS:
            yield _part(part, kinds)


def _call(call: Any, kinds: list[str]) -> str:
    """A tool call as its name and arguments."""
    kinds.append("call")
    if not isinstance(call, Mapping):
        return ""
    arguments = call.get("arguments", call.get("input", ""))
    if not isinstance(arguments, str):
        arguments = _compact(arguments)
    name = call.get("name")
    return f"{name} {arguments}" if isinstance(name, str) else arguments


def _compact(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return ""


def _clean(text: str) -> str:
    if REMINDER_OPEN in text:
        text = _without_reminders(text)
    if BASE64_MARK in text:
        text = _without_base64(text)
    return text.strip()


def _without_reminders(text: str) -> str:
    kept, start = [], 0
    for _ in range(MAX_REMOVALS):
        opened = text.find(REMINDER_OPEN, start)
        closed = text.find(REMINDER_CLOSE, opened) if opened >= 0 else -1
        if closed < 0:
            break
        kept.append(text[start:opened])
        start = closed + len(REMINDER_CLOSE)
    return "".join([*kept, text[start:]])


def _without_base64(text: str) -> str:
    kept, start = [], 0
    for _ in range(MAX_REMOVALS):
        mark = text.find(BASE64_MARK, start)
        if mark < 0:
            break
        data = mark + len(BASE64_MARK)
        run = BASE64_RUN.match(text, data)
        kept.append(text[start:data])
        start = run.end() if run else data
    return "".join([*kept, text[start:]])


def _window(text: str) -> str:
    """Three quarters of the window from the head, one from the tail; lone surrogates become '?'."""
    if text.isascii():
        return text if len(text) <= MAX_ASCII_CHARACTERS else _ends(text, MAX_ASCII_CHARACTERS)
    if len(text) > MAX_OTHER_CHARACTERS:
        text = _ends(text, MAX_OTHER_CHARACTERS)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text


def _ends(text: str, limit: int) -> str:
    tail = limit // 4
    return text[: limit - tail] + text[-tail:]
