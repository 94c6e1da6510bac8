"""Numbers known of a prompt before the call, which the network sees beside the text.

Length alone is a strong baseline on some data, so the network must have it. The order and the meaning of
the numbers are fixed by ``FEATURES_VERSION``, which an artifact records.
"""

from math import log1p
from string import ascii_uppercase, digits, punctuation

from router_model.prompt import Prompt

FEATURES_VERSION = 2
FEATURES = (
    "log_characters",  # of the whole text, ln(1 + n) as are the other counts
    "log_lines",  # of the window, as are the two that follow
    "log_code_fences",
    "symbol_share",  # ASCII digits, punctuation and capitals among the characters, in [0, 1]
    "extra_bytes",  # of UTF-8 beyond one a character, in [0, 3]: which scripts there are
    "log_turns",
    "log_tools",
    "log_images",
)

SYMBOLS_AND_NEWLINE = (digits + punctuation + ascii_uppercase + "\n").encode()
OTHER_BYTES = bytes(set(range(256)) - set(SYMBOLS_AND_NEWLINE))
LOG_ONE = log1p(1)

Features = tuple[float, float, float, float, float, float, float, float]


def featurize(prompt: Prompt) -> Features:
    """The features of ``prompt``, in the order of ``FEATURES``.

    Symbols are counted by deleting all other bytes: a microsecond for most prompts, where a loop over
    characters takes hundreds. Shares of digits, punctuation and capitals apart took two microseconds more
    and ranked prompts no better beside a bag of tokens, which tells the first two apart itself.
    """
    text = prompt.text
    raw = text.encode()
    length = len(text) or 1
    symbols = raw.translate(None, OTHER_BYTES)
    lines = symbols.count(b"\n")
    fences = raw.count(b"```") if b"`" in symbols else 0
    return (
        log1p(prompt.characters),
        log1p(lines) if lines else 0.0,
        log1p(fences) if fences else 0.0,
        (len(symbols) - lines) / length,
        (len(raw) - len(text)) / length,
        LOG_ONE if prompt.turns == 1 else log1p(prompt.turns),
        log1p(prompt.tools) if prompt.tools else 0.0,
        log1p(prompt.images) if prompt.images else 0.0,
    )
