"""Conversations to turns: each thing that a user said and a model answered, with what was said before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

MOST_TURNS = 256  # of a conversation: each holds all before it, so their size grows with the square


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        messages: all up to the user's message, it included: what the model was given.
        answer: the text of the last of the model's messages before the user spoke again.
        next_user: what the user said then; None at the end.
    """

    messages: Sequence[Mapping[str, Any]]
    answer: str
    next_user: str | None


def turns(messages: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    """The first 256 turns that have an answer; several messages of the user in a row are one turn."""
    return islice(_turns(messages), MOST_TURNS)


def _turns(messages: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    asked, answer = None, None
    for place, message in enumerate([*messages, {"role": "user"}]):
        if message.get("role") == "user":
            if asked is not None and answer is not None:
                yield Turn(messages[: asked + 1], answer, _said(messages[place:]))
            asked, answer = place, None
        elif message.get("role") == "assistant":
            answer = content(message.get("content")) or answer


def _said(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """What the user says at the beginning of ``messages``, be it in several of them."""
    own = takewhile(lambda message: message.get("role") == "user", messages)
    return "\n".join(filter(None, (content(message.get("content")) for message in own))) or None


def content(value: Any) -> str | None:
    """The text of a message's content: text, or parts that hold some; None where there is none."""
    if isinstance(value, str):
        return value or None
    parts = value if isinstance(value, list) else []
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    return "\n".join(part for part in texts if isinstance(part, str) and part) or None
