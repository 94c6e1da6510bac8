"""What an artifact knows of answers' lengths: how its graph's ``output_tokens`` become expected costs.

The graph says how long each tier's answer to this prompt typically is: half of such answers are shorter. The
mean is what a bill adds up, and lies above it. So expected tokens are a line through the typical ones, fitted
on rows that the head had not seen, whose mean is the mean of the answers.

N: prompts, K: tiers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from router_model.text import MAX_ASCII_CHARACTERS

MOST_CHARACTERS = MAX_ASCII_CHARACTERS  # that the router reads, as its probabilities know of no more


@dataclass(frozen=True)  # without slots, where _rows could not be kept
class Weights:
    """A prompt's own expected costs, in mean costs of the strongest tier, as the operating curve weighs them.

    They are of the prices that the curve was measured at, and stay so when a ladder is repriced. Of a longer
    prompt than ``MOST_CHARACTERS`` no more are counted: as dear as it is, a dial is a share of what the
    strongest tier would give on it too, and not of what that gave on the short ones of training.

    Attributes:
        per_character: of the prompt, 0 or more [K].
        per_answer: whatever its length, 0 or more [K].
        per_token: of ``output_tokens``, 0 or more [K].
    """

    per_character: tuple[float, ...]
    per_answer: tuple[float, ...]
    per_token: tuple[float, ...]

    def choose(self, outputs: Sequence[float], penalty: float, characters: int) -> int:
        """Position of the tier of the greatest sufficiency less the penalty times the prompt's relative cost.

        Args:
            outputs: sufficiency [K], then typical tokens [K].
            penalty: in quality per unit of relative cost, 0 or more.
            characters: of the prompt.
        """
        if characters > MOST_CHARACTERS:
            characters = MOST_CHARACTERS
        place = len(self.per_answer)  # of the first tier's tokens
        best, best_value, k = 0, -1e300, 0
        for per_answer, per_character, per_token in self._rows:  # as in Policy.choose
            cost = per_answer + per_character * characters + per_token * outputs[place]
            value = outputs[k] - penalty * cost
            if value > best_value:
                best, best_value = k, value
            k += 1  # noqa: SIM113  # enumerate builds a pair for each tier
            place += 1
        return best

    @cached_property
    def _rows(self) -> tuple[tuple[float, float, float], ...]:
        return tuple(zip(self.per_answer, self.per_character, self.per_token, strict=True))

    def costs(self, characters: NDArray[np.int64], output_tokens: NDArray[np.float32]) -> NDArray[np.float64]:
        """Relative costs of each prompt: int64 [N], typical tokens float32 [N, K] -> float64 [N, K]."""
        told = (
            np.outer(np.minimum(characters, MOST_CHARACTERS), self.per_character)
            + np.array(self.per_token) * output_tokens
        )
        costs: NDArray[np.float64] = told + np.array(self.per_answer)
        return costs


@dataclass(frozen=True, slots=True)
class Lengths:
    """Expected tokens are ``offset + scale * output_tokens``.

    Attributes:
        offset: tokens, 0 or more [K].
        scale: 0 or more [K]; 0 where a tier's answers show no pattern, or none was logged.
        probes: ``output_tokens`` that each of the artifact's probes must give [K].
        weights: what the operating curve weighs in place of mean costs; None where it weighs these.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]
    probes: tuple[tuple[float, ...], ...]
    weights: Weights | None = None
