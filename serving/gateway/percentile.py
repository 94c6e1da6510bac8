"""Moving percentiles, and what a latency wish makes of them."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from math import ceil

from router_model.serving.gateway.config.latency import Latency

FEWEST_OUT = 20  # calls before a percentile counts against a provider: one slow call of five says nothing
FEWEST_BACK = 5  # probes before it counts for one that is out
PROBE_SECONDS = 10.0  # a provider that is out is asked once in so long, else nobody would see it recover


class Percentile:
    """A percentile of the last ``window`` values, exact, by nearest rank.

    Attributes:
        percentile: in (0, 100).
        window: values that count, the newest.
    """

    def __init__(self, percentile: float, window: int) -> None:
        self.percentile = percentile
        self.window = window
        self._in_time: deque[float] = deque()
        self._in_order: list[float] = []

    def __len__(self) -> int:
        return len(self._in_order)

    def add(self, value: float) -> None:
        """Take a value in, and the oldest out where there are too many."""
        self._in_time.append(value)
        insort(self._in_order, value)
        if len(self._in_time) > self.window:
            oldest = self._in_time.popleft()
            del self._in_order[bisect_left(self._in_order, oldest)]

    def value(self) -> float | None:
        """The percentile; none before the first value."""
        n = len(self._in_order)
        if n == 0:
            return None
        return self._in_order[max(0, ceil(self.percentile / 100 * n) - 1)]

    def clear(self) -> None:
        """Forget all values."""
        self._in_time.clear()
        self._in_order.clear()


class Standing:
    """Whether a provider meets the latency wish.

    It goes out where a percentile passes the wish. It is then asked once in ten seconds, and comes back when
    five of these calls are within the wish less the hysteresis: what it did before does not count any more,
    and what lies between the two bounds changes nothing.

    Attributes:
        config: may be replaced while it runs.
        clock: seconds that only grow.
    """

    def __init__(self, config: Latency, clock: Callable[[], float]) -> None:
        self.config = config
        self.clock = clock
        self.first_byte = Percentile(config.percentile, config.window)
        self.total = Percentile(config.percentile, config.window)
        self.out = False
        self._probed = float("-inf")

    def last(self) -> bool:
        """Whether it comes last now; false for the one call in ten seconds that sees whether it recovered."""
        return self.out and self.clock() < self._probed + PROBE_SECONDS

    def asked(self) -> None:
        """A call goes to it."""
        self._probed = self.clock()

    def add_first_byte(self, seconds: float) -> None:
        """A call's answer began after so long."""
        self.first_byte.add(seconds)
        self._judge()

    def add_total(self, seconds: float) -> None:
        """A call's answer ended after so long."""
        self.total.add(seconds)
        self._judge()

    def _judge(self) -> None:
        share = 1 - self.config.hysteresis if self.out else 1.0
        wishes = (
            (self.first_byte, self.config.first_byte_seconds),
            (self.total, self.config.total_seconds),
        )
        fewest = min(self.config.window, FEWEST_BACK if self.out else FEWEST_OUT)
        told = [(p.value() or 0.0) <= wish * share for p, wish in wishes if wish and len(p) >= fewest]
        enough = all(len(p) >= fewest for p, wish in wishes if wish)
        if not self.out and not all(told):
            self._turn(out=True)
        elif self.out and enough and all(told):
            self._turn(out=False)

    def _turn(self, *, out: bool) -> None:
        self.out = out
        self._probed = self.clock()
        self.first_byte.clear()
        self.total.clear()
