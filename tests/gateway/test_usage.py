"""Tokens, as upstreams tell them: in whole answers, in streams cut anywhere, and where they say nothing."""

import gzip
import json
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.serving.gateway.call import Call, Endpoint, read_call
from router_model.serving.gateway.config.limits import Limits
from router_model.serving.gateway.usage import StreamUsage, Usage, usage_of

CHAT = {
    "prompt_tokens": 100,
    "completion_tokens": 40,
    "total_tokens": 140,
    "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 32},
}
RESPONSES = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 32},
    "total_tokens": 140,
}
MESSAGES = {
    "input_tokens": 20,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 50,
    "output_tokens": 40,
    "service_tier": "standard",
}
TOLD = Usage(100, 40, cached=64, reasoning=32)


def call_for(endpoint: Endpoint = "chat") -> Call:
    body = {"model": "auto", "messages": [{"role": "user", "content": "x" * 400}]}
    return read_call(endpoint, json.dumps(body).encode(), {}, Limits())


def sse(*events: Any, named: bool = False) -> bytes:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        lines.append(f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
    return "".join(lines).encode()


def delta(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}], **more}


def claude(*texts: str, last: dict[str, Any] | None) -> bytes:
    start = {"type": "message_start", "message": {"id": "m", "usage": {**MESSAGES, "output_tokens": 1}}}
    pieces = [
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    end = [{"type": "message_delta", "usage": last}, {"type": "message_stop"}] if last else []
    return sse(start, *pieces, *end, named=True)


def counted(endpoint: Endpoint, stream: bytes, size: int = 100, encoding: str = "") -> Usage:
    usage = StreamUsage(endpoint, encoding)
    for start in range(0, len(stream), size):
        usage.feed(stream[start : start + size])
    return usage.usage(call_for(endpoint))


@pytest.mark.parametrize(
    ("endpoint", "usage", "told"),
    [
        ("chat", CHAT, TOLD),
        ("completions", CHAT, TOLD),
        ("responses", RESPONSES, TOLD),
        ("messages", MESSAGES, Usage(100, 40, cached=50, written=30)),
        ("embeddings", {"prompt_tokens": 8, "total_tokens": 8}, Usage(8, 0)),
        (
            "chat",
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4},
            Usage(9, 1, cached=4),
        ),
        ("chat", {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": None}, Usage(9, 1)),
        # Reasoning that stands in the total alone.
        ("chat", {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 30}, Usage(9, 21)),
        # Parts cannot be more than the whole.
        (
            "chat",
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(9, 1, cached=9),
        ),
    ],
)
def test_whole_answers_of_every_shape(endpoint: Endpoint, usage: dict[str, Any], told: Usage) -> None:
    body = json.dumps({"id": "x", "choices": [{"message": {"content": "hello"}}], "usage": usage}).encode()
    assert usage_of(endpoint, body) == told
    assert counted(endpoint, body) == told
    assert usage_of(endpoint, gzip.compress(body), "gzip") == told
    assert usage_of(endpoint, zlib.compress(body), "deflate") == told


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"not json",
        b'{"usage":null}',
        b'{"usage":[]}',
        b'{"usage":{}}',
        b'{"usage":{"prompt_tokens":-1,"completion_tokens":1e3}}',
        b'{"usage":{"prompt_tokens":true}}',
        b'{"usage":{"prompt_tokens":99999999999999}}',
        b'{"error":{"message":"\xff"}}',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body)[:40],
)
def test_an_answer_that_tells_nothing(body: bytes) -> None:
    assert usage_of("chat", body) is None
    assert usage_of("messages", body) is None
    assert counted("chat", body, 10_000).estimated


def test_half_a_usage_is_completed_by_an_estimate() -> None:
    answer = b'{"choices":[{"message":{"content":"12345678"}}]'
    body = answer + b',"usage":{"prompt_tokens":9,"completion_tokens":"1"}}'
    assert usage_of("chat", body) is None
    assert counted("chat", body) == Usage(9, 2, estimated=True)
    body = b'{"usage":{"prompt_tokens":null,"completion_tokens":3}}'
    assert counted("chat", body) == Usage(call_for().input_tokens, 3, estimated=True)


def test_what_cannot_be_inflated_tells_nothing() -> None:
    body = json.dumps({"usage": CHAT}).encode()
    assert usage_of("chat", body, "br") is None
    assert usage_of("chat", body, "gzip") is None
    assert usage_of("chat", gzip.compress(body)[:-20], "gzip") is None
    assert counted("chat", body, encoding="zstd") == Usage(call_for().input_tokens, 0, estimated=True)


