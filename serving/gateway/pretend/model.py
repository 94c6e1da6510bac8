"""A pretend model that listens."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import msgspec

from router_model.serving.gateway.pretend.behaviour import Behaviour, Seen
from router_model.serving.gateway.pretend.connection import Connection


@dataclass(slots=True)
class Pretend:
    """A pretend model that listens.

    Attributes:
        behaviour: change its fields at any time.
        host, port: port 0 takes a free one, which ``port`` tells after ``open``.
        keep: of the last requests, in ``seen``.
        requests: that asked an endpoint.
        left: of these, those whose client left before their answer was whole.
        connections: that were ever made.
    """

    behaviour: Behaviour = field(default_factory=Behaviour)
    host: str = "127.0.0.1"
    port: int = 0
    keep: int = 0
    requests: int = 0
    left: int = 0
    connections: int = 0
    seen: deque[Seen] = field(default_factory=deque)
    _server: asyncio.Server | None = None
    _open: set["Connection"] = field(default_factory=set)

    @property
    def base_url(self) -> str:
        """For a provider's ``base_url``."""
        return f"http://{self.host}:{self.port}/v1"

    async def open(self) -> None:
        """Begin to listen, on the same port as before after a ``close``."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), self.host, self.port, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop at once: every connection breaks."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._open):
            connection.abort()
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> "Pretend":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def set(self, raw: bytes) -> None:
        """Behave as a JSON object says; what it does not name goes back to its default."""
        self.behaviour = msgspec.json.decode(raw, type=Behaviour)

    def faulty(self) -> bool:
        """Whether the newest request is one of those that go wrong."""
        share = self.behaviour.share
        return int(self.requests * share) != int((self.requests - 1) * share)
