"""What a router learnt on top of its base encoder: small, and what training goes on from with few rows.

One NumPy archive without pickles, numbers as float16, written by ``router-model train --learned``. Serving
never reads it. V: vocabulary, P: ids of pairs, D: base columns, F: features, H: hidden units, K: tiers.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.archive import pack, spelled, text, unpack
from router_model.errors import ArtifactCorruptError, ArtifactError

CURE = "write one with router-model train --learned"
Floats = NDArray[np.float32]
DIMENSIONS = {
    "token": 1,
    "wide": 2,
    "wide_features": 2,
    "hidden": 2,
    "hidden_bias": 1,
    "head": 2,
    "bias": 1,
    "feature_mean": 1,
    "feature_deviation": 1,
}
LEARNED = {*DIMENSIONS, "base", "source"}


@dataclass(frozen=True)
class Learned:
    """The parameters of a fitted network, its calibration folded in: its logits are those of probabilities.

    Attributes:
        token: float32 [V + P], log weights.
        wide: float32 [V + P, K].
        wide_features: float32 [K, F].
        hidden: float32 [H, D + F], the units that say most first.
        hidden_bias: float32 [H].
        head: float32 [K, H].
        bias: float32 [K].
        feature_mean: float32 [F].
        feature_deviation: float32 [F]; 0 for a feature that was constant, which then has no weights.
        base: ``Base.digest`` of the base that it was learnt on.
        source: what it was learnt from, for the record.
    """

    token: Floats
    wide: Floats
    wide_features: Floats
    hidden: Floats
    hidden_bias: Floats
    head: Floats
    bias: Floats
    feature_mean: Floats
    feature_deviation: Floats
    base: str
    source: str

    @classmethod
    def default(cls) -> "Learned":
        """What ``Router.default()`` learnt."""
        return cls.parse(files("router_model").joinpath("default.npz").read_bytes(), "default.npz")

    @classmethod
    def parse(cls, raw: bytes, name: str) -> "Learned":
        """Read and check; raises ArtifactError."""
        members = unpack(raw, name, "what a router learnt", CURE)
        if set(members) != LEARNED:
            raise ArtifactError(f"{name}: not what a router learnt; {CURE}")
        for member, ndim in DIMENSIONS.items():
            array = members[member]
            if array.dtype != np.float16 or array.ndim != ndim or not np.isfinite(array).all():
                raise ArtifactCorruptError(
                    f"{name}: {member} is no float16 array of {ndim} dimensions, all finite; {CURE}"
                )
        floats = {member: members[member].astype(np.float32) for member in DIMENSIONS}
        learned = cls(**floats, base=text(members["base"], name), source=text(members["source"], name))
        learned._check(name)
        return learned

    def _check(self, name: str) -> None:
        (ids, tiers), features, units = self.wide.shape, self.feature_mean.size, self.hidden_bias.size
        columns = self.hidden.shape[1]
        expected = {
            "token": (ids,),
            "wide_features": (tiers, features),
            "hidden": (units, columns),
            "head": (tiers, units),
            "bias": (tiers,),
            "feature_deviation": (features,),
        }
        for member, shape in expected.items():
            if getattr(self, member).shape != shape or 0 in shape or tiers < 2:
                raise ArtifactCorruptError(f"{name}: {member} does not fit the other arrays; {CURE}")

    def digest(self) -> str:
        """SHA-256 of the numbers, in hexadecimal."""
        digest = hashlib.sha256()
        for member in DIMENSIONS:
            digest.update(np.ascontiguousarray(getattr(self, member)).data)
        return digest.hexdigest()

    def write(self, path: str | Path) -> None:
        """Write the file whole or not at all; raises FileError."""
        numbers = {member: getattr(self, member).astype(np.float16) for member in DIMENSIONS}
        pack(path, numbers | {"base": spelled(self.base), "source": spelled(self.source)})

    def for_tiers(self, count: int) -> "Learned":
        """The same on a ladder of ``count`` tiers: each has the logit at its place between the two ends."""
        place = np.linspace(0, len(self.bias) - 1, count)  # [count]
        mix = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(len(self.bias)))).astype(np.float32)
        return dataclasses.replace(
            self,
            wide=self.wide @ mix.T,
            wide_features=mix @ self.wide_features,
            head=mix @ self.head,
            bias=mix @ self.bias,
        )
