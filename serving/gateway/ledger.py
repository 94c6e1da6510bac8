"""What one budget's period has seen, as one worker knows it, and what it still allows."""

from dataclasses import dataclass, field

Place = tuple[str, float]  # a budget's name, such as "tenant:acme:day", and when its period began

DUST = 1e-12  # US dollars: less than any call costs, more than sums of floats are off by


@dataclass(slots=True)
class Ledger:
    """One budget in one period; all amounts in US dollars.

    Attributes:
        usd: the bound.
        spent: by this worker.
        told: of these, what the others know.
        elsewhere: spent by others, as last heard.
        reserved: by this worker's requests in flight.
        in_flight: how many they are.
        published: of ``reserved``, what the others know.
        others_reserved: by those of the others, as last heard.
        workers: that share the budget, as last heard, this one among them.
        by_worker: what ``elsewhere`` is the sum of, as of the last second, to tell a store that lost it.
    """

    usd: float
    spent: float = 0.0
    told: float = 0.0
    elsewhere: float = 0.0
    reserved: float = 0.0
    in_flight: int = 0
    published: float = 0.0
    others_reserved: float = 0.0
    workers: int = 1
    by_worker: dict[str, float] = field(default_factory=dict)

    @property
    def all_spent(self) -> float:
        """Spent by all, as far as this worker knows."""
        return self.spent + self.elsewhere

    @property
    def news(self) -> bool:
        """Whether there is something that the others do not know."""
        return self.spent != self.told or self.reserved != self.published

    def hold(self, worst: float) -> None:
        """Reserve the most that a request may cost."""
        self.reserved += worst
        self.in_flight += 1

    def release(self, worst: float) -> None:
        """Give back what was reserved."""
        self.in_flight -= 1
        self.reserved = self.reserved - worst if self.in_flight else 0.0  # no rounding error stays

    def fits(self, *, alone: bool) -> bool:
        """Whether the request that was held last may go.

        Either all that is reserved fits under the bound, or nothing else is in flight and the bound is not
        reached: so all of it can be spent, and one request at most passes it. A worker that is ``alone``,
        cut off from the others, has an equal share of what was left when it last heard.
        """
        left = self.usd - self.elsewhere - self.others_reserved - self.told
        if alone:
            left /= self.workers
        since = self.spent - self.told
        if since + self.reserved <= left:
            return True
        others = self.others_reserved > DUST and not alone
        return self.in_flight == 1 and not others and since < left - DUST
