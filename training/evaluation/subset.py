"""A router judged on some of its tiers, such as two of three where the data has models for two."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from router_model.decision import Decisions
from router_model.ladder import Ladder
from router_model.lengths import Lengths, Weights
from router_model.manifest import Manifest
from router_model.policy.curve import OperatingPoint

Floats = NDArray[np.float64]


def on_tiers(manifest: Manifest, ladder: Ladder) -> tuple[Manifest, NDArray[np.int64]]:
    """The manifest of the router that has the tiers of ``ladder`` alone, and their columns, int64 [M].

    Its rule is the same, over fewer tiers: sufficiency less the penalty times the relative cost. Where the
    guard picks tiers, the share of one that is gone goes to the next dearer one, which is no worse.
    Qualities and costs on the curve stay those of the whole ladder. What it weighs of answers' lengths is of
    the tiers that stay.

    Raises:
        LadderError: the router has no tier of such a name.
    """
    columns = np.array([manifest.ladder.index(name) for name in ladder.names])  # [M]
    costs = np.array(manifest.relative_cost)[columns]  # [M]
    restricted = replace(
        manifest,
        ladder=ladder,
        relative_cost=tuple((costs / costs[-1]).tolist()),
        output_tokens=tuple(manifest.output_tokens[k] for k in columns),
        curve=tuple(_restricted(point, columns, float(costs[-1])) for point in manifest.curve),
        certificate=None,  # it promises nothing of fewer tiers
        lengths=manifest.lengths and _lengths(manifest.lengths, columns, float(costs[-1])),
    )
    return restricted, columns


def _lengths(lengths: Lengths, columns: NDArray[np.int64], dearest: float) -> Lengths:
    def kept(values: Sequence[float], over: float = 1.0) -> tuple[float, ...]:
        return tuple((np.array(values)[columns] / over).tolist())

    weights = lengths.weights and Weights(
        kept(lengths.weights.per_character, dearest),
        kept(lengths.weights.per_answer, dearest),
        kept(lengths.weights.per_token, dearest),
    )
    probes = tuple(kept(tokens) for tokens in lengths.probes)
    return Lengths(kept(lengths.offset), kept(lengths.scale), probes, weights)


def _restricted(point: OperatingPoint, columns: NDArray[np.int64], dearest: float) -> OperatingPoint:
    heir = np.minimum(np.searchsorted(columns, np.arange(len(point.shares))), len(columns) - 1)  # [K]
    shares = np.bincount(heir, point.shares, minlength=len(columns))  # [M]
    return replace(point, penalty=point.penalty * dearest, shares=tuple(shares.tolist()))


def own_cost(said: Decisions, manifest: Manifest, columns: NDArray[np.int64] | None = None) -> Floats | None:
    """Relative costs [N, K] of each prompt, where the router weighs these; ``columns`` are its tiers of K."""
    if said.output_tokens is None or manifest.lengths is None or manifest.lengths.weights is None:
        return None
    tokens = said.output_tokens if columns is None else said.output_tokens[:, columns]
    return manifest.lengths.weights.costs(said.characters, tokens)
