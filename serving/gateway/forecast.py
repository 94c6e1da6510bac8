"""How many requests a second a tier will get in a moment."""

from collections.abc import Callable

STEP_SECONDS = 5.0
LEVEL, TREND = 0.4, 0.2  # weights of the newest step
LONGEST_GAP = 60  # steps without a request after which nothing is known any more


class Forecast:
    """A moving forecast of a rate: double exponential smoothing (Holt 1957) over steps of five seconds.

    Attributes:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._begins = clock()
        self._count = 0
        self._level = self._trend = 0.0  # requests a step, and their change from step to step

    def add(self) -> None:
        """A request came."""
        self._close_steps()
        self._count += 1

    def rate(self, ahead_seconds: float = 0.0) -> float:
        """Requests a second, so far ahead; never below 0."""
        self._close_steps()
        steps = ahead_seconds / STEP_SECONDS
        return max(0.0, self._level + steps * self._trend) / STEP_SECONDS

    def _close_steps(self) -> None:
        over = int((self.clock() - self._begins) / STEP_SECONDS)
        self._begins += over * STEP_SECONDS
        if over > LONGEST_GAP:
            self._level = self._trend = self._count = 0
            return
        for _ in range(over):
            before = self._level
            self._level = LEVEL * self._count + (1 - LEVEL) * max(0.0, before + self._trend)
            self._trend = TREND * (self._level - before) + (1 - TREND) * self._trend
            self._count = 0
