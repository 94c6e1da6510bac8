"""What the value of ``model`` asks for: the router with a dial, a tier, or a model by its name."""

import re
from typing import Any

from msgspec import Struct

from router_model.errors import RequestError

MAX_WORD = 256
FRACTION = re.compile(r"[0-9]{0,4}\.?[0-9]{1,17}")
WORDS = "'auto', 'auto:quality=0.97', 'auto:budget=0.4', 'auto:certified', 'tier:NAME' or a model's name"


class Asked(Struct, frozen=True, gc=False):
    """What the value of ``model`` asks for.

    Attributes:
        word: as it was sent.
        quality, budget: the dial of ``auto:quality=0.97`` or ``auto:budget=0.4``.
        certified: of ``auto:certified``, the point that the artifact's certificate is of.
        tier: of ``tier:large``.
        model: a provider's name or a model's real name, which bypasses the router.
    """

    word: str
    quality: float | None = None
    budget: float | None = None
    tier: str | None = None
    model: str | None = None
    certified: bool = False

    @classmethod
    def read(cls, word: Any) -> "Asked":
        """Read the value of ``model``.

        Raises:
            RequestError: 400, it is no text, or starts as a word of the gateway's and goes on as none.
        """
        if word.__class__ is not str or not word or len(word) > MAX_WORD or not word.isprintable():
            raise _refused(f"'model' is not a printable text of 1 to {MAX_WORD} characters")
        if word in ("auto", "auto:certified"):
            return cls(word, certified=word != "auto")
        if word.startswith("tier:"):
            if word == "tier:":
                raise _refused("'model' is 'tier:' without a tier's name")
            return cls(word, tier=word[5:])
        if word.startswith("auto:"):
            return cls._dial(word)
        return cls(word, model=word)

    @classmethod
    def _dial(cls, word: str) -> "Asked":
        name, _, value = word[5:].partition("=")
        if name not in ("quality", "budget"):
            raise _refused(f"'model' is {word!r}, which names no dial")
        number = float(value) if FRACTION.fullmatch(value) else 0.0
        if not 0 < number <= 1:
            raise _refused(f"'model' is {word!r}; a dial is one number above 0 and at most 1")
        return cls(word, quality=number) if name == "quality" else cls(word, budget=number)


def _refused(message: str) -> RequestError:
    return RequestError(400, "invalid_request_error", f"{message}; give {WORDS}", param="model")
