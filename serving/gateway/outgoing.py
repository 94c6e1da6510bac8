"""What goes back to a client over ASGI: pieces of answers, and refusals in the shape it expects."""

from collections.abc import Awaitable, Callable
from typing import Any

from router_model.errors import RequestError
from router_model.serving.gateway.call import Endpoint
from router_model.serving.gateway.replies import error_body, stream_error
from router_model.serving.gateway.turn import Head

Send = Callable[[dict[str, Any]], Awaitable[None]]
STREAM = b"text/event-stream"
PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"*, authorization"),
    (b"access-control-max-age", b"600"),
)
EXPOSED = (b"access-control-expose-headers", b"*")


class Outgoing:
    """One response. Headers of the gateway's own are added to each.

    Args:
        send: of ASGI.
        request_id: told in ``x-router-request-id``.
        shape: in which errors are told.
        origin: of the page that may read it, where CORS is on.
    """

    def __init__(self, send: Send, request_id: str, shape: Endpoint, origin: bytes | None) -> None:
        self.origin = origin
        self._send = send
        self._id = request_id
        self._shape = shape
        self._started = self._streams = self._ended = False

    async def piece(self, piece: Head | bytes) -> None:
        """A head, or bytes of the body."""
        if isinstance(piece, Head):
            return await self._start(piece)
        return await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        """The body is whole."""
        if not self._ended:
            self._ended = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, head: Head, body: bytes) -> None:
        """A response at once."""
        await self._start(Head(head.status, [*head.headers, (b"content-length", b"%d" % len(body))]))
        self._ended = True
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def refuse(self, error: RequestError, *, close: bool = False) -> None:
        """Tell an error; where an answer has begun, as ``broken`` does."""
        if self._started:
            return await self.broken(str(error))
        headers = [(b"content-type", b"application/json")]
        if error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
        if error.allow:
            headers.append((b"allow", error.allow.encode()))
        if error.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if close:  # the rest of its body is not read
            headers.append((b"connection", b"close"))
        return await self.whole(Head(error.status, headers), error_body(self._shape, error, self._id))

    async def broken(self, message: str) -> None:
        """End what has begun: a stream by an error event; another body stays short, and the server closes."""
        error = RequestError(502, "api_error", message)
        if not self._started:
            return await self.refuse(error)
        if self._streams and not self._ended:
            await self.piece(stream_error(self._shape, error, self._id))
            await self.end()
        return None

    async def _start(self, head: Head) -> None:
        self._started = True
        headers = [*head.headers, (b"x-router-request-id", self._id.encode())]
        if self.origin:
            headers += [(b"access-control-allow-origin", self.origin), (b"vary", b"origin"), EXPOSED]
        self._streams = any(k == b"content-type" and v.startswith(STREAM) for k, v in headers)
        await self._send({"type": "http.response.start", "status": head.status, "headers": headers})
