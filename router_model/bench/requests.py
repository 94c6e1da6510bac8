"""Requests to time a router with: English of known length, real ones, and what an adversary would send."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from router_model.errors import PromptError
from router_model.jsonl import read_json_lines, stop
from router_model.prompt import Request

# Each is one token of an English WordPiece vocabulary; 512 of them just fit the window of characters.
WORDS = (
    "a an the of to in on at by for and or but not no so if as is it he we you all any can may do did "
    "has had was are be me my our one two new old bad big red day way man boy dog cat car bus map key "
    "box pen cup ice sun sky sea air tea eat run go get put see say ask use try sum"
).split()
MEGABYTE = 1_000_000
LENGTHS = (10, 32, 128, 512)
ROWS_READ = 100_000  # of a file
OTHERS = 4000


def english(tokens: int, count: int, seed: int = 0) -> list[str]:
    """Distinct prompts of so many tokens."""
    chance = random.Random(f"{seed} {tokens}")  # noqa: S311  # not a secret
    return [" ".join(chance.choices(WORDS, k=tokens)) for _ in range(count)]


@dataclass(frozen=True)
class Sample:
    """Requests of real files.

    Attributes:
        timed: those to time.
        others: none of those; what a service would have seen before.
    """

    timed: list[Request]
    others: list[Request]


def real(paths: Sequence[Path], count: int, seed: int = 0) -> Sample:
    """``count`` rows' "prompt" or "messages", drawn from JSON Lines files in equal shares, and others.

    At least a third of each file's distinct requests are left to be others.

    Raises:
        FileError: a file cannot be read.
        RecordError: a line is not JSON.
        PromptError: not one row has either field.
    """
    chance = random.Random(seed)  # noqa: S311
    timed: list[Request] = []
    others: list[Request] = []
    for path in paths:
        rows = (row for _, row in islice(read_json_lines(path, stop), ROWS_READ) if isinstance(row, dict))
        asked = [request for row in rows if (request := row.get("prompt") or row.get("messages"))]
        distinct = list({repr(request): request for request in asked}.values())
        chance.shuffle(distinct)
        share = min(-(-count // len(paths)), -(-2 * len(distinct) // 3))
        timed += distinct[:share]
        others += distinct[share : share + OTHERS // len(paths)]
    if not timed:
        names = ", ".join(map(str, paths))
        raise PromptError(f"{names}: no row has 'prompt' or 'messages'; give records")
    chance.shuffle(timed)
    return Sample(timed[:count], others)


def conversations(texts: Sequence[str], count: int, seed: int = 0) -> list[Request]:
    """Chats of a system prompt and three turns, each a text drawn from ``texts``."""
    chance = random.Random(seed)  # noqa: S311
    roles = ("system", "user", "assistant", "user")
    return [[{"role": role, "content": chance.choice(texts)} for role in roles] for _ in range(count)]


def drawn(low: int, high: int, count: int) -> str:
    """Characters between two code points."""
    chance = random.Random(low)  # noqa: S311
    return "".join(map(chr, chance.choices(range(low, high), k=count)))


def user(content: object) -> dict[str, object]:
    """A user's message."""
    return {"role": "user", "content": content}


def _parts(count: int) -> list[dict[str, str]]:
    return [{"type": "text", "text": "some text"}] * count


def _calls(count: int) -> dict[str, object]:
    function = {"name": "look", "arguments": '{"at": "this"}'}
    return {"role": "assistant", "tool_calls": [{"type": "function", "function": function}] * count}


# name -> a request of about a megabyte; built when asked for, since together they are large
HOSTILE: dict[str, Callable[[], Request]] = {
    "one word": lambda: "x" * MEGABYTE,
    "white space": lambda: " \n" * (MEGABYTE // 2),
    "punctuation": lambda: "!@#$%^&*(" * (MEGABYTE // 9),
    "code fences": lambda: "```\n" * (MEGABYTE // 4),
    "NULs": lambda: "\0" * MEGABYTE,
    "special tokens": lambda: "[SEP][PAD][CLS]" * (MEGABYTE // 15),
    "random letters": lambda: drawn(0x61, 0x7B, MEGABYTE),
    "random ASCII": lambda: drawn(0x20, 0x7F, MEGABYTE),
    "accents": lambda: drawn(0xC0, 0x250, MEGABYTE // 2),
    "combining marks": lambda: "e" + "\u0301" * (MEGABYTE // 2),
    "Arabic": lambda: drawn(0x621, 0x64B, MEGABYTE // 2),
    "random CJK": lambda: drawn(0x4E00, 0xA000, MEGABYTE // 3),
    "random Hangul": lambda: drawn(0xAC00, 0xD7A4, MEGABYTE // 3),
    "emoji": lambda: "\U0001f469\u200d\U0001f680" * (MEGABYTE // 11),
    "lone surrogates": lambda: "\ud800" * (MEGABYTE // 3),
    "random code points": lambda: drawn(0, 0x110000, MEGABYTE // 4),
    "reminders": lambda: "<system-reminder>a</system-reminder>" * (MEGABYTE // 36),
    "unclosed reminders": lambda: "<system-reminder>" * (MEGABYTE // 17),
    "base64": lambda: ";base64," + "A" * MEGABYTE,
    "base64 marks": lambda: ";base64," * (MEGABYTE // 8),
    "1,000 messages": lambda: [user("some words " * 90)] * 1000,
    "1,000 messages of CJK": lambda: [user(drawn(0x4E00, 0xA000, 333))] * 1000,
    "25,000 messages": lambda: [user("some words")] * 25_000,
    "20,000 parts": lambda: [user(_parts(20_000))],
    "100 messages of 200 parts": lambda: [user(_parts(200))] * 100,
    "100 messages of 100 tool calls": lambda: [_calls(100)] * 100,
    "reminders in 100 messages": lambda: [user("<system-reminder>a</system-reminder>" * 270)] * 100,
    "one large tool call": lambda: [
        {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {
            f"key {n}": ["value"] * 20 for n in range(5000)
        }}]}
    ],
}  # fmt: skip
