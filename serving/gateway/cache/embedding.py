"""What a text means, as near as a static table of tokens tells, without a network."""

from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from router_model import tokens
from router_model.base import Base
from router_model.serving.gateway.cache.sameness import Marks

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sense:
    """What is kept of a text.

    Attributes:
        vector: float32 [D], of length 1.
        marks: what must be the same in a text that means the same.
        tokens: ids that occur in it.
        order: of these, the ones that carry meaning, as they first come.
    """

    vector: Vector
    marks: Marks
    tokens: frozenset[int]
    order: tuple[int, ...] = ()


class Encoder(Protocol):
    """Text to sense, and how alike two are."""

    width: int

    def sense(self, text: str) -> Sense:
        """What a text means."""
        ...

    def likeness(self, one: Sense, other: Sense) -> float:
        """In [0, 1]; its scale is the encoder's own, as thresholds are learned."""
        ...


MEANING = 0.75  # length of a row from which a token is no function word
MOST_ORDERED = 32  # words of meaning whose order is looked at
LIKE = 0.3  # cosine of rows of words of one kind: cat and dog, Rome and Paris, mother and daughter


class BaseEncoder:
    """The base encoder that ships: the vector is the mean of its tokens' rows.

    The vector finds neighbours, and is no good judge of them: "the capital of Italy" is nearer to "the
    capital of France" than "France's capital city" is. So likeness is one less the length of the longest row
    that only one of both texts has: function words have short rows, words that carry meaning long ones.
    Where two like words have changed places, as cat and dog in "can a cat chase a dog", nothing is alike.
    """

    def __init__(self, base: Base | None = None) -> None:
        base = base or Base.default()
        self._tokenizer = tokens.load(base.tokenizer_json)
        self._rows = base.embeddings() * np.exp(base.log_weight)[:, np.newaxis]  # [V, D]
        self._lengths: list[float] = np.linalg.norm(self._rows, axis=1).tolist()  # [V]
        self.width = self._rows.shape[1]

    def sense(self, text: str) -> Sense:
        """What a text means; without tokens the vector is zero."""
        ids = self._tokenizer.encode(text)
        total = self._rows[ids].sum(0)
        vector: Vector = total / max(float(np.linalg.norm(total)), 1e-9)
        names = list(dict.fromkeys(ids.tolist()))
        order = tuple(token for token in names if self._lengths[token] >= MEANING)[:MOST_ORDERED]
        return Sense(vector, Marks.of(text), frozenset(names), order)

    def likeness(self, one: Sense, other: Sense) -> float:
        """One less the longest row of a token that only one has, at least 0."""
        lengths = self._lengths
        if one.order != other.order and self._swapped(one, other):
            return 0.0
        return max(0.0, 1 - max((lengths[token] for token in one.tokens ^ other.tokens), default=0.0))

    def _swapped(self, one: Sense, other: Sense) -> bool:
        """Whether two words of one kind stand in the other order."""
        places = {token: place for place, token in enumerate(other.order)}
        shared = [token for token in one.order if token in places]
        turned = [(a, b) for a, b in combinations(shared, 2) if places[a] > places[b]]
        return any(self._cosine(a, b) > LIKE for a, b in turned)

    def _cosine(self, a: int, b: int) -> float:
        return float(self._rows[a] @ self._rows[b]) / (self._lengths[a] * self._lengths[b])
