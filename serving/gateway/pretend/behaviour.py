"""How a pretend model behaves, and what it saw."""

from dataclasses import dataclass

import msgspec


class Behaviour(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a pretend model behaves; may be changed while it runs.

    Attributes:
        chunks: pieces of an answer's text, 1 or more.
        first_byte_seconds: before an answer begins; half to one and a half of it, by the request's bytes.
        chunk_seconds: between two events of a stream; for an answer that is no stream, all of them at once.
        status: what the faulty requests get.
        retry_after: of a faulty answer, as its header says it.
        stall: whether faulty requests get no answer at all.
        stall_after, cut_after: of faulty requests: events of a stream until nothing more comes, or until the
            connection breaks; an answer that is no stream breaks in its middle where ``cut_after`` is given.
        hang_up: whether the connection of a faulty request is closed without an answer.
        share: of requests that are faulty, evenly spread.
        close: whether a connection is closed after each answer.
    """

    chunks: int = 20
    first_byte_seconds: float = 0.0
    chunk_seconds: float = 0.0
    status: int = 200
    retry_after: str | None = None
    stall: bool = False
    stall_after: int | None = None
    cut_after: int | None = None
    hang_up: bool = False
    share: float = 1.0
    close: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes
