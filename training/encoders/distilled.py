"""What encoders over the base encoder's table of tokens have in common."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from router_model.base import Base
from router_model.learned import Learned
from router_model.prompt import Prompt
from router_model.training.dataset import Encoded, encode
from router_model.training.evaluation.embeddings import frozen


@dataclass(frozen=True)
class Distilled:
    """An encoder that reads tokens by the rows of ``base``, of each prompt at most ``max_tokens``."""

    base: Base
    max_tokens: int = 512
    frame: ClassVar[None] = None

    @property
    def source(self) -> str:
        """The model that the table was distilled from."""
        return self.base.source

    @property
    def tokenizer_json(self) -> str:
        """That of the base."""
        return self.base.tokenizer_json

    @property
    def learned(self) -> Learned | None:
        """What comes with the base."""
        return self.base.learned

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the base and what was learnt on it."""
        learned = self.learned.digest() if self.learned else None
        return hashlib.sha256(repr((self.base.source, self.base.digest(), learned)).encode()).hexdigest()

    def encode(self, prompts: Sequence[Prompt]) -> Encoded:
        """Their tokens."""
        return encode(prompts, self.tokenizer_json, self.max_tokens)

    def embeddings(self, encoded: Encoded) -> NDArray[np.float64]:
        """The weighted means of the tokens' rows, float64 [N, D]."""
        return frozen(encoded.ids, self.base)
