"""A worker that looks for bytes again and again, for some milliseconds after the last ones, before it sleeps.

A process that sleeps wakes late, on a virtual machine above all, and finds the processor's caches cold.
HAProxy's ``busy-polling`` and KVM's ``halt_poll_ns`` are for the same.
"""

import asyncio
import os
from time import monotonic


class Poll:
    """Keeps the running loop from sleeping for ``seconds`` after each ``touch``; with 0, nothing.

    Between two looks runs whatever else is ready, timers and signals too, and whoever shares the core.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self._looking = False

    def touch(self) -> None:
        """Bytes came or went."""
        if self._seconds:
            self._until = monotonic() + self._seconds
            if not self._looking:
                self._looking = True
                self._loop.call_soon(self._look)

    def _look(self) -> None:
        if monotonic() < self._until:
            os.sched_yield()
            self._loop.call_soon(self._look)  # a loop with something to do asks the system, and does not wait
        else:
            self._looking = False
