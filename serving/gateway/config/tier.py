"""A tier and those that answer for it."""

from typing import Annotated

from msgspec import Meta

from router_model.serving.gateway.config.part import Name, Part
from router_model.serving.gateway.config.provider import Provider


class TierConfig(Part, frozen=True):
    """A tier of the router's ladder, by its name, and the providers that answer for it."""

    name: Name
    providers: Annotated[tuple[Provider, ...], Meta(min_length=1, max_length=64)]
