"""Hostile bytes in the place of kept answers: refused, whatever they are, and at bounded cost."""

from struct import pack
from zlib import compress, crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.serving.gateway.cache.frame import framed, unframed
from router_model.serving.gateway.cache.kept import Kept, plain

KEY = b"k" * 32
TOKEN = st.from_regex(rb"[a-z-]{1,20}", fullmatch=True)
VALUE = st.from_regex(rb"[ -~]{0,40}", fullmatch=True)
KEPT = st.builds(
    Kept,
    st.just(200),
    st.lists(st.tuples(TOKEN, VALUE), max_size=5).map(tuple),
    st.lists(st.binary(max_size=50), max_size=10).map(tuple),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)


@given(KEPT)
def test_an_answer_comes_back_as_it_was(kept: Kept) -> None:
    assert unframed(KEY, framed(KEY, kept)) == kept


@given(KEPT, st.data())
def test_a_frame_with_any_byte_altered_or_cut_is_refused(kept: Kept, data: st.DataObject) -> None:
    raw = bytearray(framed(KEY, kept))
    place = data.draw(st.integers(0, len(raw) - 1))
    assert unframed(KEY, bytes(raw[:place])) is None
    raw[place] ^= data.draw(st.integers(1, 255))
    assert unframed(KEY, bytes(raw)) is None


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_any_bytes_with_a_right_checksum_are_none_or_frame_again(
    rest: bytes, headers: int, count: int
) -> None:
    for body in (rest, pack(">II", headers, count) + rest, pack(">II", headers % 4, count % 12) + rest):
        found = unframed(KEY, b"RMC1" + pack(">I", crc32(body)) + body)
        assert found is None or unframed(KEY, framed(KEY, found)) == found


@pytest.mark.parametrize("name", [b"", b"a b", b"a\r\nb", b"A", b"a:"])
def test_a_header_that_would_be_another_is_refused(name: bytes) -> None:
    assert unframed(KEY, framed(KEY, Kept(200, ((name, b""),), ()))) is None


def test_a_body_that_unfolds_to_far_more_is_not_unfolded() -> None:
    bomb = compress(b"\0" * (64 << 20), 1)
    assert plain(((b"content-encoding", b"deflate"),), bomb) == b""
