"""The cap on dollars: what calls in flight may cost is set aside before they are sent."""

import asyncio
import math


class Budget:
    """Dollars that may be spent: what was spent and what is set aside never pass the cap together.

    A call whose reply costs more than was set aside for it, which only a wrong bound allows, raises what is
    set aside for every later one by as much.

    Attributes:
        spent_usd: by calls that have ended.
    """

    def __init__(self, max_usd: float | None, spent_usd: float = 0.0) -> None:
        self.spent_usd = spent_usd
        self._max_usd = math.inf if max_usd is None else max_usd
        self._set_aside: list[float] = []
        self._factor = 1.0
        self._settled = asyncio.Event()

    async def reserve(self, usd: float) -> float | None:
        """Set aside what a call may cost at most, and return it; None where the cap leaves no room.

        Waits while calls in flight may still leave some of what was set aside for them.
        """
        while True:
            wanted = usd * self._factor
            if math.fsum((self.spent_usd, wanted, *self._set_aside)) <= self._max_usd:
                self._set_aside.append(wanted)
                return wanted
            if not self._set_aside:
                return None
            self._settled.clear()
            await self._settled.wait()

    def settle(self, reserved_usd: float, usd: float) -> None:
        """Count what a call did cost in place of what was set aside for it."""
        self._set_aside.remove(reserved_usd)
        self.spent_usd += usd
        if usd > reserved_usd > 0:
            self._factor *= usd / reserved_usd
        self._settled.set()
