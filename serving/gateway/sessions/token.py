"""What is known of a conversation as bytes, and as a token that a client carries and cannot change.

A token is ``s1.STATE.SEAL``, each in base64url: the state in MessagePack, and the first 16 bytes of
HMAC-SHA-256 over the tenant and the state. It holds counts, times and tiers, and no text.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from router_model.policy.session import Session

MOST_TIERS = 16
LONGEST_NAME = 64
LONGEST_TOKEN = 1024
PREFIX = "s1."
SEAL_BYTES = 16
SKEW_SECONDS = 60.0  # by which the clocks of two replicas may be apart

Small = Annotated[int, Meta(ge=0, le=10**6)]
Tier = Annotated[int, Meta(ge=0, lt=MOST_TIERS)]
Time = Annotated[float, Meta(ge=0, le=1e11)]
Row = Meta(min_length=1, max_length=MOST_TIERS)


class Known(Struct, array_like=True, frozen=True):
    """What is kept of a conversation between two turns.

    Attributes:
        name: what the log calls it.
        request: the id of its last request, which feedback is given by.
        at: when that was, seconds since 1970.
        tier, turns, failures, floor, held, sufficiency, cached, until: of ``Session``.
    """

    name: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
    request: Annotated[str, Meta(max_length=64)]
    at: Time
    tier: Annotated[int, Meta(ge=-1, lt=MOST_TIERS)]
    turns: Small
    failures: Small
    floor: Tier
    held: Small
    sufficiency: Annotated[tuple[Annotated[float, Meta(ge=0, le=1e6)], ...], Row]
    cached: Annotated[tuple[Annotated[int, Meta(ge=0, le=10**9)], ...], Row]
    until: Annotated[tuple[Time, ...], Row]

    @classmethod
    def of(cls, name: str, request: str, at: float, session: Session) -> "Known":
        """The same of a session."""
        s = session
        counts = (s.tier, s.turns, s.failures, s.floor, s.held)
        return cls(name, request, at, *counts, s.sufficiency, s.cached, s.until)

    def session(self) -> Session:
        """The session."""
        counts = (self.tier, self.turns, self.failures, self.floor, self.held)
        return Session(*counts, self.sufficiency, self.cached, self.until)

    def fits(self, tiers: int, now: float, seconds: float) -> bool:
        """Whether it is of so many tiers, consistent, and at most so old."""
        rows = (self.sufficiency, self.cached, self.until)
        return (
            all(len(row) == tiers for row in rows)
            and self.tier < tiers
            and self.floor < tiers
            and (self.tier >= 0) == (self.turns > 0)
            and -SKEW_SECONDS <= now - self.at <= seconds
        )


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Known).decode


def decode(raw: bytes) -> Known | None:
    """What ``encode`` made bytes of; None for anything else."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def sealed(known: Known, tenant: str, secret: bytes) -> str:
    """The token."""
    state = encode(known)
    return f"{PREFIX}{_text(state)}.{_text(_seal(state, tenant, secret))}"


def unsealed(token: str, tenant: str, secret: bytes) -> Known | None:
    """What a token of the same tenant and secret says; None where a character of it was changed."""
    state, dot, seal = token.removeprefix(PREFIX).partition(".")
    if len(token) > LONGEST_TOKEN or not token.isascii() or not token.startswith(PREFIX) or not dot:
        return None
    try:
        raw = urlsafe_b64decode(state + "=" * (-len(state) % 4))
    except ValueError:
        return None
    # Compared as text: base64 has several for the same bytes, and a token has one.
    told = f"{_text(raw)}.{_text(_seal(raw, tenant, secret))}"
    return decode(raw) if hmac.compare_digest(told.encode(), f"{state}.{seal}".encode()) else None


def _seal(state: bytes, tenant: str, secret: bytes) -> bytes:
    return hmac.digest(secret, tenant.encode() + b"\0" + state, "sha256")[:SEAL_BYTES]


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
