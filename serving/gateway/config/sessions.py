"""Conversations that stay on their model."""

from typing import Annotated

from msgspec import Meta

from router_model.policy.session import Outlook
from router_model.serving.gateway.config.part import Count, Part, Seconds, Variable

Turns = Annotated[float, Meta(ge=0, le=1e4)]


class Sessions(Part, frozen=True):
    """How conversations stay on their model; docs/sessions.md.

    Attributes:
        turns_left: turns to come after the first, the second and so on, the last number for all later ones;
            `router-model turns` learns them from a log.
        kept_share: share of turns that come before a provider has forgotten the prompt.
        keep_seconds: after which a conversation that nobody went on with is forgotten.
        entries: conversations that a worker knows.
        secret_env: the environment variable of the secret that seals what clients carry; none makes one up
            at each start, which another worker does not know.
    """

    turns_left: Annotated[tuple[Turns, ...], Meta(min_length=1, max_length=256)] = Outlook().left
    kept_share: Annotated[float, Meta(ge=0, le=1)] = Outlook().kept
    keep_seconds: Seconds = 3600.0
    entries: Count = 20_000
    secret_env: Variable | None = None
