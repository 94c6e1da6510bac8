"""The one place where a request becomes the text that is routed, for training and serving alike.

The text is the last user turn, then the system prompt and the other turns in their order, without tool
schemas, system reminders and base64 data, cut to a window of characters. Anything that changes what comes
out for some input raises ``PROMPT_VERSION``: an artifact is bound to the version it was trained on.

The work is bounded whatever the request: of a long text the ends are read, of a long conversation its
first and last messages, of many parts too. What is left out still counts: a text by its length, the
messages between by a sample of them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeGuard

from router_model.errors import PromptError
from router_model.text import MAX_ASCII_CHARACTERS, both_ends, clean, window

PROMPT_VERSION = 2
FIRST_MESSAGES, LAST_MESSAGES = 8, 24
SAMPLED_MESSAGES = 16  # of those between
MAX_PARTS = 16  # of a message, from both ends
MAX_MEMBERS = 256  # of the arguments of all tool calls that are objects

TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
IMAGE_PARTS = frozenset({"image", "image_url", "input_image"})
CALLS = frozenset({"function_call", "custom_tool_call", "tool_use"})
RESULTS = frozenset({"function_call_output", "custom_tool_call_output", "tool_result"})
CALLS_AND_RESULTS = CALLS | RESULTS

Request = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(slots=True)  # not frozen, which would double the time to build one
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


@dataclass(slots=True)
class _Found:
    """What messages hold beside text, and how much of it may still be read."""

    calls: int = 0
    results: int = 0
    images: int = 0
    parts_left: int = MAX_PARTS
    members_left: int = MAX_MEMBERS

    def few(self, parts: Sequence[Any]) -> Sequence[Any]:
        """As many of a message's parts as may still be read, from both ends; who reads one counts it."""
        left = max(0, self.parts_left)
        if len(parts) <= left:
            return parts
        return [*parts[: left - left // 2], *parts[len(parts) - left // 2 :]]

    def members(self, members: Iterable[Any]) -> Iterator[Any]:
        """As many of an object's members as may still be read."""
        for member in islice(members, self.members_left):
            self.members_left -= 1
            yield member


def read(request: Request) -> Prompt:
    """Read a string, a list of chat messages, or a whole request body.

    Bodies and messages are understood in the shapes of OpenAI chat completions, OpenAI Responses and
    Anthropic messages. Parts of unknown types are passed over.

    Raises:
        PromptError: ``request`` has none of these shapes, or holds no message.
    """
    if isinstance(request, str):
        return _read_text(request)
    system, messages = _body(request)
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not _is_list(messages) or not messages:
        raise PromptError("the request holds no messages; give a string or a list of at least one message")
    if len(messages) == 1 and not system:  # one message of text is that text, and read in a third of the time
        (message,) = messages
        if message.__class__ is dict and len(message) == 2 and message.get("role") == "user":
            content = message.get("content")
            if content.__class__ is str:
                return _read_text(content)
    return _read_messages(system, messages)


def _read_text(text: str) -> Prompt:
    read = text.strip()
    characters = len(read)
    if characters > MAX_ASCII_CHARACTERS or "<" in read or ";" in read or not read.isascii():
        read, characters = clean(text)  # most prompts have no need of it, and are read at once
        read = window(read)
    return Prompt(read, characters)


def _read_messages(system: Any, messages: Sequence[Any]) -> Prompt:
    shown, found = messages, _Found()
    characters = tools = images = 0
    if len(messages) > FIRST_MESSAGES + LAST_MESSAGES:
        shown = [*messages[:FIRST_MESSAGES], *messages[-LAST_MESSAGES:]]
        characters, tools, images = _between(messages[FIRST_MESSAGES:-LAST_MESSAGES])
    texts: list[str] = []  # the last first
    last_user = ""
    for message in reversed(shown):
        if not _is_object(message):
            raise PromptError(
                f"a message is {type(message).__name__}; give objects with 'role' and 'content'"
            )
        role, results = message.get("role"), found.results
        found.parts_left = MAX_PARTS
        text, length = clean(_message(message, role, found))
        if not text:
            continue
        characters += length + 2
        if not last_user and role == "user" and found.results == results:
            last_user = both_ends(text)
        else:
            texts.append(both_ends(text))
    if system:
        text, length = clean(_content(system, found))
        if text:
            characters += length + 2
            texts.append(both_ends(text))
    if last_user:
        texts.append(last_user)
    texts.reverse()
    return Prompt(
        window("\n\n".join(texts)),
        max(0, characters - 2),
        len(messages),
        tools + found.calls + found.results,
        images + found.images,
    )


def _between(messages: Sequence[Any]) -> tuple[int, int, int]:
    """About how many characters, tool calls and results, and images these messages have, by some of them."""
    found, characters = _Found(), 0
    sample = messages[:: -(-len(messages) // SAMPLED_MESSAGES)]
    for message in sample:
        if _is_object(message):
            found.parts_left = MAX_PARTS
            characters += len(_message(message, message.get("role"), found)) + 2

    def of_all(count: int) -> int:
        return count * len(messages) // len(sample)

    return of_all(characters), of_all(found.calls) + of_all(found.results), of_all(found.images)


def _body(request: Any) -> tuple[Any, Any]:
    """System prompt and messages of a list of messages, of one message, or of a request body."""
    if request.__class__ is not dict and _is_list(request):
        return None, request
    if not _is_object(request):
        raise PromptError(f"cannot route {type(request).__name__}; give a string or chat messages")
    if "messages" in request:
        return request.get("system"), request["messages"]
    if "input" in request:
        return request.get("instructions"), request["input"]
    if "role" in request:
        return None, [request]
    raise PromptError("the request has none of 'messages', 'input' and 'role'; give chat messages")


def _message(message: Mapping[str, Any], role: Any, found: _Found) -> str:
    """Text of one message or Responses item, and what it holds beside."""
    if "type" in message and _kind(message) in CALLS_AND_RESULTS:
        return _part(message, found)
    text = _content(message.get("content"), found)
    if role == "tool":
        found.results += 1
    if "tool_calls" in message:
        text = "\n".join(filter(None, (text, *_tool_calls(message["tool_calls"], found))))
    return text


def _content(content: Any, found: _Found) -> str:
    if isinstance(content, str):
        return content
    if _is_object(content):
        return _part(content, found)
    if not _is_list(content):
        return ""
    texts = []
    for part in found.few(content):
        found.parts_left -= 1
        text = part if isinstance(part, str) else _part(part, found) if _is_object(part) else ""
        if text:
            texts.append(text)
    return "\n".join(texts)


def _tool_calls(calls: Any, found: _Found) -> Iterator[str]:
    for call in found.few(calls) if _is_list(calls) else ():
        found.parts_left -= 1
        if _is_object(call):
            yield _call(call.get("function"), found)


def _part(part: Mapping[str, Any], found: _Found) -> str:
    kind = _kind(part)
    if kind in TEXT_PARTS:
        text = part.get("text")
        return text if isinstance(text, str) else ""
    if kind in IMAGE_PARTS:
        found.images += 1
    elif kind in CALLS:
        return _call(part, found)
    elif kind in RESULTS:
        found.results += 1
        return "\n".join(_result_texts(part.get("content", part.get("output")), found))
    return ""


# Both look for the usual class first, which is four times faster than asking an abstract one.


def _is_object(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return value.__class__ is dict or isinstance(value, Mapping)


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return value.__class__ is list or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def _kind(part: Mapping[str, Any]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _result_texts(content: Any, found: _Found) -> Iterator[str]:
    """A tool's result: a string, or text and image parts; results do not nest."""
    parts = [content] if isinstance(content, str | Mapping) else content
    for part in found.few(parts) if _is_list(parts) else ():
        found.parts_left -= 1
        if isinstance(part, str):
            yield part
        elif _is_object(part) and _kind(part) not in RESULTS:
            yield _part(part, found)


def _call(call: Any, found: _Found) -> str:
    """A tool call as its name and arguments."""
    found.calls += 1
    if not _is_object(call):
        return ""
    arguments = call.get("arguments", call.get("input", ""))
    if not isinstance(arguments, str):
        arguments = _compact(arguments, found)
    name = call.get("name")
    return f"{name} {arguments}" if isinstance(name, str) else arguments


def _compact(value: Any, found: _Found) -> str:
    try:
        return json.dumps(_few(value, found), ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return ""


def _few(value: Any, found: _Found) -> Any:
    """Of a JSON value so many members as may still be read, their strings cut to what a window shows."""
    if isinstance(value, str):
        return both_ends(value)
    if _is_object(value):
        return {_few(key, found): _few(member, found) for key, member in found.members(value.items())}
    if isinstance(value, list | tuple):
        return [_few(member, found) for member in found.members(value)]
    return value
