"""What an upstream answers, while it is answering."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from router_model.serving.gateway.config import Provider


@dataclass(slots=True)
class Answer:
    """One answer: its head is here, its body comes.

    Attributes:
        status: of HTTP, as the upstream sent it.
        headers: lower-case names and values as sent, without those of one hop.
        chunks: the body, in the pieces that came; raises ``UpstreamError`` where it is cut.
        provider: who answered.
        tier: of the provider.
        attempts: calls that were made for it, 1 or more.
        first_byte_seconds: from the call of the provider that answered to the head.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    chunks: AsyncIterator[bytes]
    provider: Provider
    tier: str
    attempts: int = 1
    first_byte_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)  # "provider: what it did", of the attempts before

    @property
    def stream(self) -> bool:
        """Whether the body is a stream of server-sent events."""
        return any(k == b"content-type" and v.startswith(b"text/event-stream") for k, v in self.headers)
