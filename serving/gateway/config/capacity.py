"""How much is done at once."""

from typing import Annotated

from msgspec import Meta, field

from router_model.serving.gateway.config.part import Count, Part, Seconds


class Capacity(Part, frozen=True):
    """How much is done at once.

    Attributes:
        concurrency: requests at upstreams, per worker.
        reserved: of these, kept for a tier by its name.
        queue: requests that wait, per worker; beyond it the answer is 429.
        queue_seconds: that one waits at most.
        warm_up: whether a tier's self-hosted models get requests of one token ahead of a forecast rise.
    """

    concurrency: Count = 512
    reserved: dict[str, Count] = field(default_factory=dict)
    queue: Annotated[int, Meta(ge=0, le=10**6)] = 1024
    queue_seconds: Seconds = 10.0
    warm_up: bool = False
