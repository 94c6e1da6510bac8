"""When a provider is left alone."""

from router_model.serving.gateway.config.part import Count, Part, Seconds


class Breaker(Part, frozen=True):
    """When a provider is left alone: after ``failures`` of its last ``window`` calls, for ``open_seconds``.

    Then ``probes`` calls at a time are let through, and their success closes it again.
    """

    failures: Count = 5
    window: Count = 20
    open_seconds: Seconds = 10.0
    probes: Count = 1
