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

DIGITS = digits.encode()
PUNCTUATION = punctuation.encode()
CAPITALS = ascii_uppercase.encode()
HIGH_BYTES = bytes(range(128, 256))


def featurize(prompt: Prompt) -> list[float]:
    """The features of ``prompt``, in the order of ``FEATURES``.

    Shares count ASCII digits, punctuation and capitals, by deleting them from the UTF-8 bytes: two
    microseconds for a full window, where a loop over characters takes hundreds.
    """
    raw = prompt.text.encode()
    size = len(raw)
    length = len(prompt.text) or 1
    ascii_bytes = size if size == len(prompt.text) else len(raw.translate(None, HIGH_BYTES))
    return [
        log1p(prompt.characters),
        log1p(raw.count(b"\n")),
        (size - len(raw.translate(None, DIGITS))) / length,
        (size - len(raw.translate(None, PUNCTUATION))) / length,
        (size - len(raw.translate(None, CAPITALS))) / length,
        (len(prompt.text) - ascii_bytes) / length,
        log1p(raw.count(b"```")),
        log1p(prompt.turns),
        log1p(prompt.tools),
        log1p(prompt.images),
    ]
