"""A client's request, read: what it asks for, what it needs, and its bytes as they came."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from router_model.serving.gateway.config import Ability

Endpoint = Literal["chat", "completions", "responses", "embeddings", "messages"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the value of ``model`` asks for.

    Attributes:
        word: as it was sent.
        quality, budget: the dial of ``auto:quality=0.97`` or ``auto:budget=0.4``.
        tier: of ``tier:large``.
        model: a provider's name or a model's real name, which bypasses the router.
    """

    word: str
    quality: float | None = None
    budget: float | None = None
    tier: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        endpoint: which one, and so its shape.
        raw: the body as it came.
        body: the same, parsed.
        asked: what its ``model`` asks for.
        stream: whether it wants a stream.
        needs: abilities without which a model cannot take it.
        input_tokens: an estimate, at least 1.
        output_tokens: the most that it allows; 0 where it does not say.
        headers: of the client, lower case, those that go on to the upstream.
    """

    endpoint: Endpoint
    raw: bytes
    body: Mapping[str, Any]
    asked: Asked
    stream: bool
    needs: frozenset[Ability]
    input_tokens: int
    output_tokens: int
    headers: Mapping[str, str] = field(default_factory=dict)

    def renamed(self, model: str) -> bytes:
        """The body with ``model`` in the place of the asked one, all other bytes as they came."""
        raise NotImplementedError
