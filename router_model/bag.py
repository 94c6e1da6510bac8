"""Token ids to what the static encoder sums: each token once, and each pair of neighbours once.

A token that stands five times in a prompt says little more than one that stands once, and which word stands
before which says more than either: both rank prompts better, and sorting costs less than counting. Pairs of a
text's head are hashed into a fixed number of ids behind the vocabulary (Weinberger et al. 2009).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.tokens import Ids

MULTIPLIER = 1_000_003
PAIRED_HEAD = 64  # tokens; pairing all of a long text takes longer and ranks prompts no better
PAIR_IDS = 1 << 14  # with four times as many, fewer share an id, and prompts are ranked no better


@dataclass(frozen=True, slots=True)
class Pairs:
    """The ids of pairs.

    Attributes:
        first: the first of them, which is the size of the vocabulary.
        count: how many there are, a power of two.
        head: how many tokens of a text's head are paired; at least 1.
    """

    first: int
    count: int
    head: int

    @property
    def end(self) -> int:
        """One more than the largest id."""
        return self.first + self.count

    def bag(self, ids: Ids) -> Ids:
        """Tokens and pairs of one row, each once, in rising order with 0 in place of repeats.

        Args:
            ids: uint32 [T], T at least 1.

        Returns:
            uint32 [T + H - 1], with H the lesser of T and ``head``.
        """
        bag = Bag(self, ids.size)
        bag.fill(ids)
        return bag.ids

    def bags(self, ids: Ids, lengths: NDArray[np.int64]) -> Ids:
        """The bags of a block of rows: uint32 [B, T] -> [B, T + H - 1].

        Args:
            ids: uint32 [B, T], T at least 1.
            lengths: int64 [B], how many ids each row has before its padding.
        """
        size = ids.shape[1]
        head = min(size, self.head)
        every = np.empty((len(ids), size + head - 1), np.uint32)
        every[:, :size] = ids
        pairs = every[:, size:]
        np.multiply(ids[:, : head - 1], MULTIPLIER, pairs)  # wraps around at 2**32
        pairs += ids[:, 1:head]
        pairs &= self.count - 1
        pairs += self.first
        pairs *= np.arange(1, head) < lengths[:, np.newaxis]
        every.sort(axis=1)
        every[:, 1:] *= every[:, 1:] != every[:, :-1]
        return every


class Bag:
    """Memory for the bag of one row of ``size`` tokens, filled anew for each: as ``Pairs.bags`` of one row.

    Every array and view that a step needs is kept, and numbers as arrays of the row's size: numpy takes half
    the time for arrays of one size, and making them anew would take as long again.

    Attributes:
        ids: uint32 [T + H - 1].
    """

    __slots__ = (
        "_first", "_high", "_left", "_low", "_mask", "_multiplier", "_pairs", "_repeats", "_right", "_tokens",
        "ids",
    )  # fmt: skip

    def __init__(self, pairs: Pairs, size: int) -> None:
        head = min(size, pairs.head)
        self.ids: Ids = np.zeros(size + head - 1, np.uint32)
        self._tokens, self._pairs = self.ids[:size], self.ids[size:]
        self._left, self._right = self.ids[: head - 1], self.ids[1:head]
        self._low, self._high = self.ids[:-1], self.ids[1:]
        self._repeats = np.zeros(self._high.size, bool)
        self._multiplier, self._mask, self._first = (
            np.full(head - 1, value, np.uint32) for value in (MULTIPLIER, pairs.count - 1, pairs.first)
        )

    def fill(self, tokens: Ids) -> None:
        """Write the bag of uint32 [T]."""
        pairs, high = self._pairs, self._high
        self._tokens[...] = tokens
        np.multiply(self._left, self._multiplier, pairs)  # wraps around at 2**32
        np.add(pairs, self._right, pairs)
        np.bitwise_and(pairs, self._mask, pairs)
        np.add(pairs, self._first, pairs)
        self.ids.sort()
        np.equal(high, self._low, self._repeats)
        high[self._repeats] = 0
