"""Bodies made to cost time, memory or a crash."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.errors import RequestError
from router_model.serving.gateway.body import MAX_VALUES
from router_model.serving.gateway.call import Call, read_call
from router_model.serving.gateway.config.limits import Limits

LIMITS = Limits()


def read(raw: bytes, limits: Limits = LIMITS) -> Call:
    return read_call("chat", raw, {}, limits)


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """A body whose containers nest so deep, itself among them."""
    return f'{{"model":"auto","a":{opening * (depth - 1)}{closing * (depth - 1)}}}'.encode()


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [
        (b"", 400, "not JSON"),
        (b"null", 400, "a JSON null; give an object"),
        (b"[]", 400, "a JSON array; give an object"),
        (b'"auto"', 400, "a JSON string; give an object"),
        (b"1", 400, "a JSON number; give an object"),
        (b"true", 400, "a JSON boolean; give an object"),
        (b'{"model":"auto"', 400, "not JSON"),
        (b'{"model":"auto"}{', 400, "not JSON"),
        (b'{"model":"auto",}', 400, "not JSON"),
        (b"{'model':'auto'}", 400, "not JSON"),
        (b'{"model":"auto","a":NaN}', 400, "not JSON"),
        (b'{"model":"auto","a":NaN,"b":"\\ud800"}', 400, "not JSON"),
        (b'{"model":"auto","a":1e999}', 400, "not JSON"),
        (b'{"model":"auto","a":"\x00"}', 400, "not JSON"),
        (b'\xef\xbb\xbf{"model":"auto"}', 400, "not JSON"),
        ('{"model":"auto"}'.encode("utf-16"), 400, "not JSON"),
        (b'{"model":"auto","a":"\xff"}', 400, "not UTF-8"),
        (b'{"model":"auto","a":"\xed\xa0\x80"}', 400, "not UTF-8"),
        (b'{"model":"auto","a":"\xc0\xaf"}', 400, "not UTF-8"),
        (b'{"model":"\\ud800"}', 400, "'model' is not a printable text"),
        (b"[" * 1_000_000, 400, "deeper than 64"),
        (b'{"a":' * 200_000, 400, "deeper than 64"),
        (b'{"model":"auto","b":"\\ud800","a":' + b"[" * 100_000, 400, "deep"),
        (nested(900, '{"a":', "}").replace(b'"a":}', b'"a":0}'), 400, "deeper than 64"),
        (b'{"model":"auto","b":"\\ud800","a":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "deep"),
        (b'{"model":"auto","a":[' + b"0," * MAX_VALUES + b"0]}", 413, "commas and brackets"),
        (b"[" * (MAX_VALUES + 1), 413, "commas and brackets"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_body_is_refused(raw: bytes, status: int, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        read(raw)
    assert caught.value.status == status
    assert len(str(caught.value)) < 400


def test_depth_is_counted_exactly() -> None:
    read(nested(64))
    with pytest.raises(RequestError, match="deeper than 64 levels"):
        read(nested(65))
    read(nested(5), Limits(depth=5))
    with pytest.raises(RequestError, match="deeper than 5 levels"):
        read(nested(6), Limits(depth=5))


def test_brackets_in_texts_are_no_depth() -> None:
    text = "[" * 10_000 + "{" * 10_000
    assert read(json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]}).encode())


def test_a_long_body_is_refused_before_it_is_read() -> None:
    with pytest.raises(RequestError, match="over 1000 bytes") as caught:
        read(b"[" * 1001, Limits(body_bytes=1000))
    assert caught.value.status == 413


def test_halves_of_surrogate_pairs_pass_through() -> None:
    raw = b'{"messages":[{"role":"user","content":"cut \\ud83d"}],"tools":[{"a":"\\uDC00"}],"model":"auto"}'
    call = read(raw)
    assert call.body["messages"][0]["content"] == "cut \ud83d"
    assert call.renamed("m") == raw.replace(b'"auto"', b'"m"')


@pytest.mark.parametrize(
    "number", [b"1" * 5000, b"-" + b"9" * 400, b"1" * 400 + b".5", b"0.1e-400", b"18446744073709551616"]
)
def test_numbers_beyond_any_machine_s_are_refused_or_pass_as_they_came(number: bytes) -> None:
    raw = b'{"a":{"model":1},"n":' + number + b',"model":"auto"}'
    try:
        call = read(raw)
    except RequestError:
        return
    assert call.renamed("m") == raw.replace(b'"auto"', b'"m"')


def test_renaming_a_body_of_escapes_is_no_deep_recursion() -> None:
    raw = b'{"a":"' + b'\\"' * 2_000_000 + b'","b":{"model":1},"\\u006dodel":"auto"}'
    assert read(raw).renamed("m") == raw.replace(b'"auto"', b'"m"')


def check(raw: bytes) -> None:
    """It is refused, or what goes up is JSON with the other model."""
    try:
        call = read(raw)
    except RequestError:
        return
    assert json.loads(call.renamed("m"))["model"] == "m"


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for body in (raw, b'{"model":"auto","a":' + raw + b"}", b'{"model":"auto","a":"' + raw + b'"}'):
        check(body)


@given(st.text('{}[]",:\\ud8u006el\n\t model01', max_size=40))
def test_near_json_is_read_or_refused(text: str) -> None:
    check(b'{"model":"auto",' + text.encode() + b"}")
