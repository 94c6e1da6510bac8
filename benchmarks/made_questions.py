"""Questions made for the semantic cache: ways to say the same, and near misses one word apart.

A family is one kind of question: ways to put it, with a blank, and what may fill the blank. Two questions
mean the same where family and filling are the same; all others of a family are near misses of each other,
by one name, number, verb, opposite or negation. Half of the families are for trying things out, the
others for the figures that are reported.
"""

import random
from dataclasses import dataclass
from pathlib import Path

BEFORE = ("", "", "", "Please: ", "Hi, ", "Quick question. ", "Hello! ", "I wonder: ", "One more thing: ")
AFTER = ("", "", "", " Thanks!", " Thank you.", " Be brief.", " Please.")


@dataclass(frozen=True)
class Family:
    """Ways to put a question, each with a blank, and what may fill it."""

    ways: tuple[str, ...]
    fillings: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """A text and what it means: two that mean the same have the same answer."""

    text: str
    meaning: str


def families(half: str) -> list[Family]:
    """Those of a half, "tried" or "reported"."""
    found = []
    text = Path(__file__).with_name("made_questions.txt").read_text(encoding="utf-8")
    for paragraph in text.strip().split("\n\n"):
        *ways, fillings = paragraph.split("\n")
        found.append(Family(tuple(ways), tuple(fillings.removeprefix("= ").split(" | "))))
    return found[1::2] if half == "reported" else found[::2]


def questions(count: int, seed: int, half: str) -> list[Question]:
    """A stream of ``count`` questions; some are asked far more often than others, as in life (Zipf)."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    meanings = [(family, filling) for family in families(half) for filling in family.fillings]
    chance.shuffle(meanings)
    often = [1 / (rank + 3) for rank in range(len(meanings))]
    return [put(chance, *meaning) for meaning in chance.choices(meanings, often, k=count)]


def put(chance: random.Random, family: Family, filling: str) -> Question:
    """One of the ways to say it, as people type: with greetings, in small letters, without a full stop."""
    text = chance.choice(family.ways).format(filling)
    text = f"{chance.choice(BEFORE)}{text[0].upper()}{text[1:]}{chance.choice(AFTER)}"
    if chance.random() < 0.3:
        text = text.lower()
    if chance.random() < 0.3:
        text = text.rstrip("?.! ")
    return Question(text, f"{family.ways[0]}|{filling}")