STREAMS = [
    ("chat", sse(delta("Hel"), delta("lo"), {"choices": [], "usage": CHAT}, "[DONE]"), TOLD),
    # Some tell it with every chunk, most say null until the last.
    (
        "chat",
        sse(
            delta("Hello", usage=None),
            delta("", usage={**CHAT, "completion_tokens": 1}),
            delta("", usage=CHAT),
        ),
        TOLD,
    ),
    ("completions", sse({"choices": [{"text": "Hello"}]}, {"choices": [], "usage": CHAT}, "[DONE]"), TOLD),
    (
        "responses",
        sse(
            {"type": "response.output_text.delta", "delta": "Hello"},
            {
                "type": "response.completed",
                "response": {
                    "output": [{"content": [{"text": "long " * 20_000}]}],
                    "usage": RESPONSES,
                    "tools": [{"parameters": {"properties": {"usage": {"type": "string"}}}}],
                },
            },
            named=True,
        ),
        TOLD,
    ),
    ("messages", claude("Hel", "lo", last={"output_tokens": 40}), Usage(100, 40, cached=50, written=30)),
    ("messages", claude("word " * 9000, last={"output_tokens": 40}), Usage(100, 40, cached=50, written=30)),
    ("messages", claude("Hello", last=MESSAGES), Usage(100, 40, cached=50, written=30)),
]


@pytest.mark.parametrize(("endpoint", "stream", "told"), STREAMS)
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_streams_of_every_shape_cut_anywhere(
    endpoint: Endpoint, stream: bytes, told: Usage, size: int
) -> None:
    assert counted(endpoint, stream, size) == told
    assert counted(endpoint, gzip.compress(stream), size, "gzip") == told


@given(st.sampled_from(STREAMS[:3]), st.lists(st.integers(0, 1000)))
def test_any_cuts(case: tuple[Endpoint, bytes, Usage], cuts: list[int]) -> None:
    endpoint, stream, told = case
    usage = StreamUsage(endpoint)
    for start, end in pairwise([0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]):
        usage.feed(stream[start:end])
    assert usage.usage(call_for(endpoint)) == told


def test_a_stream_that_tells_nothing_is_estimated_by_its_texts() -> None:
    stream = sse(*(delta("word ") for _ in range(200)), "[DONE]")
    usage = counted("chat", stream)
    assert usage.estimated
    assert usage.input == call_for().input_tokens
    assert usage.output == pytest.approx(250, rel=0.05)


def test_the_estimate_of_a_long_stream_goes_by_its_beginning() -> None:
    usage = counted("chat", sse(*(delta("word ") for _ in range(20_000))), 4096)
    assert usage.output == pytest.approx(25_000, rel=0.05)


def test_a_cut_stream_of_claude_s_keeps_its_input_and_has_its_output_estimated() -> None:
    assert counted("messages", claude("word " * 80, last=None)) == Usage(
        100, 100, cached=50, written=30, estimated=True
    )


def test_texts_cannot_tell_tokens() -> None:
    lie = '{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}'
    assert counted("chat", sse(delta(lie), {"choices": [], "usage": CHAT}, delta(lie))) == TOLD
    assert counted("chat", sse(delta(lie))).estimated


def test_little_is_kept_of_a_long_stream() -> None:
    usage = StreamUsage("chat")
    chunk = sse(delta("word " * 200))
    for _ in range(2000):
        usage.feed(chunk)
    kept = sum(map(len, [*usage._head, *usage._tail]))
    assert usage.bytes == 2000 * len(chunk)
    assert kept < 40_000


def test_many_marks_cost_little_and_hide_nothing_before_them() -> None:
    usage = StreamUsage("chat")
    usage.feed(b'{"usage":' * 1_000_000)
    assert usage.usage(call_for()).estimated
    tools = [{"parameters": {"properties": {"usage": {"type": "string"}}}}] * 20
    assert counted("responses", json.dumps({"usage": RESPONSES, "tools": tools}).encode()) == TOLD


def test_a_bomb_is_not_inflated_whole() -> None:
    bomb = gzip.compress(bytes(80 << 20), 1)
    usage = StreamUsage("chat", "gzip")
    usage.feed(bomb)
    assert usage.bytes <= 65 << 20
    assert usage_of("chat", bomb, "gzip") is None
