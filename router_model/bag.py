"""Token ids to what the static encoder sums: each token once, and each pair of neighbours once.

A token that stands five times in a prompt says little more than one that stands once, and which word stands
before which says more than either: both rank prompts better, and sorting costs less than counting. Pairs are
hashed into a fixed number of ids behind the vocabulary (feature hashing, Weinberger et al. 2009).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.tokens import Ids

MULTIPLIER = 1_000_003
PAIR_IDS = 1 << 14  # with four times as many, fewer share an id, and prompts are ranked no better


@dataclass(frozen=True, slots=True)
class Pairs:
    """The ids of pairs.

    Attributes:
        first: the first of them, which is the size of the vocabulary.
        count: how many there are, a power of two.
    """

    first: int
    count: int

    @property
    def end(self) -> int:
        """One more than the largest id."""
        return self.first + self.count

    def bag(self, ids: Ids) -> Ids:
        """Tokens and pairs of one row, each once, in rising order: uint32 [T] -> [M], M at most 2 T - 1.

        It is empty where there is no id but 0.
        """
        size = ids.size
        every = np.empty(2 * size or 1, np.uint32)  # a 0 first, so that all zeros are repeats
        every[0] = 0
        every[1 : size + 1] = ids
        self._hash(ids, every[size + 1 :])
        every.sort()
        bag: Ids = every[1:][every[1:] != every[:-1]]
        return bag

    def bags(self, ids: Ids, lengths: NDArray[np.int64]) -> Ids:
        """The bags of a block of rows, with 0 in place of repeats: uint32 [B, T] -> [B, 2 T - 1].

        Args:
            ids: uint32 [B, T], T at least 1.
            lengths: int64 [B], how many ids each row has before its padding.
        """
        size = ids.shape[1]
        every = np.empty((len(ids), 2 * size - 1), np.uint32)
        every[:, :size] = ids
        pairs = every[:, size:]
        self._hash(ids, pairs)
        pairs *= np.arange(1, size) < lengths[:, np.newaxis]
        every.sort(axis=1)
        every[:, 1:] *= every[:, 1:] != every[:, :-1]
        return every

    def _hash(self, ids: Ids, pairs: Ids) -> None:
        """Write the ids of neighbours' pairs: uint32 [..., T], [..., T - 1]."""
        np.multiply(ids[..., :-1], MULTIPLIER, pairs)  # wraps around at 2**32
        pairs += ids[..., 1:]
        pairs &= self.count - 1
        pairs += self.first
