"""Whole conversations with one model, one object each: ``conversation``, a list of messages, and ``model``.

These are the columns of LMSYS-Chat-1M (https://huggingface.co/datasets/lmsys/lmsys-chat-1m), beside
``conversation_id``, and of WildChat (https://huggingface.co/datasets/allenai/WildChat-1M), beside
``conversation_hash`` and ``timestamp``.
One record a turn; what the user said next is its feedback ``next_user``.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from router_model.data.conversations import turns
from router_model.data.formats.format import Dropped, Format, Row
from router_model.data.formats.values import decoded, first, items, known, mapping, text

NO_ANSWER = "a conversation without an answer"


def recognise(row: Mapping[str, Any]) -> bool:
    """Whether the row is a conversation."""
    return isinstance(decoded(row.get("conversation")), list) and "model" in row


def rows(row: Mapping[str, Any]) -> Iterator[Row | Dropped]:
    """A record for each turn, numbered from 1 within the session."""
    session = text(first(row, "conversation_id", "conversation_hash"))
    messages = [_message(mapping(message)) for message in items(row.get("conversation"))]
    model = text(row.get("model"))
    group = session or (_digest(messages) if messages else None)
    found = False
    for number, turn in enumerate(turns(messages), 1):
        found = True
        yield known(
            {
                "id": f"{session}:{number}" if session else None,
                "messages": turn.messages,
                "model": model,
                "answer": turn.answer if model else None,
                "feedback": known({"next_user": turn.next_user}),
                "timestamp": first(row, "timestamp", "tstamp"),
                "session": session,
                "group": group,
                "tenant": text(row.get("hashed_ip")),
                "meta": known({"language": text(row.get("language"))}),
            }
        )
    if not found:
        yield Dropped(NO_ANSWER)


def _digest(messages: list[Row]) -> str:
    """A name for a conversation that has none, so that its turns stay on one side of a split."""
    return hashlib.sha256(json.dumps(messages, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _message(message: Mapping[str, Any]) -> Row:
    """Role and content, without what is logged beside them of the user, the country among it."""
    names = ("role", "content", "tool_calls", "tool_call_id")
    return {name: message[name] for name in names if message.get(name) is not None}


FORMAT = Format("conversations", "'conversation', a list of messages, and 'model'", recognise, rows)
