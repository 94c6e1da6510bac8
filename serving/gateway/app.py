"""The gateway as an ASGI application: a request is read, answered by its path, and sent."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from router_model.errors import RequestError, UpstreamError
from router_model.serving.gateway.outgoing import PREFLIGHT, Outgoing, Send
from router_model.serving.gateway.paths import PATHS, Incoming, Path
from router_model.serving.gateway.state import State
from router_model.serving.gateway.turn import Head, new_id
from router_model.serving.gateway.within import Within

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.02  # after so long a client may have left; most answers of a cache have gone by then

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]


class App:
    """Answers clients. ``state`` is swapped whole by a reload; a request keeps the one it began with.

    Args:
        dry: decide, and call no upstream.
    """

    def __init__(self, state: State, *, dry: bool = False) -> None:
        self.state = state
        self.dry = dry

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection's request, as ASGI 3 says."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served here")
        request_id, target = new_id(), scope["path"].rstrip("/") or "/"
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path = PATHS.get((method, target))
        out = Outgoing(send, request_id, path.shape if path else "chat", self._origin(scope))
        if scope["method"] == "OPTIONS" and out.origin:
            return await out.whole(Head(204, list(PREFLIGHT)), b"")
        try:
            if path is None:
                raise unknown(method, target)
            incoming = await self._read(scope, receive, path, request_id)
        except RequestError as error:
            return await out.refuse(error, close=True)
        return await self._until_left(receive, path, incoming, out)

    async def _until_left(self, receive: Receive, path: Path, incoming: Incoming, out: "Outgoing") -> None:
        """Answer, unless the client leaves meanwhile."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101  # a coroutine runs in one
        leaving: asyncio.Future[Message] | None = None

        def leave(_: object) -> None:
            task.cancel()

        def watch() -> None:
            nonlocal leaving
            leaving = asyncio.ensure_future(
                receive()
            )  # returns where the client leaves, or all has been sent
            leaving.add_done_callback(leave)

        later = loop.call_later(WATCH_SECONDS, watch)
        try:
            await self._answer(path, incoming, out)
        except asyncio.CancelledError:
            if leaving is None or not leaving.done():
                raise
            task.uncancel()
        finally:
            later.cancel()
            if leaving is not None:
                leaving.remove_done_callback(leave)
                leaving.cancel()

    async def _answer(self, path: Path, incoming: Incoming, out: "Outgoing") -> None:
        try:
            with Within(self.state.config.limits.request_seconds):
                async with aclosing(path.answer(self.state, incoming)) as pieces:
                    async for piece in pieces:
                        await out.piece(piece)
            await out.end()
        except RequestError as error:
            await out.refuse(error)
        except UpstreamError as error:
            await out.broken(str(error))
        except TimeoutError:
            await out.refuse(RequestError(504, "api_error", "no answer in time; ask for less, or try again"))
        except Exception:
            logger.exception("request %s: the gateway itself failed", incoming.id)
            await out.refuse(RequestError(500, "api_error", "the gateway failed; its log says why"))

    async def _read(self, scope: Message, receive: Receive, path: Path, request_id: str) -> Incoming:
        """The request whole, from someone who may send it; raises RequestError."""
        state = self.state
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        caller = None
        if path.scope and not (path.scope == "metrics" and state.config.metrics_open):
            caller = state.keys.find(headers)
            caller.must(path.scope)
        most = state.config.limits.body_bytes
        told = headers.get("content-length", "")
        if told.isdigit() and int(told) > most:
            raise too_large(most)
        if headers.get("content-encoding", "identity") != "identity":
            raise RequestError(415, "invalid_request_error", "send the body without content-encoding")
        try:
            with Within(state.config.limits.receive_seconds):
                body = await whole_body(receive, most)
        except TimeoutError:
            raise RequestError(408, "invalid_request_error", "the body did not arrive in time") from None
        return Incoming(request_id, headers, body, caller, self.dry)

    def _origin(self, scope: Message) -> bytes | None:
        """The page's origin, where the file allows it."""
        allowed = self.state.config.listen.origins
        if not allowed:
            return None
        origin = next((value for name, value in scope["headers"] if name == b"origin"), b"")
        return bytes(origin) if origin.decode("latin-1") in allowed or (origin and "*" in allowed) else None


async def whole_body(receive: Receive, most: int) -> bytes:
    """The body, of at most ``most`` bytes; raises RequestError."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "invalid_request_error", "the client left before the body had arrived")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise too_large(most)
        if not message.get("more_body", False):
            return b"".join(parts)


def too_large(most: int) -> RequestError:
    """The refusal of a body that is longer than the file allows."""
    return RequestError(413, "invalid_request_error", f"the body is larger than {most} bytes; send less")


def unknown(method: str, path: str) -> RequestError:
    """The refusal of a path or method that is not served."""
    others = sorted({known for known, served in PATHS if served == path})
    if others:
        allow = ", ".join(others)
        return RequestError(405, "invalid_request_error", f"{path} takes {allow}, not {method}", allow=allow)
    return RequestError(404, "invalid_request_error", f"nothing at {path[:200]!r}; see /openapi.json")
