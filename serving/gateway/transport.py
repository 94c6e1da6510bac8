"""What a client's connection writes to: the loop's transport, with fewer calls and a gentler end."""

import asyncio
from collections.abc import Callable
from typing import Any

from router_model.serving.gateway.poll import Poll


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
        poll: told when it writes.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        sending: Callable[[], bool],
        closed: Callable[[], None],
        poll: Poll,
    ) -> None:
        self._transport = transport
        self._touch = poll.touch
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
            self._touch()

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
