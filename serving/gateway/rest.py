"""A Redis that does not answer is left alone for a while, so that no request waits for it in vain."""

from collections.abc import Callable

FAILURES = 3  # in a row, after which it is left alone
REST_SECONDS = 1.0  # until one request tries it again


class Rest:
    """Whether to ask a Redis.

    Args:
        clock: seconds, from anywhere.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    def over(self) -> bool:
        """Whether to try; after a rest one may, and the others wait for what it finds."""
        if self._failures < FAILURES:
            return True
        now = self._clock()
        if now < self._until:
            return False
        self._until = now + REST_SECONDS
        return True

    def answered(self) -> None:
        """It did."""
        self._failures = 0

    def failed(self) -> bool:
        """It did not; whether a first rest begins, which is worth a warning."""
        self._failures += 1
        self._until = self._clock() + REST_SECONDS
        return self._failures == FAILURES
