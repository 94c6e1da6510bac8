"""What one budget's period has seen, as one worker knows it, and what it still allows."""

from dataclasses import dataclass

Place = tuple[str, float]  # a budget's name, such as "tenant:acme:day", and when its period began

DUST = 1e-12  # US dollars: less than any call costs, more than sums of floats are off by


@dataclass(slots=True)
class Ledger:
    """One budget in one period; all amounts in US dollars.

    Attributes:
        usd: the bound.
        seen: spent by all, as last read from where it is kept.
        others: reserved by the other workers, as last read.
        workers: that share the budget, as last read, this one among them.
        sent: an amount that is on its way there, under ``sequence``; 0 where none is.
        unsent: spent since.
        sequence: of the last amount that was sent; each counts once.
        reserved: by this worker's requests in flight.
        in_flight: how many they are.
    """

    usd: float
    seen: float = 0.0
    others: float = 0.0
    workers: int = 1
    sent: float = 0.0
    unsent: float = 0.0
    sequence: int = 0
    reserved: float = 0.0
    in_flight: int = 0

    @property
    def spent(self) -> float:
        """Spent, as far as this worker knows."""
        return self.seen + self.sent + self.unsent

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight or on its way."""
        return not (self.in_flight or self.sent or self.unsent)

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
        cut off from the others, has an equal share of what was left.
        """
        own = self.sent + self.unsent
        left = self.usd - self.seen - self.others
        if alone:
            left /= self.workers
        if own + self.reserved <= left:
            return True
        others = self.others > DUST and not alone
        return self.in_flight == 1 and not others and own < left - DUST

    def send(self) -> None:
        """Put what was spent on its way, unless an earlier amount still is."""
        if not self.sent and self.unsent:
            self.sent, self.unsent = self.unsent, 0.0
            self.sequence += 1

    def arrived(self, seen: float, others: float, workers: int) -> None:
        """Take over what is known where it is kept; what was sent is part of it."""
        self.seen, self.others, self.workers, self.sent = seen, others, workers, 0.0
