"""A client's key, as the file has it."""

from typing import Annotated, Literal

from msgspec import Meta

from router_model.serving.gateway.config.part import Name, Part


class Key(Part, frozen=True):
    """A client's key.

    Attributes:
        name: what accounts and logs call it.
        sha256: hexadecimal, of the key as UTF-8; `router-model key` makes both.
        tenant: whose requests these are.
        scopes: what it may do.
    """

    name: Name
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    tenant: Name = "default"
    scopes: tuple[Literal["call", "route", "feedback", "metrics"], ...] = ("call", "route", "feedback")
