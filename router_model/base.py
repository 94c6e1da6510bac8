"""The base encoder's file: a static table of token embeddings that training starts from.

One NumPy archive without pickles: ``table`` int8 [V, D], ``scale`` float32 [D] (a column's step),
``log_weight`` float32 [V] (natural logarithm of a token's weight in the mean), ``tokenizer`` uint8 (the
tokenizer's JSON), ``source`` uint8 (where the table comes from). It is built by ``router-model distill``;
the network is fitted on top of it, and serving never reads it.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.archive import MAX_ARCHIVE_BYTES, pack, spelled, text, unpack
from router_model.errors import ArtifactCorruptError, ArtifactError
from router_model.files import read_file
from router_model.learned import LEARNED, Learned

DEFAULT = "default"
CURE = "make one with router-model distill"
MEMBERS = {"table", "scale", "log_weight", "tokenizer", "source"}


@dataclass(frozen=True)
class Base:
    """A static encoder: the embedding of a text is the weighted mean of its tokens' rows.

    Attributes:
        table: int8 [V, D]; row ``t`` times ``scale`` is the embedding of token ``t``.
        scale: float32 [D].
        log_weight: float32 [V]; natural logarithm of each token's weight in the mean.
        tokenizer_json: the tokenizer file, whole.
        source: the name of the model it was distilled from.
        learned: what a router learnt on it, where training goes on from there.
    """

    table: NDArray[np.int8]
    scale: NDArray[np.float32]
    log_weight: NDArray[np.float32]
    tokenizer_json: str
    source: str
    learned: Learned | None = None

    def embeddings(self) -> NDArray[np.float32]:
        """The table in floating point, float32 [V, D]."""
        return self.table.astype(np.float32) * self.scale

    @classmethod
    def default(cls) -> "Base":
        """The base that ships: all-MiniLM-L6-v2, distilled."""
        return cls._parse(files("router_model").joinpath("minilm.npz").read_bytes(), "minilm.npz")

    @classmethod
    def find(cls, name: str | Path) -> "Base":
        """What ``--base`` names: a file, or "default", the base that ships with what its router learnt."""
        if str(name) == DEFAULT:
            return cls.default().taught(Learned.default())
        return cls.read(name)

    @classmethod
    def read(cls, path: str | Path) -> "Base":
        """Read a base of at most 256 MiB; a file of what a router learnt comes with the base that ships.

        Raises:
            FileError: missing or too large.
            ArtifactError: not a base encoder, or what was learnt on another one than the one that ships.
        """
        return cls._parse(read_file(path, MAX_ARCHIVE_BYTES), str(path))

    @classmethod
    def _parse(cls, raw: bytes, name: str) -> "Base":
        members = unpack(raw, name, "a base encoder", CURE)
        if set(members) == LEARNED:
            return cls.default().taught(Learned.parse(raw, name))
        if set(members) != MEMBERS:
            raise ArtifactError(f"{name}: not a base encoder; {CURE}")
        base = cls(
            table=members["table"],
            scale=members["scale"],
            log_weight=members["log_weight"],
            tokenizer_json=text(members["tokenizer"], name),
            source=text(members["source"], name),
        )
        base._check(name)
        return base

    def taught(self, learned: Learned) -> "Base":
        """This base with what a router learnt on it; raises ArtifactError where that was another base."""
        if learned.base != self.digest():
            raise ArtifactError(
                f"{learned.source}: was learnt on another base encoder; train it again on this one"
            )
        return dataclasses.replace(self, learned=learned)

    def digest(self) -> str:
        """SHA-256 of table, scale and weights, in hexadecimal."""
        digest = hashlib.sha256()
        for array in (self.table, self.scale, self.log_weight):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _check(self, name: str) -> None:
        expected = {"table": (np.int8, 2), "scale": (np.float32, 1), "log_weight": (np.float32, 1)}
        for member, (dtype, ndim) in expected.items():
            array = getattr(self, member)
            if array.dtype != dtype or array.ndim != ndim:
                found = f"{member} is {array.dtype} of {array.ndim} dimensions"
                raise ArtifactCorruptError(f"{name}: {found}; {CURE}")
        if (self.log_weight.size, self.scale.size) != self.table.shape or 0 in self.table.shape:
            raise ArtifactCorruptError(f"{name}: table, scale and log_weight do not fit together; {CURE}")
        if not (np.isfinite(self.scale).all() and np.isfinite(self.log_weight).all()):
            raise ArtifactCorruptError(f"{name}: scale or log_weight holds what is not finite; {CURE}")

    def write(self, path: str | Path) -> None:
        """Write the file whole or not at all; raises FileError."""
        members: dict[str, NDArray[Any]] = {
            "table": self.table,
            "scale": self.scale,
            "log_weight": self.log_weight,
            "tokenizer": spelled(self.tokenizer_json),
            "source": spelled(self.source),
        }
        pack(path, members)
