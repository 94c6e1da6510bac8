"""What the workers of one gateway tell each other: a snapshot each, in a file of a folder that they share.

A scrape reaches one worker and should tell of all. Each puts its sums there once a second, and those of a
worker that has died stay, so that no counter falls.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from router_model.errors import FileError
from router_model.files import read_file
from router_model.serving.gateway.ticks import Ticks

logger = logging.getLogger(__name__)

MOST_BYTES = 16 << 20  # of one snapshot
EVERY_SECONDS = 1.0


class Siblings:
    """The snapshots of the other workers, and the place of one's own.

    With ``folder`` None there is one worker only. ``snapshot`` gives what the others read; ``worker`` is
    unique in the folder, which is made anew for each start of the gateway.
    """

    def __init__(self, folder: Path | None, worker: str, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._folder, self._snapshot = folder, snapshot
        self._own = folder and folder / f"{worker}.json"
        self._ticks = Ticks(self._tick, EVERY_SECONDS)

    def open(self) -> None:
        """Begin to put the own snapshot there once a second; needs a running loop."""
        if self._folder:
            self.put()
            self._ticks.start()

    async def close(self) -> None:
        """Put the last snapshot there."""
        if await self._ticks.stop():
            self.put()

    def put(self) -> None:
        """Put the own snapshot there now."""
        if self._own:
            temporary = self._own.with_suffix(".partial")
            try:  # without fsync, which would hold up requests: after a crash of the machine, all begin anew
                temporary.write_bytes(json.dumps(self._snapshot()).encode())
                temporary.replace(self._own)
            except OSError as error:
                logger.warning("%s: the other workers do not see these counters: %s", self._own, error)

    def others(self) -> list[dict[str, Any]]:
        """The last snapshots of the others; one that cannot be read is left out."""
        return list(self._others())

    def _others(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self._folder.glob("*.json")) if self._folder else ():
            if path != self._own:
                with contextlib.suppress(FileError, ValueError, RecursionError):
                    read = json.loads(read_file(path, MOST_BYTES))
                    if isinstance(read, dict):
                        yield read

    async def _tick(self) -> None:
        self.put()
