"""A provider's limits of requests and tokens a minute, counted before a call goes."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
SLICE_SECONDS = 1.0


@dataclass(slots=True)
class Slice:
    """What went in one second."""

    begins: float
    requests: int = 0
    tokens: int = 0


class Rates:
    """What went in the last minute, so that the next call does not pass a limit.

    Counted in slices of a second that leave only when the whole of them is a minute old: in no minute does
    more go than the limits, and a little less than a sliding log would let through. A call that alone is
    above the limit of tokens goes when nothing else has gone, for its provider to judge.

    Attributes:
        requests, tokens: limits a minute; none means none. May be replaced while it runs.
        clock: seconds that only grow.
    """

    def __init__(self, requests: int | None, tokens: int | None, clock: Callable[[], float]) -> None:
        self.requests = requests
        self.tokens = tokens
        self.clock = clock
        self._slices: deque[Slice] = deque()
        self._requests = 0
        self._tokens = 0

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.requests is not None or self.tokens is not None

    def wait(self, tokens: int) -> float:
        """Seconds until a call of so many tokens may go; 0 for now."""
        if not self.limited:
            return 0.0
        now = self._forget()
        if self._room(self._requests, self._tokens, tokens):
            return 0.0
        requests, counted = self._requests, self._tokens
        for part in self._slices:
            requests -= part.requests
            counted -= part.tokens
            if self._room(requests, counted, tokens):
                return max(0.0, part.begins + SLICE_SECONDS + WINDOW_SECONDS - now)
        return WINDOW_SECONDS + SLICE_SECONDS

    def take(self, tokens: int) -> Slice:
        """Count a call; ask ``wait`` before. What is returned goes to ``correct``."""
        now = self._forget()
        if not self._slices or now >= self._slices[-1].begins + SLICE_SECONDS:
            self._slices.append(Slice(now))
        part = self._slices[-1]
        part.requests += 1
        part.tokens += tokens
        self._requests += 1
        self._tokens += tokens
        return part

    def correct(self, part: Slice, more: int) -> None:
        """A call had so many tokens more (less, where negative) than counted."""
        part.tokens += more
        if self._slices and part.begins >= self._slices[0].begins:
            self._tokens += more

    def _room(self, requests: int, counted: int, tokens: int) -> bool:
        if self.requests is not None and requests + 1 > self.requests:
            return False
        return self.tokens is None or requests == 0 or counted + tokens <= self.tokens

    def _forget(self) -> float:
        now = self.clock()
        while self._slices and self._slices[0].begins + SLICE_SECONDS + WINDOW_SECONDS <= now:
            part = self._slices.popleft()
            self._requests -= part.requests
            self._tokens -= part.tokens
        return now
