"""Who calls: clients' keys, of which the gateway knows only the hashes."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from router_model.errors import RequestError
from router_model.serving.gateway.config.key import Key

Scope = Literal["call", "route", "feedback", "metrics"]

SCOPES: frozenset[Scope] = frozenset({"call", "route", "feedback", "metrics"})
PREFIX = "rm-"
KEY_BYTES = 32  # at random, so that a plain hash of a key tells nothing of it
LONGEST_KEY = 512


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is.

    Attributes:
        name: of the key, never the key itself.
        tenant: that the key belongs to.
        scopes: what it may do.
    """

    name: str
    tenant: str
    scopes: frozenset[Scope]

    def must(self, scope: Scope) -> None:
        """Refuse what the key may not do.

        Raises:
            RequestError: 403, the key has not this scope.
        """
        if scope not in self.scopes:
            raise RequestError(
                403,
                "permission_error",
                f"the key {self.name!r} may not {scope}; ask for one with the scope {scope!r}",
            )


OPEN = Caller("open", "default", SCOPES)


class Keys:
    """The keys of a gateway; with none, whoever reaches the port may do everything."""

    def __init__(self, keys: Sequence[Key]) -> None:
        # Looked up by a hash of the hash under a secret of this process: how long a look-up takes tells a
        # guesser nothing, however many keys there are.
        self._secret = secrets.token_bytes(32)
        self._callers = {
            self._blind(bytes.fromhex(key.sha256)): (
                bytes.fromhex(key.sha256),
                Caller(key.name, key.tenant, frozenset(key.scopes)),
            )
            for key in keys
        }

    def find(self, headers: Mapping[str, str]) -> Caller:
        """The caller whose key stands in ``authorization: Bearer ...`` or ``x-api-key``.

        ``headers`` have lower-case names.

        Raises:
            RequestError: 401, there is no key, or nobody's.
        """
        if not self._callers:
            return OPEN
        key = _key(headers)
        if not key:
            raise RequestError(
                401,
                "authentication_error",
                "no key; send 'authorization: Bearer KEY' or 'x-api-key: KEY'",
            )
        if len(key) <= LONGEST_KEY:
            digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
            known, caller = self._callers.get(self._blind(digest), (b"", OPEN))
            if hmac.compare_digest(known, digest):
                return caller
        raise RequestError(401, "authentication_error", "the key is not known here; check it, or ask for one")

    def _blind(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._secret).digest()


def fresh_key() -> tuple[str, str]:
    """A new key, and the hexadecimal SHA-256 of it that the file of the gateway holds."""
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return key, hashlib.sha256(key.encode()).hexdigest()


def _key(headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return headers.get("x-api-key", "").strip()
