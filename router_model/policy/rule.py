"""What decides for one prompt: a pure function of probabilities and expected costs.

A rule knows nothing of prompts, clocks or stores: what it goes by beside its arguments, such as a price that
paces a budget or the tier that a conversation is on, is a value that it was built with. So it replays on
logs.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Rule(Protocol):
    """Chooses a tier; its ``str`` says in a few words by what."""

    def __call__(self, sufficiency: Sequence[float], usd: Sequence[float]) -> int:
        """Position of the tier.

        Args:
            sufficiency: probability that each tier is sufficient [K].
            usd: US dollars that the call is expected to cost at each tier [K].
        """
        ...


class Priced(NamedTuple):  # built for each request, which takes a frozen dataclass a microsecond longer
    """The tier of the greatest sufficiency less the price of what it costs in money and time.

    With ``price = 1 / worth``, an answer that suffices is worth ``worth`` dollars, and the rule picks what is
    expected to leave most of it.

    Attributes:
        price: in quality per US dollar, 0 or more.
        usd_per_second: what a second of waiting costs, 0 or more.
        seconds: that each tier is expected to take [K]; empty where time has no price.
    """

    price: float
    usd_per_second: float = 0.0
    seconds: tuple[float, ...] = ()

    def __call__(self, sufficiency: Sequence[float], usd: Sequence[float]) -> int:
        """As ``Rule``; of equal tiers the cheaper one."""
        price, usd_per_second, seconds = self
        waiting = price * usd_per_second
        best, best_value, k = 0, -1e300, 0
        for probability in sufficiency:
            value = probability - price * usd[k]
            if waiting:
                value -= waiting * seconds[k]
            if value > best_value:
                best, best_value = k, value
            k += 1  # noqa: SIM113  # enumerate builds a pair for each tier
        return best

    def __str__(self) -> str:
        time = f", a second {self.usd_per_second:g} dollars" if self.usd_per_second else ""
        return f"a dollar is {self.price:g} of quality{time}"
