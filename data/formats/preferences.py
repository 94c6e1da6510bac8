"""Pairwise preferences: which of two models' answers a person, or a judge, took for the better one.

Chatbot Arena has ``model_a``, ``model_b``, ``winner``, ``conversation_a`` and ``conversation_b``
(https://huggingface.co/datasets/lmsys/chatbot_arena_conversations, and, with ``both_bad``,
https://huggingface.co/datasets/lmarena-ai/arena-human-preference-140k); the table of the Kaggle contest has
``winner_model_a``, ``winner_model_b`` and ``winner_tie``, with prompts and answers as JSON lists
(https://www.kaggle.com/competitions/lmsys-chatbot-arena/data).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from router_model.data.conversations import content
from router_model.data.formats.chat import NO_PROMPT
from router_model.data.formats.format import Dropped, Format, Row
from router_model.data.formats.values import decoded, first, items, known, mapping, number, score, text

COLUMNS = {"winner_model_a": "model_a", "winner_model_b": "model_b", "winner_tie": "tie"}
BOTH_BAD = frozenset({"both_bad", "bothbad", "tie (bothbad)", "both bad"})
NO_WINNER = "no winner was named"


def recognise(row: Mapping[str, Any]) -> bool:
    """Whether the row compares the answers of two models."""
    if "model_a" not in row or "model_b" not in row:
        return False
    return any(name in row for name in ("conversation_a", "response_a", *COLUMNS))


def rows(row: Mapping[str, Any]) -> Iterator[Row | Dropped]:
    """One record: the two models and the winner, or, where both were bad, two outcomes of 0."""
    asked = _asked(row)
    if not asked:
        yield Dropped(NO_PROMPT)
        return
    winner = text(row.get("winner")) or next(
        (of for name, of in COLUMNS.items() if number(score(row.get(name)))), None
    )
    if winner is None:
        yield Dropped(NO_WINNER)
        return
    single = len(asked) == 1 and isinstance(asked[0]["content"], str)
    pair = [text(row.get("model_a")), text(row.get("model_b"))]
    bad = winner.lower() in BOTH_BAD and all(pair)  # a tie would call the cheaper one sufficient
    label = (
        {"outcomes": dict.fromkeys(pair, 0.0)}
        if bad
        else {"model_a": row.get("model_a"), "model_b": row.get("model_b"), "winner": winner}
    )
    yield known(
        {
            "id": text(first(row, "question_id", "id")),
            **({"prompt": asked[0]["content"]} if single else {"messages": asked}),
            **label,
            "answer": _answers(row, pair),
            "timestamp": first(row, "tstamp", "timestamp"),
            "session": text(row.get("evaluation_session_id")),
            "task": text(row.get("task")),
        }
    )


def _asked(row: Mapping[str, Any]) -> list[Row]:
    """The user's turns, which both models were given; the answers between them differ and are left out."""
    turns = [mapping(message) for message in items(row.get("conversation_a"))]
    said = [turn.get("content") for turn in turns if turn.get("role") == "user"]
    if not said:
        prompt = decoded(row.get("prompt"))
        said = prompt if isinstance(prompt, list) else [prompt]
    return [{"role": "user", "content": part} for part in said if isinstance(part, str | list) and part]


def _answers(row: Mapping[str, Any], pair: list[str | None]) -> Row:
    """Each model's last answer."""
    found = {}
    for name, side in zip(pair, "ab", strict=True):
        turns = [mapping(message) for message in items(row.get(f"conversation_{side}"))]
        said = [content(turn.get("content")) for turn in turns if turn.get("role") == "assistant"]
        if not said:
            reply = decoded(row.get(f"response_{side}"))
            said = [content(part) for part in reply[-1:]] if isinstance(reply, list) else [text(reply)]
        if name and said and said[-1]:
            found[name] = said[-1]
    return found


FORMAT = Format(
    "preferences", "'model_a' and 'model_b' with 'conversation_a', 'response_a' or 'winner_model_a'",
    recognise, rows,
)  # fmt: skip
