"""The base encoder's file: a static table of token embeddings that training starts from.

One NumPy archive without pickles: ``table`` int8 [V, D], ``scale`` float32 [D] (a column's step),
``log_weight`` float32 [V] (natural logarithm of a token's weight in the mean), ``tokenizer`` uint8 (the
tokenizer's JSON), ``source`` uint8 (where the table comes from). It is built by ``router-model distill``;
the network is fitted on top of it, and serving never reads it.
"""

import io
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.errors import ArtifactCorruptError, ArtifactError, one_line
from router_model.files import read_file, replace_file

MAX_BASE_BYTES = 256 << 20
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
    """

    table: NDArray[np.int8]
    scale: NDArray[np.float32]
    log_weight: NDArray[np.float32]
    tokenizer_json: str
    source: str

    def embeddings(self) -> NDArray[np.float32]:
        """The table in floating point, float32 [V, D]."""
        return self.table.astype(np.float32) * self.scale

    @classmethod
    def default(cls) -> "Base":
        """The base that ships: all-MiniLM-L6-v2, distilled."""
        return cls._parse(files("router_model").joinpath("minilm.npz").read_bytes(), "minilm.npz")

    @classmethod
    def read(cls, path: str | Path) -> "Base":
        """Read a base of at most 256 MiB.

        Raises:
            FileError: missing or too large.
            ArtifactError: not a base encoder.
        """
        return cls._parse(read_file(path, MAX_BASE_BYTES), str(path))

    @classmethod
    def _parse(cls, raw: bytes, name: str) -> "Base":
        try:
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                if sum(member.file_size for member in archive.infolist()) > MAX_BASE_BYTES:
                    raise ArtifactError(f"{name}: unpacks to more than {MAX_BASE_BYTES} bytes; {CURE}")
            with np.load(io.BytesIO(raw), allow_pickle=False) as members:
                if set(members.files) != MEMBERS:
                    raise ArtifactError(f"{name}: not a base encoder; {CURE}")
                base = cls(
                    table=members["table"],
                    scale=members["scale"],
                    log_weight=members["log_weight"],
                    tokenizer_json=members["tokenizer"].tobytes().decode("utf-8"),
                    source=members["source"].tobytes().decode("utf-8"),
                )
        except ArtifactError:
            raise
        except Exception as error:  # NumPy, zipfile, zlib and tokenize each raise their own
            raise ArtifactCorruptError(
                f"{name}: not readable as a base encoder: {one_line(error)}; copy the file again"
            ) from None
        base._check(name)
        return base

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
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            table=self.table,
            scale=self.scale,
            log_weight=self.log_weight,
            tokenizer=np.frombuffer(self.tokenizer_json.encode(), np.uint8),
            source=np.frombuffer(self.source.encode(), np.uint8),
        )
        replace_file(path, buffer.getvalue())
