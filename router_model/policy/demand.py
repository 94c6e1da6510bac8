"""What requests of each half-hour of a day would cost at each of a few prices, learnt from a sample.

The mix of requests changes with the hour: by night they may be cheap ones, of which no price makes dear ones.
So a budget is not spread evenly over requests but as one price would spend it, for which one has to know what
each half-hour would spend at that price. The prices are those of ``LEVELS`` (pace.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import expm1, isfinite

from router_model.policy.rule import Priced

LEVELS = tuple(step / 2 for step in range(16))
FEWEST = 5  # requests of a half-hour before what they would cost counts
LEAST_WEIGHT = 0.3  # of the newest day
MOST_USD = 1e9

Costs = tuple[float, ...]  # US dollars of a request at each level [L], falling


@dataclass(frozen=True, slots=True)
class Demand:
    """What is known of the costs of a usual day, and today's sample so far.

    Attributes:
        usual: mean costs of a request of each slot [S]; empty where no day was seen.
        counts: requests sampled today, by slot [S].
        sums: of their costs [S, L].

    Raises:
        ValueError: no such costs.
    """

    usual: tuple[Costs, ...] = ()
    counts: tuple[int, ...] = ()
    sums: tuple[Costs, ...] = ()

    def __post_init__(self) -> None:
        for costs in self.usual:
            if len(costs) != len(LEVELS) or not all(0 <= usd <= MOST_USD and isfinite(usd) for usd in costs):
                raise ValueError(f"a half-hour's demand has {len(LEVELS)} costs of at least 0")

    def sampled(
        self, slot: int, slots: int, scale: float, sufficiency: Sequence[float], usd: Sequence[float]
    ) -> "Demand":
        """With a request of ``slot`` out of ``slots``; its probabilities and expected costs [K]."""
        counts = self.counts or (0,) * slots
        sums = self.sums or ((0.0,) * len(LEVELS),) * slots
        costs = [usd[Priced(scale * expm1(level))(sufficiency, usd)] for level in LEVELS]
        summed = tuple(old + new for old, new in zip(sums[slot], costs, strict=True))
        return replace(
            self,
            counts=(*counts[:slot], counts[slot] + 1, *counts[slot + 1 :]),
            sums=(*sums[:slot], summed, *sums[slot + 1 :]),
        )

    @property
    def today(self) -> Costs:
        """Mean costs of a request of today; empty where too few were sampled."""
        whole = sum(self.counts)
        return tuple(sum(costs) / whole for costs in zip(*self.sums, strict=True)) if whole >= FEWEST else ()

    def after(self) -> "Demand":
        """What is known once today is over."""
        mean = self.today
        if not mean:
            return Demand(self.usual)
        usual = []
        for slot, (count, sums) in enumerate(zip(self.counts, self.sums, strict=True)):
            old = self.usual[slot] if self.usual else None
            if count < FEWEST:
                usual.append(old or mean)
                continue
            weight = LEAST_WEIGHT if old else 1.0
            pairs = zip(old or mean, sums, strict=True)
            usual.append(tuple(before + weight * (new / count - before) for before, new in pairs))
        return Demand(tuple(usual))


def spread(usd: float, costs: Sequence[float], now: Costs) -> float:
    """What a request may cost now, so that ``usd`` US dollars are spent as one price would spend them.

    Never less than it costs at the highest price: that cannot be saved, and a price that tried would rise
    without end and be hours on its way back.

    Args:
        costs: of all requests that are expected, this one among them, at each level [L].
        now: of a request at each level.
    """
    if usd >= costs[0]:
        return now[0] * usd / costs[0] if costs[0] else usd
    for level in range(1, len(costs)):
        if costs[level] <= usd:
            part = (costs[level - 1] - usd) / (costs[level - 1] - costs[level])
            return now[level - 1] + part * (now[level] - now[level - 1])
    return now[-1]
