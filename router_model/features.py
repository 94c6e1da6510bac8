"""Numbers known of a prompt before the call, which the network sees beside the text.

Length alone is a strong baseline on some data, so the network must have it. The order and the meaning of
the numbers are fixed by ``FEATURES_VERSION``, which an artifact records.
"""

from math import log1p
from string import ascii_uppercase, digits, punctuation

from router_model.prompt import Prompt

FEATURES_VERSION = 1
FEATURES = (
    "log_characters",  # of the whole text, ln(1 + n) as are the other counts
    "log_lines",
    "digit_share",  # of the window's characters, in [0, 1] as are the other shares
    "punctuation_share",
    "capital_share",
    "non_ascii_share",
    "log_code_fences",
    "log_turns",
    "log_tools",
    "log_images",
)

DIGIT, PUNCTUATION, CAPITAL, NEWLINE, NON_ASCII = b"d", b"p", b"c", b"n", b"x"


def _classes() -> bytes:
    """What each byte of UTF-8 counts as; of a character beyond ASCII, its first byte."""
    of = dict.fromkeys(digits, DIGIT) | dict.fromkeys(punctuation, PUNCTUATION)
    of |= dict.fromkeys(ascii_uppercase, CAPITAL) | {"\n": NEWLINE}
    return b"".join(of.get(chr(byte), NON_ASCII if byte >= 0xC0 else b" ") for byte in range(256))


CLASSES = _classes()
UNCOUNTED = bytes(byte for byte in range(256) if CLASSES[byte] == ord(" "))
LOG_ONE = log1p(1)

Features = tuple[float, float, float, float, float, float, float, float, float, float]


def featurize(prompt: Prompt) -> Features:
    """The features of ``prompt``, in the order of ``FEATURES``.

    Shares count ASCII digits, punctuation and capitals. One pass over the UTF-8 text drops the bytes that
    nothing counts and names the others' classes: a microsecond for most prompts, where a loop over
    characters takes hundreds.
    """
    text = prompt.text
    raw = text.encode()
    count = raw.translate(CLASSES, UNCOUNTED).count
    length = len(text) or 1
    lines = count(NEWLINE)
    punctuated = count(PUNCTUATION)
    fences = raw.count(b"```") if punctuated else 0
    return (
        log1p(prompt.characters),
        log1p(lines) if lines else 0.0,
        count(DIGIT) / length,
        punctuated / length,
        count(CAPITAL) / length,
        count(NON_ASCII) / length if len(raw) > length else 0.0,
        log1p(fences) if fences else 0.0,
        LOG_ONE if prompt.turns == 1 else log1p(prompt.turns),
        log1p(prompt.tools) if prompt.tools else 0.0,
        log1p(prompt.images) if prompt.images else 0.0,
    )
