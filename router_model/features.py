"""Numbers known of a prompt before the call, which the network sees beside the text.

Length alone is a strong baseline on some data, so the network must have it. The order and the meaning of
the numbers are fixed by ``FEATURES_VERSION``, which an artifact records.
"""

from math import log1p

from router_model.prompt import Prompt

FEATURES_VERSION = 3
FEATURES = (
    "log_characters",  # of the whole text, ln(1 + n) as are the other counts
    "log_lines",  # of the window, as are the two that follow
    "log_code_fences",
    "extra_bytes",  # of UTF-8 beyond one a character, in [0, 3]: which scripts there are
    "log_turns",
    "log_tools",
    "log_images",
)

LOG_ONE = log1p(1)

Features = tuple[float, float, float, float, float, float, float]


def featurize(prompt: Prompt) -> Features:
    """The features of ``prompt``, in the order of ``FEATURES``.

    Shares of digits, punctuation and capitals ranked prompts no better beside the bag of tokens.
    """
    text = prompt.text
    lines = text.count("\n")
    fences = text.count("```") if "`" in text else 0
    return (
        log1p(prompt.characters),
        log1p(lines) if lines else 0.0,
        log1p(fences) if fences else 0.0,
        0.0 if text.isascii() else len(text.encode()) / len(text) - 1,
        LOG_ONE if prompt.turns == 1 else log1p(prompt.turns),
        log1p(prompt.tools) if prompt.tools else 0.0,
        log1p(prompt.images) if prompt.images else 0.0,
    )
