"""What makes two requests equal: all of them but the order of their keys."""

import hashlib
from collections.abc import Iterable
from functools import cache
from struct import Struct

import msgspec

from router_model.serving.gateway.call import Call

# Of the client's headers, those that change nothing in an answer. All others do, accept-encoding among them.
SILENT = frozenset({"user-agent", "idempotency-key", "x-request-id", "traceparent", "tracestate"})
LENGTH = Struct(">Q")


@cache
def _encoder() -> msgspec.json.Encoder:
    return msgspec.json.Encoder(order="sorted")


def key_of(call: Call, tenant: str) -> bytes:
    """SHA-256 of tenant, endpoint, asked word, headers and canonical body: 32 bytes.

    Canonical is JSON with sorted keys and no blanks. ``1`` and ``1.0`` differ, as do ``null`` and a key that
    is absent: a provider may tell them apart. Escapes do not differ, nor do numbers of the same double.
    """
    headers = sorted(item for item in call.headers.items() if item[0] not in SILENT)
    names = (tenant, call.endpoint, call.asked.word, *(word for item in headers for word in item))
    body = _encoder().encode(call.body)
    return digest((*(name.encode("utf-8", "surrogatepass") for name in names), body))


def digest(parts: Iterable[bytes]) -> bytes:
    """SHA-256 of byte strings, each with its length, so that no two lists run into one."""
    found = hashlib.sha256()
    for part in parts:
        found.update(LENGTH.pack(len(part)))
        found.update(part)
    return found.digest()
