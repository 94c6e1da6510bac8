"""Text to token ids, by whichever installed tokenizer reads the artifact's tokenizer file.

Two backends give the same ids (a test holds them equal): nanotoken, 20 to 60 times faster, and Hugging
Face ``tokenizers``, which reads every kind of tokenizer.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from router_model.errors import TokenizerError, one_line

# nanotoken keeps what it has seen, by default up to 130 MiB a thread; this many entries take about 4.
CACHE_ENTRIES = 1 << 15
# Eight digits or more: nanotoken makes room for the largest id, and ends the process where it cannot.
HUGE_ID = re.compile(r'"\s*:\s*[0-9]{8,}')

MAX_IDS = 1 << 31

Ids = NDArray[np.uint32]
NOTHING: Ids = np.zeros(1, np.uint32)  # what a graph reads where there is no token: the pad alone


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of ids of different lengths, end to end.

    Attributes:
        flat: uint32 [sum of lengths].
        offsets: int64 [N + 1], where each row starts, and the end.
    """

    flat: Ids
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[ArrayLike]) -> "Ragged":
        """From each row's ids."""
        arrays = [np.asarray(row, np.uint32) for row in rows]
        offsets = np.cumsum([0, *(array.size for array in arrays)])
        return cls(np.concatenate([np.zeros(0, np.uint32), *arrays]), offsets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [N]."""
        return np.diff(self.offsets)

    def rows(self) -> list[Ids]:
        """Each row, uint32 [T]."""
        return [self.flat[start:end] for start, end in pairwise(self.offsets.tolist())]

    def take(self, order: NDArray[np.int64]) -> "Ragged":
        """The rows in another order."""
        lengths = self.lengths[order]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        shift = np.repeat(self.offsets[order] - offsets[:-1], lengths)
        return Ragged(self.flat[np.arange(len(shift)) + shift], offsets)

    def window(self, limit: int) -> "Ragged":
        """At most ``limit`` ids of each row, as ``window`` of one."""
        lengths = self.lengths
        if lengths.max(initial=0) <= limit:
            return self
        tail = limit // 4
        whole = np.repeat(lengths, lengths)
        position = np.arange(len(self.flat)) - np.repeat(self.offsets[:-1], lengths)
        kept = (whole <= limit) | (position < limit - tail) | (position >= whole - tail)
        return Ragged(self.flat[kept], np.concatenate(([0], np.cumsum(np.minimum(lengths, limit)))))

    def block(self, rows: NDArray[np.int64], limit: int = MAX_IDS) -> tuple[Ids, NDArray[np.int64]]:
        """Some rows, each cut to its ``window``, and their lengths: uint32 [B, T] and int64 [B].

        They are padded with 0 on the right; T is at least 1.
        """
        starts = self.offsets[rows]  # [B]
        whole = self.offsets[rows + 1] - starts  # [B]
        kept = np.minimum(whole, limit)  # [B]
        columns = np.arange(max(1, kept.max(initial=0)))  # [T]
        place = starts[:, np.newaxis] + columns  # [B, T]
        if kept.sum() < whole.sum():
            place += np.where(columns < limit - limit // 4, 0, (whole - kept)[:, np.newaxis])  # [B, T]
        if not self.flat.size:
            return np.zeros(place.shape, np.uint32), kept
        ids = self.flat.take(place, mode="clip")  # [B, T]; places past a row's end are masked
        ids *= columns < kept[:, np.newaxis]
        return ids, kept


class Tokenizer(Protocol):
    """Text to token ids, without special tokens."""

    vocabulary: int

    def encode(self, text: str) -> Ids:
        """Ids of one text, uint32 [T]."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """Ids of each text."""
        ...

    def forget(self) -> None:
        """Empty the cache of words, where there is one."""
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
        """Ids of one text, uint32 [T]."""
        return self._tokenizer.encode(text, False)

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """Ids of each text; on the calling thread."""
        return Ragged(*self._tokenizer.encode_batch(texts, add_special_tokens=False, parallel=False))

    def forget(self) -> None:
        """Empty the calling thread's cache of words."""
        self._tokenizer.clear_cache()


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
        """Ids of one text, uint32 [T]."""
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.uint32)

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """Ids of each text."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return Ragged.of(encoding.ids for encoding in encodings)

    def forget(self) -> None:
        """Nothing to do: its cache is of no account."""


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
    """At most ``limit`` ids: three quarters from the head, one from the tail."""
    if ids.size > limit:
        tail = limit // 4
        return np.concatenate((ids[: limit - tail], ids[ids.size - tail :]))
    return ids
