"""Something that is done again and again in a running loop, until it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable


class Ticks:
    """Awaits ``tick`` each so many ``seconds``, one at a time, from ``start`` to ``stop``."""

    def __init__(self, tick: Callable[[], Awaitable[object]], seconds: float) -> None:
        self._tick, self._seconds = tick, seconds
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> bool:
        """End what is under way, and say whether it had been started."""
        if self._task is None:
            return False
        self._stopping = True  # for Redis' client may swallow a cancellation while it connects
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        return True

    async def _run(self) -> None:
        while not self._stopping:
            await asyncio.sleep(self._seconds)
            await self._tick()
