"""What a client may ask of the gateway."""

from typing import Annotated

from msgspec import Meta

from router_model.serving.gateway.config.part import Count, Part, Seconds


class Limits(Part, frozen=True):
    """What a client may ask of the gateway.

    Attributes:
        body_bytes: of a request.
        header_bytes, headers: of all its headers.
        depth: of its JSON.
        receive_seconds: until its head has arrived, and then its body; a client that takes nothing of its
            answer for as long is let go.
        request_seconds: until the whole answer has gone.
        stop_seconds: that a graceful stop gives to streams.
        connections: of clients, open at once, per worker.
    """

    body_bytes: Count = 16 << 20
    header_bytes: Count = 64 << 10
    headers: Count = 128
    depth: Annotated[int, Meta(ge=4, le=200)] = 64
    receive_seconds: Seconds = 30.0
    request_seconds: Seconds = 600.0
    stop_seconds: Seconds = 30.0
    connections: Count = 4096
