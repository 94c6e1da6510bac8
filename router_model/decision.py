"""What the router chose, one by one and in a batch, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.offer import Offer
from router_model.policy.curve import OperatingPoint
from router_model.policy.rule import Rule


class Decision:
    """What the router chose for one request, and why: it holds what was computed and derives the rest."""

    # No dataclass: a frozen one takes a microsecond longer to build, a twentieth of a decision.
    __slots__ = (
        "_by",
        "_characters",
        "_chosen",
        "_input_tokens",
        "_offers",
        "_outputs",
        "_truncated",
    )

    def __init__(
        self,
        offers: Sequence[Offer],
        chosen: int,
        outputs: Sequence[float],
        characters: int,
        input_tokens: float,
        truncated: bool,
        by: OperatingPoint | Rule,
    ) -> None:
        self._offers = offers
        self._chosen = chosen
        self._outputs = outputs  # sufficiency [K], then output tokens [K] where the router knows them
        self._characters = characters
        self._input_tokens = input_tokens
        self._truncated = truncated
        self._by = by

    @property
    def tier(self) -> str:
        """Name of the tier."""
        return self._offers[self._chosen].tier.name

    @property
    def model(self) -> str:
        """The first model of the tier."""
        return self._offers[self._chosen].tier.models[0]

    @property
    def sufficiency(self) -> dict[str, float]:
        """Probability that each tier is sufficient, by name."""
        return {offer.tier.name: p for offer, p in zip(self._offers, self._outputs, strict=False)}

    @property
    def expected_quality(self) -> float:
        """Probability that the chosen tier is sufficient."""
        return self._outputs[self._chosen]

    @property
    def expected_cost_usd(self) -> float:
        """US dollars that the call is expected to cost, by ``input_tokens`` and the answer's.

        The answer's length is what the router expects of this prompt, where it learnt lengths, and else the
        tier's mean.
        """
        place = len(self._offers) + self._chosen
        tokens = self._outputs[place] if place < len(self._outputs) else 0.0
        return self._offers[self._chosen].usd(self._input_tokens, tokens)

    @property
    def output_tokens(self) -> dict[str, float] | None:
        """Tokens of each tier's typical answer to this prompt, by name; None where the router knows none."""
        tokens = self._outputs[len(self._offers) :]
        if not tokens:
            return None
        return {offer.tier.name: n for offer, n in zip(self._offers, tokens, strict=True)}

    @property
    def characters(self) -> int:
        """Length of the prompt."""
        return self._characters

    @property
    def input_tokens(self) -> float:
        """Tokens of the request: those that ``route`` was told, or a quarter of the text's characters."""
        return self._input_tokens

    @property
    def truncated(self) -> bool:
        """Whether the text was longer than the window that the router reads."""
        return self._truncated

    @property
    def point(self) -> OperatingPoint | None:
        """The operating point that decided, with what it gave on held-out rows; None where a rule did."""
        return self._by if isinstance(self._by, OperatingPoint) else None

    @property
    def why(self) -> str:
        """The reason in one line, for people."""
        point = self.point
        named = f"{point.dial}={point.value:g}" if point else str(self._by)
        if point and point.rule == "fixed":
            return f"{named}: {point.note or 'a fixed choice of tiers'}"
        return f"{named}: best value, with P({self.tier} is sufficient) = {self.expected_quality:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain data, as the command line prints it."""
        return {
            "tier": self.tier,
            "model": self.model,
            "sufficiency": self.sufficiency,
            "expected_quality": self.expected_quality,
            "expected_cost_usd": self.expected_cost_usd,
            "truncated": self.truncated,
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return (self.to_dict(), self._by) == (other.to_dict(), other._by)

    __hash__ = None  # type: ignore[assignment]  # it compares by what it holds, a dict among it

    def __repr__(self) -> str:
        return f"<Decision {self.tier} ({self.why})>"


@dataclass(frozen=True, slots=True)
class Decisions(Sequence[Decision]):
    """The decisions of a batch of N requests as arrays; indexing gives the ``Decision`` of one.

    Attributes:
        offers: the tiers that ``tier`` counts.
        tier: int64 [N], position in the ladder.
        sufficiency: float32 [N, K].
        characters: int64 [N], length of the texts.
        input_tokens: float64 [N], as of one ``Decision``.
        truncated: bool [N].
        by: the operating point or the rule that decided.
        output_tokens: float32 [N, K], tokens of each tier's typical answer; None where the router knows none.
    """

    offers: tuple[Offer, ...]
    tier: NDArray[np.int64]
    sufficiency: NDArray[np.float32]
    characters: NDArray[np.int64]
    input_tokens: NDArray[np.float64]
    truncated: NDArray[np.bool_]
    by: OperatingPoint | Rule
    output_tokens: NDArray[np.float32] | None = None

    @property
    def point(self) -> OperatingPoint | None:
        """As of one ``Decision``."""
        return self.by if isinstance(self.by, OperatingPoint) else None

    @property
    def expected_cost_usd(self) -> NDArray[np.float64]:
        """float64 [N], as of one ``Decision``."""
        return self.expected_cost_at(self.tier)

    def expected_cost_at(self, tier: NDArray[np.int64]) -> NDArray[np.float64]:
        """float64 [N], US dollars had these tiers been chosen, int64 [N]."""
        prices = np.array([(o.usd_per_input_token, o.usd_per_answer, o.usd_per_token) for o in self.offers])
        cost: NDArray[np.float64] = self.input_tokens * prices[tier, 0] + prices[tier, 1]
        if self.output_tokens is not None:
            cost = cost + self.output_tokens[np.arange(len(tier)), tier] * prices[tier, 2]
        return cost

    def __len__(self) -> int:
        return len(self.tier)

    def __getitem__(self, position: int) -> Decision:  # type: ignore[override]  # a batch is not sliced
        outputs = self.sufficiency[position].tolist()
        if self.output_tokens is not None:
            outputs += self.output_tokens[position].tolist()
        return Decision(
            self.offers,
            int(self.tier[position]),
            outputs,
            int(self.characters[position]),
            float(self.input_tokens[position]),
            bool(self.truncated[position]),
            self.by,
        )

    def __iter__(self) -> Iterator[Decision]:
        return (self[position] for position in range(len(self)))
