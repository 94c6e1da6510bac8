"""Bytes of a request's body: parsed within bounds, and ``model`` replaced in them."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from router_model.errors import RequestError, one_line
from router_model.serving.gateway.config.limits import Limits

MAX_VALUES = 1 << 20  # one of 2 bytes can cost 60 of memory once it is parsed

SPACE = re.compile(r"[ \t\n\r]*")
VALUE = re.compile(rb'[ \t\n\r]*:[ \t\n\r]*("[^"\\]*(?:\\.[^"\\]*)*")')
KEY = b'"model"'
LENGTHS = frozenset(("max_completion_tokens", "max_tokens", "max_output_tokens"))
ESCAPED_LETTER = b"\\u006"  # as all letters of the key are escaped, if they are

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode
scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode  # numbers are only passed over


def parse(raw: bytes, limits: Limits) -> dict[str, Any]:
    """The object that ``raw`` holds.

    Raises:
        RequestError: 413 for more bytes or values than a body may have, 400 for what is no JSON object in
            UTF-8 or nests deeper than ``limits.depth``.
    """
    if len(raw) > limits.body_bytes:
        raise RequestError(
            413, "invalid_request_error", f"the body has over {limits.body_bytes} bytes; send less"
        )
    containers = raw.count(b"[") + raw.count(b"{")
    if containers + raw.count(b",") > MAX_VALUES:
        raise RequestError(
            413,
            "invalid_request_error",
            f"the body has over {MAX_VALUES} commas and brackets, and so may have as many values; send fewer",
        )
    try:
        body = decode(raw)
    except msgspec.DecodeError as error:
        body = _with_lone_surrogates(raw, error)
    except UnicodeDecodeError:
        raise _refused("the body is not UTF-8; encode it as that") from None
    except RecursionError:
        raise _too_deep(limits) from None
    if body.__class__ is not dict:
        raise _refused(f"the body is a JSON {_kind(body)}; give an object")
    if containers > limits.depth and _deeper(body, limits.depth):
        raise _too_deep(limits)
    return body


def _with_lone_surrogates(raw: bytes, error: Exception) -> Any:
    """What msgspec refused, read by the standard library if half of a pair may have been why.

    Clients that cut texts by UTF-16 units send such halves, and it is for the upstream to judge them.
    """
    if b"\\ud" in raw or b"\\uD" in raw:
        try:
            return json.loads(raw.decode(), parse_constant=_no_constant)
        except RecursionError:
            raise _refused("the body nests deeply; send it flatter") from None
        except ValueError:
            pass
    raise _refused(f"the body is not JSON: {one_line(error)}; mend it") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and its kin are Python's, not JSON's


def _deeper(body: dict[str, Any], depth: int) -> bool:
    """Whether containers nest deeper than ``depth``, level by level, so that no depth can exhaust a stack."""
    level: list[Any] = [body]
    for _ in range(depth):
        level = [
            child
            for node in level
            for child in (node.values() if node.__class__ is dict else node)
            if child.__class__ is dict or child.__class__ is list
        ]
        if not level:
            return False
    return True


def rename(raw: bytes, model: str) -> bytes:
    """``raw``, a valid object, with ``model`` as the value of each top-level "model" that holds a string."""
    value = encode(model)
    if raw.count(KEY) == 1 and ESCAPED_LETTER not in raw:  # then this is the key, wherever it stands
        found = VALUE.match(raw, raw.index(KEY) + len(KEY))
        if found is not None:
            return b"".join((raw[: found.start(1)], value, raw[found.end(1) :]))
    text, pieces, end = raw.decode(), [], 0
    for start, stop in _models(text):
        pieces += [text[end:start], value.decode()]
        end = stop
    return "".join((*pieces, text[end:])).encode()


def filled(raw: bytes, body: Mapping[str, Any], fields: Mapping[str, Any]) -> bytes:
    """``raw`` with ``fields`` at its top level, before what it holds, whose bytes stay as they came.

    Where ``body``, which is ``raw`` parsed, has one of them itself, it is written anew without it. Of two
    bounds on the length of an answer the lesser holds.
    """
    if fields.keys().isdisjoint(body):
        start = raw.index(b"{") + 1
        return b"".join((raw[:start], json.dumps(fields).encode()[1:-1], b",", raw[start:]))
    lesser = {
        key: min(body[key], value)
        for key, value in fields.items()
        if key in LENGTHS and body.get(key).__class__ is int and body[key] > 0
    }
    return json.dumps({**body, **fields, **lesser}, separators=(",", ":")).encode()


def _models(text: str) -> list[tuple[int, int]]:
    """Where the values of top-level "model" keys stand, of those that are strings."""
    found, place = [], text.index("{")
    while text[place] in "{," and text[place := _past_space(text, place + 1)] == '"':
        key, place = scan(text, place)
        place = _past_space(text, _past_space(text, place) + 1)  # the colon between
        _, end = scan(text, place)
        if key == "model" and text[place] == '"':
            found.append((place, end))
        place = _past_space(text, end)
    return found


def _past_space(text: str, place: int) -> int:
    return SPACE.match(text, place).end()  # type: ignore[union-attr]  # it matches nothing, too


def _kind(value: Any) -> str:
    return {list: "array", str: "string", bool: "boolean", type(None): "null"}.get(type(value), "number")


def _too_deep(limits: Limits) -> RequestError:
    return _refused(f"the body nests deeper than {limits.depth} levels; send it flatter")


def _refused(message: str) -> RequestError:
    return RequestError(400, "invalid_request_error", message)
