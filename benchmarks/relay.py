"""A relay that passes bytes on and does nothing else: the least that anything between two sockets costs.

python benchmarks/relay.py PORT UPSTREAM_PORT
"""

import asyncio
import sys
from typing import Any

import uvloop


class End(asyncio.Protocol):
    """One of the two ends of a passage; what comes in here goes out at the other."""

    def __init__(self, other: "End | None" = None, upstream: int = 0) -> None:
        self.other, self.upstream = other, upstream
        self.held: list[bytes] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Connect onwards, or send what came meanwhile."""
        self.transport = transport
        if self.other is None:
            loop = asyncio.get_running_loop()
            self.task = loop.create_task(
                loop.create_connection(lambda: End(self), "127.0.0.1", self.upstream)
            )
        else:
            self.other.other = self
            transport.write(b"".join(self.other.held))

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if self.other is None:
            self.held.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def main(port: int, upstream: int) -> None:
    """Relay until stopped."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: End(upstream=upstream), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
