"""The dial of requests that name none."""

from router_model.serving.gateway.config.part import Part, Share


class Dial(Part, frozen=True):
    """The dial of requests that name none: one of both, or neither for the artifact's own."""

    quality: Share | None = None
    budget: Share | None = None
