"""Text to token ids, by whichever installed tokenizer reads the artifact's tokenizer file.

Two backends give the same ids (a test holds them equal): nanotoken, 20 to 60 times faster, and Hugging
Face ``tokenizers``, which reads every kind of tokenizer.
"""

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from router_model.errors import TokenizerError, one_line

# nanotoken keeps what it has seen, by default up to 130 MiB a thread; this many entries take about 4.
CACHE_ENTRIES = 1 << 15
# Eight digits or more: nanotoken makes room for the largest id, and ends the process where it cannot.
HUGE_ID = re.compile(r'"\s*:\s*[0-9]{8,}')

Ids = NDArray[np.int32]


class Tokenizer(Protocol):
    """Text to token ids, without special tokens."""

    vocabulary: int

    def encode(self, text: str) -> Ids:
        """Ids of one text, int32 [T]."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, int32 [T] each."""
        ...


class NanoTokenizer:
    """nanotoken: WordPiece only.

    Raises:
        TokenizerError: nanotoken is not installed or does not read this file.
    """

    def __init__(self, tokenizer_json: str) -> None:
        try:
            import nanotoken
        except ModuleNotFoundError:
            raise TokenizerError("nanotoken is not installed: pip install nanotoken==0.1.0") from None
        _refuse_huge_ids(tokenizer_json)
        if "NANOTOKEN_CACHE_ENTRIES" not in os.environ:
            nanotoken.set_cache_entries(CACHE_ENTRIES)
        try:
            self._tokenizer = nanotoken.WordPieceTokenizer.from_json(tokenizer_json)
        except (ValueError, TypeError) as error:  # TypeError of a string that is not Unicode
            raise TokenizerError(f"nanotoken does not read this tokenizer: {one_line(error)}") from None
        self.vocabulary = self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> Ids:
        """Ids of one text, int32 [T]."""
        return self._tokenizer.encode(text, False).view(np.int32)

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, int32 [T] each; on the calling thread."""
        flat, offsets = self._tokenizer.encode_batch(texts, add_special_tokens=False, parallel=False)
        bounds = offsets.tolist()
        ids = flat.view(np.int32)
        return [ids[start:end] for start, end in pairwise(bounds)]


class HuggingFaceTokenizer:
    """Hugging Face ``tokenizers``: every kind of tokenizer file.

    Raises:
        TokenizerError: the package is not installed or does not read this file.
    """

    def __init__(self, tokenizer_json: str) -> None:
        try:
            from tokenizers import Tokenizer as Backend
        except ModuleNotFoundError:
            raise TokenizerError("tokenizers is not installed: pip install 'router-model[hf]'") from None
        _refuse_huge_ids(tokenizer_json)
        try:
            self._tokenizer = Backend.from_str(tokenizer_json)
        except Exception as error:  # the package raises bare Exception
            raise TokenizerError(f"tokenizers does not read this tokenizer: {one_line(error)}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary = self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> Ids:
        """Ids of one text, int32 [T]."""
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int32)

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, int32 [T] each."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.int32) for encoding in encodings]


def _refuse_huge_ids(tokenizer_json: str) -> None:
    if HUGE_ID.search(tokenizer_json):
        raise TokenizerError("this tokenizer has ids of eight digits or more; number its tokens from 0")


BACKENDS: tuple[type[NanoTokenizer] | type[HuggingFaceTokenizer], ...] = (NanoTokenizer, HuggingFaceTokenizer)


def load(tokenizer_json: str) -> Tokenizer:
    """The fastest installed backend that reads ``tokenizer_json``.

    Raises:
        TokenizerError: none does; the message holds each backend's reason.
    """
    reasons = []
    for backend in BACKENDS:
        try:
            return backend(tokenizer_json)
        except TokenizerError as error:
            reasons.append(str(error))
    raise TokenizerError("; ".join(reasons))


def window(ids: Ids, limit: int) -> Ids:
    """At most ``limit`` ids: three quarters from the head, one from the tail; never empty (0 pads)."""
    if ids.size > limit:
        tail = limit // 4
        return np.concatenate((ids[: limit - tail], ids[ids.size - tail :]))
    return ids if ids.size else np.zeros(1, np.int32)


def pad(rows: Sequence[Ids]) -> Ids:
    """Rows of ids in one block, int32 [B, T], padded with 0."""
    block = np.zeros((len(rows), max((row.size for row in rows), default=1)), np.int32)
    for row, ids in zip(block, rows, strict=True):
        row[: ids.size] = ids
    return block
