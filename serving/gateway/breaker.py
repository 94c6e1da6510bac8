"""A circuit breaker: a provider that keeps failing is left alone, then tried with care."""

from collections import deque
from collections.abc import Callable
from typing import Literal

from router_model.serving.gateway.config.breaker import Breaker

MOST_REST_SECONDS = 3600.0  # a header from outside does not put a provider away for longer

State = Literal["closed", "open", "half-open"]


class Circuit:
    """The breaker of one provider, and the rest that the provider itself asked for.

    A call begins with ``enter`` and ends with one of ``success``, ``failure`` and ``leave``, which take what
    ``enter`` gave; what a call from before the last change of state says of today is not heard.

    Attributes:
        config: may be replaced while it runs.
        clock: seconds that only grow.
        failed: calls that failed by the provider's fault, since the first.
    """

    def __init__(self, config: Breaker, clock: Callable[[], float]) -> None:
        self.config = config
        self.clock = clock
        self.failed = 0
        self._last: deque[bool] = deque()
        self._failures = 0
        self._opened: float | None = None
        self._rest_until = float("-inf")
        self._probes = 0
        self._turn = 0

    @property
    def state(self) -> State:
        """Closed: calls go. Open: none does. Half-open: ``probes`` at a time do."""
        if self._opened is None:
            return "closed"
        return "open" if self.clock() < self._opened + self.config.open_seconds else "half-open"

    def wait(self) -> float:
        """Seconds until a call may go: 0 for now, infinity where it hangs on the probes in the air."""
        now = self.clock()
        rest = max(0.0, self._rest_until - now)
        if self._opened is None:
            return rest
        rest = max(rest, self._opened + self.config.open_seconds - now)
        if rest == 0.0 and self._probes >= self.config.probes:
            return float("inf")
        return rest

    def enter(self) -> int:
        """Begin a call; ask ``wait`` before."""
        if self._opened is not None:
            self._probes += 1
        return self._turn

    def success(self, turn: int) -> None:
        """The call was answered."""
        if turn != self._turn:
            return
        if self._opened is None:
            self._count(True)
        else:
            self._change(None)

    def failure(self, turn: int) -> None:
        """The call failed by the provider's fault."""
        self.failed += 1
        if turn != self._turn:
            return
        if self._opened is not None:
            self._change(self.clock())
            return
        self._count(False)
        if self._failures >= min(self.config.failures, self.config.window):
            self._change(self.clock())

    def leave(self, turn: int) -> None:
        """The call told nothing of the provider: the client left, or its own request was at fault."""
        if turn == self._turn and self._opened is not None:
            self._probes -= 1

    def rest(self, seconds: float) -> None:
        """No call for so long, as the provider asked; at most an hour."""
        until = self.clock() + min(max(seconds, 0.0), MOST_REST_SECONDS)
        self._rest_until = max(self._rest_until, until)

    def _count(self, good: bool) -> None:
        self._last.append(good)
        self._failures += not good
        while len(self._last) > self.config.window:
            self._failures -= not self._last.popleft()

    def _change(self, opened: float | None) -> None:
        self._opened = opened
        self._turn += 1
        self._probes = self._failures = 0
        self._last.clear()
