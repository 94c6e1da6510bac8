"""Streams of events are handed on whole and only at the ends of events."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from router_model.serving.gateway.events import MAX_HELD, Events

ENDS = ["\n\n", "\r\n\r\n", "\r\r"]
LINES = st.text('abc: \\"{}', max_size=12)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    end = draw(st.sampled_from(ENDS))
    line = end[: len(end) // 2]
    events = draw(st.lists(st.lists(LINES.filter(bool), min_size=1, max_size=3), max_size=6))
    stream = "".join(line.join(event) + end for event in events).encode() + draw(LINES).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    places = [0, *cuts, len(stream)]
    return stream, [stream[a:b] for a, b in pairwise(places)]


@given(chunked())
def test_what_goes_out_ends_where_an_event_ends_and_nothing_is_lost(case: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = case
    events, out = Events(), b""
    for chunk in chunks:
        out += events.feed(chunk)
        assert not out or out.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        assert stream.startswith(out)
        assert not events.torn
    assert out + events.rest() == stream


@given(chunked())
def test_all_whole_events_have_gone_out(case: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = case
    events = Events()
    out = b"".join(map(events.feed, chunks))
    held = stream[len(out) :]
    assert not any(end.encode() in held for end in ENDS)


def test_an_event_without_end_goes_on_in_pieces_and_is_told() -> None:
    events, chunk, out = Events(), b"x" * 65_536, 0
    for _ in range(40):
        out += len(events.feed(chunk))
    assert events.torn
    assert out + MAX_HELD >= 40 * len(chunk)
    assert out + len(events.rest()) == 40 * len(chunk)


def test_after_a_torn_event_the_next_are_whole_again() -> None:
    events = Events()
    events.feed(b"y" * (MAX_HELD + 1))
    assert events.torn
    assert events.feed(b"\n") == b"\n"
    assert events.feed(b"\ndata: a") == b"\n"
    assert not events.torn
    assert events.feed(b"\n\n") == b"data: a\n\n"
