"""What the router chose, one by one and in a batch, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.ladder import Tier
from router_model.policy.curve import OperatingPoint
from router_model.policy.rule import Rule


@dataclass(frozen=True, slots=True)
class Offer:
    """A tier as decisions need it.

    Attributes:
        tier: the tier.
        usd_per_character: of the prompt.
        usd_per_answer: of an answer of the tier's mean length.
    """

    tier: Tier
    usd_per_character: float
    usd_per_answer: float

    def usd(self, characters: int) -> float:
        """US dollars that a call with a prompt of so many characters is expected to cost."""
        return characters * self.usd_per_character + self.usd_per_answer


class Decision:
    """What the router chose for one request, and why: it holds what was computed and derives the rest."""

    # No dataclass: a frozen one takes a microsecond longer to build, a twentieth of a decision.
    __slots__ = ("_by", "_characters", "_chosen", "_offers", "_sufficiency", "_truncated")

    def __init__(
        self,
        offers: Sequence[Offer],
        chosen: int,
        sufficiency: Sequence[float],
        characters: int,
        truncated: bool,
        by: OperatingPoint | Rule,
    ) -> None:
        self._offers = offers
        self._chosen = chosen
        self._sufficiency = sufficiency
        self._characters = characters
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
        return {offer.tier.name: p for offer, p in zip(self._offers, self._sufficiency, strict=True)}

    @property
    def expected_quality(self) -> float:
        """Probability that the chosen tier is sufficient."""
        return self._sufficiency[self._chosen]

    @property
    def expected_cost_usd(self) -> float:
        """US dollars that the call is expected to cost, by the text's length and the mean answer's."""
        return self._offers[self._chosen].usd(self._characters)

    @property
    def characters(self) -> int:
        """Length of the prompt."""
        return self._characters

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
        truncated: bool [N].
        by: the operating point or the rule that decided.
    """

    offers: tuple[Offer, ...]
    tier: NDArray[np.int64]
    sufficiency: NDArray[np.float32]
    characters: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    by: OperatingPoint | Rule

    @property
    def point(self) -> OperatingPoint | None:
        """As of one ``Decision``."""
        return self.by if isinstance(self.by, OperatingPoint) else None

    @property
    def expected_cost_usd(self) -> NDArray[np.float64]:
        """float64 [N], as of one ``Decision``."""
        prices = np.array([(offer.usd_per_character, offer.usd_per_answer) for offer in self.offers])
        cost: NDArray[np.float64] = self.characters * prices[self.tier, 0] + prices[self.tier, 1]
        return cost

    def __len__(self) -> int:
        return len(self.tier)

    def __getitem__(self, position: int) -> Decision:  # type: ignore[override]  # a batch is not sliced
        return Decision(
            self.offers,
            int(self.tier[position]),
            self.sufficiency[position].tolist(),
            int(self.characters[position]),
            bool(self.truncated[position]),
            self.by,
        )

    def __iter__(self) -> Iterator[Decision]:
        return (self[position] for position in range(len(self)))
