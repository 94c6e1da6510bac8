"""A client's connection: uvicorn's, with bounds on how many there are, on how long and how large a request's
head may be, and on how long a client may keep the gateway waiting."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from router_model.serving.gateway.config.limits import Limits
from router_model.serving.gateway.poll import Poll
from router_model.serving.gateway.transport import Transport

TARGET_BYTES = 8192
DROPPED_BODIES = 4  # of the longest that is taken: what a client that was refused may go on sending
TURNED_AWAY = 256  # connections beyond the bound whose clients may read why
TURNED_AWAY_SECONDS = 1.0
REFUSALS: Mapping[int, str] = {
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


@dataclass(slots=True)
class Door:
    """What the connections of a worker have in common.

    Attributes:
        limits: as the file says now; a connection keeps those that it was made under.
        poll: told of bytes that come and go.
        refused: called for each connection beyond ``limits.connections``.
        turned_away: how many of these are open still.
    """

    limits: Callable[[], Limits]
    poll: Poll
    refused: Callable[[], None] = lambda: None
    turned_away: int = 0


class Connection(HttpToolsProtocol):
    """Refuses a connection beyond those that may be, and a head that is too long or too slow, before anything
    is kept of it; lets go of a client that takes nothing of its answer.

    uvicorn itself waits for the end of a head, and for a client to read, for ever; it takes any number of
    headers, and its parser keeps a header of any length until it ends.
    """

    door: Door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head, where there is room."""
        self.limits = self.door.limits()
        self._patience = self.limits.receive_seconds
        self._turned_away = False
        self._header_bytes = 0
        self._plain_bytes = 0  # since the last piece of a body, or the last head's beginning or end
        self._dropped_bytes = 0
        self._refused = False
        self._within = False  # a request whose end has not come
        self._in_head = True
        self._head: asyncio.TimerHandle | None = self._wait()
        self._stall: asyncio.TimerHandle | None = None
        room = len(self.connections) < self.limits.connections
        held = Transport(transport, lambda: self._within, self._watch, self.door.poll)
        super().connection_made(held)  # type: ignore[arg-type]
        if not room:
            self._turn_away()

    def _turn_away(self) -> None:
        """Refuse the connection itself.

        A status tells clients' libraries to try again, as a mere close does not all of them. So many may read
        it in peace; of a flood the rest are closed over what they send.
        """
        self.connections.discard(self)
        self._forget_head()
        self._turned_away = self._within = self.door.turned_away < TURNED_AWAY
        self.door.turned_away += self._turned_away
        self._patience = TURNED_AWAY_SECONDS
        self.door.refused()
        self.refuse(503)

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
        later = "retry-after: 1\r\n" if status == 503 else ""
        head = f"HTTP/1.1 {status} {REFUSALS[status]}\r\n{later}"
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
        self.door.poll.touch()
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
            if self.scope["http_version"] < "1.1":
                self.cycle.__class__ = Unframed

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
        self._stall = self.loop.call_later(self._patience, self._look, left)

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
        self.door.turned_away -= self._turned_away

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class Unframed(RequestResponseCycle):
    """An answer in HTTP/1.0, which has no chunks: a body without a length ends where its connection does."""

    unbounded = False

    async def send(self, message: Any) -> None:
        """As ASGI says."""
        if message["type"] == "http.response.start":
            if all(name.lower() != b"content-length" for name, _ in message["headers"]):
                self.chunked_encoding = False
                self.unbounded = True
        elif self.unbounded:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


def bounded(door: Door) -> type[Connection]:
    """The protocol class that uvicorn is given."""
    return type("Connection", (Connection,), {"door": door})
