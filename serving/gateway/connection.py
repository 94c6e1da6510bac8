"""A client's connection: uvicorn's, with bounds on how long and how large a request's head may be, and on how
long a client may keep the gateway waiting."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from router_model.serving.gateway.config.limits import Limits

TARGET_BYTES = 8192
DROPPED_BODIES = 4  # of the longest that is taken: what a client that was refused may go on sending
REFUSALS: Mapping[int, bytes] = {
    408: b"Request Timeout",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
}


class Transport:
    """A transport that writes once for each turn of the loop, and closes in two steps while its client is
    still sending.

    A head, a body and its end are three writes of uvicorn's, and would be three calls of the system.

    A socket closed over unread bytes resets the connection, and with it the refusal that the client was to
    read. So writing ends first, and what still comes is dropped until the client ends too.

    Args:
        transport: the loop's.
        sending: whether the client is.
        closed: called once, as it begins to close.
    """

    def __init__(
        self, transport: asyncio.Transport, sending: Callable[[], bool], closed: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._later = asyncio.get_running_loop().call_soon
        self._held: list[bytes] = []
        self._sending = sending
        self._closed = closed
        self._began = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this turn of the loop."""
        if not self._held:
            self._later(self._flush)
        self._held.append(data)

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not been sent."""
        return sum(map(len, self._held)) + self._transport.get_write_buffer_size()

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():  # a client may have left since
            self._transport.write(b"".join(held))

    def is_closing(self) -> bool:
        """Whether it closes or has closed."""
        return self._began or self._transport.is_closing()

    def close(self) -> None:
        """End the connection once all has been written."""
        if self.is_closing():
            return
        self._began = True
        self._flush()
        if self._sending():
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()
        self._closed()


class Connection(HttpToolsProtocol):
    """Refuses a head that is too long or too slow before anything is kept of it, and lets go of a client that
    takes nothing of its answer.

    uvicorn itself waits for the end of a head, and for a client to read, for ever; it takes any number of
    headers, and its parser keeps a header of any length until it ends.
    """

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        self._header_bytes = 0
        self._plain_bytes = 0  # since the last piece of a body, or the last head's beginning or end
        self._dropped_bytes = 0
        self._refused = False
        self._within = False  # a request whose end has not come
        self._in_head = True
        self._head: asyncio.TimerHandle | None = self._wait()
        self._stall: asyncio.TimerHandle | None = None
        super().connection_made(Transport(transport, lambda: self._within, self._watch))  # type: ignore[arg-type]

    @property
    def busy(self) -> bool:
        """Whether an answer is under way, into which nothing may be written."""
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.limits.receive_seconds, self._late)

    def _late(self) -> None:
        if self.busy:  # the head is of a request sent ahead, and may be unread for the answer's sake
            self._head = self._wait()
        else:
            self.refuse(408)

    def refuse(self, status: int) -> None:
        """Answer with ``status`` and close, unless that is done."""
        if self._refused or self.transport.is_closing():
            return None
        self._refused = True
        if not self._quiet():
            return self.transport.abort()
        head = f"HTTP/1.1 {status} {REFUSALS[status].decode()}\r\n"
        self.transport.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        return self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._refused = True
        if not self._quiet():
            return self.transport.abort()
        return super().send_400_response(msg)

    def _quiet(self) -> bool:
        """Whether a refusal can be written: a request that is refused within its own body hears nothing else,
        but the answer to one that was whole is not broken into."""
        if not self.busy:
            return True
        if self.pipeline or not self._within or self.cycle.response_started:
            return False
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        return True

    def data_received(self, data: bytes) -> None:
        """Bytes; they are dropped once it was refused."""
        if self._refused or self.transport.is_closing():
            return self._drop(data)
        self._plain_bytes += len(data)
        super().data_received(data)
        if self._plain_bytes > self.limits.header_bytes + TARGET_BYTES:
            self.refuse(431)
        elif self._head is None and not (self.busy or self._within or self.timeout_keep_alive_task):
            self._head = self._wait()  # blank lines between requests end uvicorn's waiting, and begin nothing
        return None

    def _drop(self, data: bytes) -> None:
        self._dropped_bytes += len(data)
        if self._dropped_bytes > DROPPED_BODIES * self.limits.body_bytes:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._head is None:  # a further request on a connection that is kept
            self._head = self._wait()
        self._header_bytes = self._plain_bytes = 0
        self._within = self._in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        super().on_url(url)
        if len(self.url) > TARGET_BYTES:
            self.refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; after the body it is a trailer, which nobody may take for one."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self.limits.header_bytes or len(self.headers) >= self.limits.headers:
            return self.refuse(431)
        return super().on_header(name, value) if self._in_head else None

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._forget_head()
        self._plain_bytes = 0
        self._in_head = False
        if not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._plain_bytes = 0
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._plain_bytes = 0
        self._within = False
        if not self._refused:
            super().on_message_complete()

    def shutdown(self) -> None:
        """The gateway stops: it waits for answers, and for nobody who holds back a request."""
        waits = self.transport.is_closing() or (self._within and not self.busy)
        if waits and not self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._unwatch()

    def _watch(self) -> None:
        """Let go of the client unless it takes something from time to time."""
        self._unwatch()
        left = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self.limits.receive_seconds, self._look, left)

    def _look(self, before: int) -> None:
        if 0 < self.transport.get_write_buffer_size() < before:
            self._watch()
        else:
            self.transport.abort()

    def _unwatch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._forget_head()
        super().connection_lost(exc)
        self._unwatch()

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def bounded(limits: Limits) -> type[Connection]:
    """The protocol class that uvicorn is given."""
    return type("Connection", (Connection,), {"limits": limits})
