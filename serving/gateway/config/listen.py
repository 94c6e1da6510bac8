"""Where the gateway is."""

from typing import Annotated

from msgspec import Meta

from router_model.serving.gateway.config.part import Count, Name, Part


class Listen(Part, frozen=True):
    """Where the gateway is.

    Attributes:
        host, port: 127.0.0.1 unless told otherwise; port 0 takes a free one.
        workers: processes.
        backlog: connections that the kernel holds.
        origins: of web pages that may call it (CORS); none unless told.
        busy_polling_ms: that a worker looks for more after bytes came or went, before it sleeps.
    """

    host: Name = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    backlog: Count = 2048
    origins: tuple[str, ...] = ()
    busy_polling_ms: Annotated[float, Meta(ge=0, le=60_000)] = 0.0
