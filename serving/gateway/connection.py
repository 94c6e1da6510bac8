"""A client's connection: uvicorn's, with bounds on how long and how large a request's head may be."""

import asyncio
from collections.abc import Mapping

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from router_model.serving.gateway.config import Limits

TARGET_BYTES = 8192
REFUSALS: Mapping[int, bytes] = {
    408: b"Request Timeout",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
}


class Connection(HttpToolsProtocol):
    """Refuses a head that is too long or too slow before anything is kept of it.

    uvicorn itself waits for the end of a head for ever, and takes any number of headers.
    """

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        self._header_bytes = 0
        self._refused = False
        self._head: asyncio.TimerHandle | None = self._wait()
        super().connection_made(transport)

    def _wait(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.limits.receive_seconds, self.refuse, 408)

    def refuse(self, status: int) -> None:
        """Answer with ``status`` and close, unless that is done."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        head = f"HTTP/1.1 {status} {REFUSALS[status].decode()}\r\n"
        self.transport.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Bytes, unless it was refused."""
        if not self._refused:
            super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._head is None:  # a further request on a connection that is kept
            self._head = self._wait()
        self._header_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        super().on_url(url)
        if len(self.url) > TARGET_BYTES:
            self.refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self.limits.header_bytes or len(self.headers) >= self.limits.headers:
            return self.refuse(431)
        return super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._forget_head()
        if not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self._refused:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._forget_head()
        super().connection_lost(exc)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def bounded(limits: Limits) -> type[Connection]:
    """The protocol class that uvicorn is given."""
    return type("Connection", (Connection,), {"limits": limits})
