"""Fully observed records to logs as traffic leaves them: one model answers a request, some are marked.

Who answers is drawn by a known logging policy, so that what is learnt or estimated from the logs can be held
against the truth. N: records, K: tiers.
"""

import dataclasses
import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from router_model.data.records import Record, to_row
from router_model.errors import ConfigError, DataError
from router_model.files import replace_file
from router_model.ladder import Ladder

Floats = NDArray[np.float64]
CONSTANT = "constant:"
T = TypeVar("T")


@dataclass(frozen=True)
class Logging:
    """How the logs come about.

    Attributes:
        policy: "length", the longer the prompt the stronger the tier, in K shares of equal size;
            "random", every tier alike; "constant:TIER", always that one.
        exploration: share of requests, in [0, 1], whose tier is drawn uniformly from all instead.
        feedback: probability in [0, 1] that an answer's outcome is known.
        noise: probability in [0, 1] that a known outcome o is logged as 1 - o.
        hide_propensity: leave the propensity out, as logs do that never knew it.
        seed: of all draws. Each request has draws of its own for choice, feedback and noise, so that two
            simulations that differ in one of the three share the draws of the others.

    Raises:
        ConfigError: a share outside [0, 1], or an unknown policy.
    """

    policy: str = "length"
    exploration: float = 0.1
    feedback: float = 1.0
    noise: float = 0.0
    hide_propensity: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("exploration", "feedback", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"--{name} {getattr(self, name)}: give a share from 0 to 1")
        if self.policy not in ("length", "random") and not self.policy.startswith(CONSTANT):
            raise ConfigError(f"--policy {self.policy!r:.80}: give length, random or constant:TIER")


@dataclass(frozen=True)
class Simulated:
    """What ``simulate`` did.

    Attributes:
        out: the log.
        rows: requests in it.
        left_out: records that do not tell how every tier did.
        marked: requests whose outcome the log holds.
        tiers: requests that each tier answered, by name.
    """

    out: str
    rows: int
    left_out: int
    marked: int
    tiers: dict[str, int]


def simulate(
    records: Sequence[Record], ladder: Ladder, out: str | Path, how: Logging | None = None
) -> Simulated:
    """Write the log of ``records`` to ``out``, JSON Lines, compressed where the name ends in ".gz".

    Raises:
        DataError: no record tells how every tier did.
        LadderError: the constant policy's tier is not in the ladder.
        FileError: ``out`` cannot be written.
    """
    known = observed(records, ladder)
    logged = log(known, ladder, how or Logging())
    lines = (json.dumps(to_row(record), ensure_ascii=False, default=str) + "\n" for record in logged)
    # A lone surrogate becomes the escape that JSON has for it.
    content = "".join(lines).encode("utf-8", "backslashreplace")
    replace_file(out, gzip.compress(content, mtime=0) if str(out).endswith(".gz") else content)
    counts = Counter(ladder.index_of_model(record.model or "") for record in logged)
    return Simulated(
        out=str(out),
        rows=len(logged),
        left_out=len(records) - len(known),
        marked=sum(bool(record.outcomes) for record in logged),
        tiers={name: counts[k] for k, name in enumerate(ladder.names)},
    )


def observed(records: Sequence[Record], ladder: Ladder) -> list[Record]:
    """The records that tell how every tier did.

    Raises:
        DataError: there is none.
    """
    known = [record for record in records if None not in _models(record, ladder)]
    if not known:
        raise DataError(
            "no record has an outcome for each tier of the ladder, so nothing is known to simulate from; "
            "give records of which every tier's model answered, or mend the ladder's model names"
        )
    return known


def log(records: Sequence[Record], ladder: Ladder, how: Logging) -> list[Record]:
    """What a log would hold of fully observed records: one model's answer each, with its true propensity."""
    lengths = np.array([record.prompt.characters for record in records], np.float64)
    chances = probabilities(lengths, ladder, how)  # [N, K]
    draws = np.random.default_rng(how.seed).random((3, len(records)))
    tiers = choose(chances, draws[0])
    marked, flipped = draws[1] < how.feedback, draws[2] < how.noise
    logged = []
    for row, record in enumerate(records):
        model = _models(record, ladder)[tiers[row]] or ""
        outcome = record.outcomes[model]
        logged.append(
            dataclasses.replace(
                record,
                best_tier=None,
                preference=None,
                model=model,
                propensity=None if how.hide_propensity else float(chances[row, tiers[row]]),
                outcomes={model: 1 - outcome if flipped[row] else outcome} if marked[row] else {},
                feedback={},
                answers=_of(record.answers, model),
                cost_usd=_of(record.cost_usd, model),
                output_tokens=_of(record.output_tokens, model),
                latency_ms=_of(record.latency_ms, model),
            )
        )
    return logged


def probabilities(lengths: Floats, ladder: Ladder, how: Logging) -> Floats:
    """Probability that each tier is chosen for prompts of these lengths: [N] -> [N, K], rows summing to 1."""
    tiers, policy = len(ladder), how.policy
    if policy == "random":
        return np.full((len(lengths), tiers), 1 / tiers)
    if policy == "length":
        bounds = np.quantile(lengths, np.arange(1, tiers) / tiers)  # [K - 1]
        ruled = np.searchsorted(bounds, lengths)  # [N], prompts of one length share a tier
    else:
        ruled = np.full(len(lengths), ladder.index(policy.removeprefix(CONSTANT)))
    chances = np.full((len(lengths), tiers), how.exploration / tiers)
    chances[np.arange(len(lengths)), ruled] += 1 - how.exploration
    return chances


def choose(chances: Floats, draws: Floats) -> NDArray[np.int64]:
    """The tier of each row, int64 [N], by draws from [0, 1): [N, K], [N]; never one of probability 0."""
    # Sums may fall short of 1 by a rounding: the last tier that can be chosen takes the rest.
    last = chances.shape[1] - 1 - np.argmax(chances[:, ::-1] > 0, axis=1)
    passed = (np.cumsum(chances, axis=1) <= draws[:, np.newaxis]).sum(axis=1)
    chosen: NDArray[np.int64] = np.minimum(passed, last)
    return chosen


def _models(record: Record, ladder: Ladder) -> list[str | None]:
    """For each tier the first of its models that the record has an outcome for."""
    return [next((model for model in tier.models if model in record.outcomes), None) for tier in ladder.tiers]


def _of(by_model: Mapping[str, T], model: str) -> dict[str, T]:
    return {model: by_model[model]} if model in by_model else {}
