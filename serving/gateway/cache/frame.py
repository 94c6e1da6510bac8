"""A kept answer as bytes, for a store that others may write to: nothing that comes back is trusted.

``RMC1``, then big-endian, 4 bytes each: CRC-32 of all that follows, the number of headers, the number of
parts, the length of each part; then the parts: key, status, tier, provider, the headers' names and values in
turn, and the pieces of the body.
"""

import re
import zlib
from itertools import accumulate, pairwise
from struct import Struct, pack, unpack_from

from router_model.serving.gateway.cache.kept import Kept

MAGIC = b"RMC1"
HEAD = Struct(">4sIII")
CHECKED = 8  # of the head, what the checksum does not cover
FIXED = 4  # parts before the headers
MOST_HEADERS = 256

HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
HEADER_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")  # no line ends, which would begin another header


def framed(key: bytes, kept: Kept) -> bytes:
    """The bytes of an answer."""
    headers = [text for header in kept.headers for text in header]
    names = (str(kept.status).encode(), kept.tier.encode(), kept.provider.encode())
    parts = [key, *names, *headers, *kept.chunks]
    body = pack(f">II{len(parts)}I", len(kept.headers), len(parts), *map(len, parts)) + b"".join(parts)
    return MAGIC + pack(">I", zlib.crc32(body)) + body


def unframed(key: bytes, raw: bytes) -> Kept | None:
    """The answer of that key, or None where the bytes are anything else."""
    parts = _parts(raw)
    if parts is None or parts[0] != key or parts[1] != b"200":
        return None
    headers = HEAD.unpack_from(raw)[2]
    texts = parts[FIXED : FIXED + 2 * headers]
    pairs = tuple(zip(texts[::2], texts[1::2], strict=True))
    if not all(HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value) for name, value in pairs):
        return None
    try:
        tier, provider = parts[2].decode(), parts[3].decode()
    except UnicodeDecodeError:
        return None
    return Kept(200, pairs, tuple(parts[FIXED + 2 * headers :]), tier, provider)


def _parts(raw: bytes) -> list[bytes] | None:
    if len(raw) < HEAD.size:
        return None
    magic, checksum, headers, count = HEAD.unpack_from(raw)
    start = HEAD.size + 4 * count
    fits = headers <= MOST_HEADERS and FIXED + 2 * headers <= count and start <= len(raw)
    if magic != MAGIC or not fits or zlib.crc32(memoryview(raw)[CHECKED:]) != checksum:
        return None
    lengths = unpack_from(f">{count}I", raw, HEAD.size)
    ends = list(accumulate(lengths, initial=start))
    return [raw[a:b] for a, b in pairwise(ends)] if ends[-1] == len(raw) else None
