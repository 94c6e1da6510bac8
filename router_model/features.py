"""Numbers known of a prompt before the call, which the network sees beside the text.

Length alone is a strong baseline on some data, so the network must have it. The order and the meaning of
the numbers are fixed by ``FEATURES_VERSION``, which an artifact records.
"""

from collections.abc import Sequence
from math import log1p
from string import ascii_uppercase, digits, punctuation

import numpy as np
from numpy.typing import NDArray

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


def featurize_batch(prompts: Sequence[Prompt]) -> NDArray[np.float32]:
    """The features of each, float32 [N, F]: as ``featurize``, in a third of the time."""
    if not prompts:
        return np.zeros((0, len(FEATURES)), np.float32)
    texts = [prompt.text for prompt in prompts]
    lengths = np.array([len(text) for text in texts])  # [N]
    raw = [text.encode() for text in texts]
    sizes = np.array([len(text) for text in raw])  # [N], in bytes
    every = np.frombuffer(b"\0".join([*raw, b""]), np.uint8)  # [sum of sizes + N], none of them empty
    starts = np.cumsum(sizes + 1) - sizes - 1  # [N]

    def counted(found: NDArray[np.bool_]) -> NDArray[np.uint16]:
        return np.add.reduceat(found, starts, dtype=np.uint16)  # [N]; a window is shorter than 65,536 bytes

    symbol = ((every >= ord("!")) & (every <= ord("`"))) | ((every >= ord("{")) & (every <= ord("~")))
    columns = (
        np.log1p([prompt.characters for prompt in prompts]),
        np.log1p(counted(every == ord("\n"))),
        np.log1p([text.count("```") if "`" in text else 0 for text in texts]),
        counted(symbol) / np.maximum(lengths, 1),
        (sizes - lengths) / np.maximum(lengths, 1),
        np.log1p([prompt.turns for prompt in prompts]),
        np.log1p([prompt.tools for prompt in prompts]),
        np.log1p([prompt.images for prompt in prompts]),
    )
    return np.stack(columns, axis=1).astype(np.float32)  # [N, F]
