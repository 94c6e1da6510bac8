"""Conditions on what was logged of how an answer was taken, each a test of one value by its name."""

from collections.abc import Callable
from typing import Any

from router_model.complaint import COMPLAINT_CHARACTERS, words
from router_model.errors import RulesError

MAX_TEXTS = 256  # of one condition
MAX_TEXT_CHARACTERS = 200

FLAGS = ("regenerated", "copied", "edited", "error", "tool_success")
NUMBERS = ("stars", "score")
CONDITIONS = ("thumb", *FLAGS, *NUMBERS, "finish_reason", "next_user")

Test = Callable[[Any], bool]  # of the logged value of one name


def condition(name: str, wanted: Any, where: str) -> Test:
    """The test of a logged value that the condition ``name: wanted`` of a rules file stands for.

    Raises:
        RulesError: ``wanted`` is not what such a condition takes; the message opens with ``where``.
    """
    if name in FLAGS:
        if not isinstance(wanted, bool):
            raise RulesError(f"{where} is {wanted!r:.80}; give true or false")
        return _flag(wanted, text=name == "error")
    if name in NUMBERS:
        return within(*number_range([wanted, wanted] if is_number(wanted) else wanted, where))
    texts = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(texts, list) or not 0 < len(texts) <= MAX_TEXTS:
        raise RulesError(f"{where} is {wanted!r:.80}; give a text, or a list of 1 to {MAX_TEXTS} texts")
    for text in texts:
        if not isinstance(text, str) or len(text) > MAX_TEXT_CHARACTERS or not words(text).strip():
            raise RulesError(f"{where}: {text!r:.80}: give a text of words, of at most 200 characters")
    if name == "next_user":
        return _says([words(text) for text in texts])
    if name == "thumb" and not {"up", "down"} >= set(texts):
        raise RulesError(f"{where} is {wanted!r:.80}; give up or down")
    return _one_of({text.casefold() for text in texts})


def _flag(wanted: bool, text: bool) -> Test:
    """With ``text``, a text that is not empty counts as true: an error may be logged by its message."""
    kinds = (bool, str) if text else bool
    return lambda value: isinstance(value, kinds) and bool(value) is wanted


def within(low: float, high: float) -> Test:
    """A test for numbers from ``low`` to ``high``."""
    return lambda value: is_number(value) and low <= value <= high


def _one_of(texts: set[str]) -> Test:
    return lambda value: isinstance(value, str) and value.casefold() in texts


def _says(phrases: list[str]) -> Test:
    def says(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        said = words(value[:COMPLAINT_CHARACTERS])
        return any(phrase in said for phrase in phrases)

    return says


def number_range(value: Any, where: str) -> tuple[float, float]:
    """The lowest and the highest of ``[lowest, highest]``; raises RulesError for anything else."""
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
        raise RulesError(f"{where} is {value!r:.80}; give a range of two numbers, [lowest, highest]")
    low, high = value
    if low > high:
        raise RulesError(f"{where} is {value!r:.80}; give the lowest first")
    return low, high


def is_number(value: Any) -> bool:
    """Whether the value is a number of a size whose differences stay finite; NaN is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e15 <= value <= 1e15
