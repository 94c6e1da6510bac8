"""What stands around a text's tokens where a transformer reads them, as its own tokenizer puts it there.

A sentence-transformers model reads ``[CLS] tokens [SEP]``, of a text that may carry a prompt in front. In a
graph 0 pads, so a vocabulary in which 0 is a token is shifted by one, which the graph undoes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.tokens import Ids, Ragged, Tokenizer

NOTHING: Ids = np.zeros(0, np.uint32)  # of a text without tokens: the frame alone is something to read


@dataclass(frozen=True, slots=True)
class Frame:
    """How a transformer's input is made of a text.

    Attributes:
        prefix: the model's prompt, in front of each text before it is cut into tokens.
        start: ids before the window's tokens, such as that of [CLS]; shifted already.
        end: ids after them, such as that of [SEP].
        shift: what was added to each of the vocabulary's ids, 0 or 1.
    """

    prefix: str
    start: tuple[int, ...]
    end: tuple[int, ...]
    shift: int

    def memory(self, size: int) -> tuple[Ids, Callable[[Ids], None]]:
        """Memory for one row of ``size`` tokens, uint32 [S + T + E], and what writes them into it."""
        ids = np.array([*self.start, *(0,) * size, *self.end], np.uint32)
        inside = ids[len(self.start) : len(self.start) + size]

        def fill(tokens: Ids) -> None:
            inside[...] = tokens

        return ids, fill

    def block(self, ids: Ids, lengths: NDArray[np.int64]) -> Ids:
        """Rows with the frame around each: uint32 [B, T] and lengths int64 [B] -> [B, S + T + E], 0 pads."""
        before, after = len(self.start), len(self.end)
        framed = np.zeros((len(ids), before + ids.shape[1] + after), np.uint32)
        framed[:, :before] = self.start
        framed[:, before : before + ids.shape[1]] = ids
        places = before + lengths[:, np.newaxis] + np.arange(after)  # [B, E]
        np.put_along_axis(framed, places, np.array(self.end, np.uint32)[np.newaxis], axis=1)
        return framed


class FramedTokenizer:
    """A tokenizer that reads each text behind the frame's prefix, and shifts the ids."""

    def __init__(self, tokenizer: Tokenizer, frame: Frame) -> None:
        self._tokenizer = tokenizer
        self._prefix = frame.prefix
        self._shift = np.uint32(frame.shift)
        self.vocabulary = tokenizer.vocabulary + frame.shift

    def encode(self, text: str) -> Ids:
        """Ids of one text, uint32 [T]."""
        return self._tokenizer.encode(self._prefix + text) + self._shift

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """Ids of each text."""
        ids = self._tokenizer.encode_batch([self._prefix + text for text in texts])
        return Ragged(ids.flat + self._shift, ids.offsets)

    def forget(self) -> None:
        """Empty the tokenizer's cache, where it has one."""
        self._tokenizer.forget()
