"""What an upstream answers, while it is answering."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.usage import Usage


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
        first_byte_seconds: from the call of the provider that answered to the first piece of the body.
        error: whether it is an error, which nobody is taken to charge for.
        failures: of the attempts before, each "provider: what it did".
        close: lets go of the upstream; to be called however the answer ends, harmless a second time.
        spent: to be told the tokens of the call once they are known.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    chunks: AsyncIterator[bytes]
    provider: Provider
    tier: str
    attempts: int = 1
    first_byte_seconds: float = 0.0
    error: bool = False
    failures: list[str] = field(default_factory=list)
    close: Callable[[], None] = lambda: None
    spent: Callable[[Usage], None] = lambda usage: None

    @property
    def stream(self) -> bool:
        """Whether the body is a stream of server-sent events."""
        return any(k == b"content-type" and v.startswith(b"text/event-stream") for k, v in self.headers)
