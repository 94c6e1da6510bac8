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
PAIR_IDS = 1 << 15  # with twice as many, pairs that share an id are rarer, and prompts are ranked no better


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

    def bag(self, ids: Ids, lengths: NDArray[np.int64] | None = None) -> Ids:
        """Tokens and pairs, each once, in rising order, 0 in place of repeats: [..., T] -> [..., 2 T - 1].

        Args:
            ids: uint32 [..., T], T at least 1.
            lengths: int64 [...], how many ids each row has before its padding; all of them where None.
        """
        size = ids.shape[-1]
        every = np.empty((*ids.shape[:-1], 2 * size - 1), np.uint32)
        every[..., :size] = ids
        pairs = every[..., size:]
        np.multiply(ids[..., :-1], MULTIPLIER, pairs)  # wraps around at 2**32
        pairs += ids[..., 1:]
        pairs &= self.count - 1
        pairs += self.first
        if lengths is not None:
            pairs *= np.arange(1, size) < lengths[..., np.newaxis]
        every.sort(axis=-1)
        every[..., 1:] *= every[..., 1:] != every[..., :-1]
        return every
