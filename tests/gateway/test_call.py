"""A client's request, read; and sent on under another model's name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.errors import RequestError
from router_model.serving.gateway.call import Asked, Call, Endpoint, read_call
from router_model.serving.gateway.config.limits import Limits

LIMITS = Limits()
USER = {"role": "user", "content": "hello"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}


def read(body: Any, endpoint: Endpoint = "chat", headers: dict[str, str] | None = None) -> Call:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_call(endpoint, raw, headers or {}, LIMITS)


def refused(body: Any, status: int = 400) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(body)
    assert caught.value.status == status
    assert caught.value.kind == "invalid_request_error"
    return caught.value


@pytest.mark.parametrize(
    ("word", "asked"),
    [
        ("auto", Asked("auto")),
        ("auto:quality=0.97", Asked("auto:quality=0.97", quality=0.97)),
        ("auto:budget=.4", Asked("auto:budget=.4", budget=0.4)),
        ("auto:budget=1", Asked("auto:budget=1", budget=1.0)),
        ("tier:large", Asked("tier:large", tier="large")),
        ("gpt-4o", Asked("gpt-4o", model="gpt-4o")),
        ("automatic", Asked("automatic", model="automatic")),
        ("Modell Größe 2", Asked("Modell Größe 2", model="Modell Größe 2")),
    ],
)
def test_the_model_names_a_dial_a_tier_or_a_model(word: str, asked: Asked) -> None:
    assert read({"model": word, "messages": [USER]}).asked == asked


@pytest.mark.parametrize(
    "word",
    [
        "",
        "a\nb",
        "x" * 257,
        None,
        7,
        ["auto"],
        "tier:",
        "auto:",
        "auto:quality",
        "auto:quality=",
        "auto:quality=0",
        "auto:quality=1.01",
        "auto:quality=nan",
        "auto:quality=1e-3",
        "auto:quality=-0.5",
        "auto:quality=٠.٥",
        "auto:speed=0.5",
        "auto:quality=0.5,budget=0.5",
        "auto:quality=0.5:budget=0.5",
    ],
)
def test_another_word_is_refused_with_those_that_there_are(word: Any) -> None:
    error = refused({"model": word, "messages": [USER]})
    assert error.param == "model"
    assert "auto:budget=0.4" in str(error)


def test_a_missing_model_is_named() -> None:
    assert refused({"messages": [USER]}).param == "model"


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({"messages": [USER]}, set()),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "what?"}, IMAGE]}]}, {"images"}),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}]}, {"images"}),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, {"images"}),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "image"}]}]}
                ]
            },
            {"images"},
        ),
        ({"messages": [USER], "tools": [TOOL]}, {"tools"}),
        ({"messages": [USER], "functions": [{"name": "f"}]}, {"tools"}),
        ({"messages": [USER], "tools": []}, set()),
        ({"messages": [USER], "response_format": SCHEMA}, {"json_schema"}),
        ({"messages": [USER], "response_format": {"type": "json_object"}}, set()),
        ({"input": "hello", "text": {"format": {"type": "json_schema", "name": "s"}}}, {"json_schema"}),
        ({"input": "hello", "text": {"verbosity": "low"}}, set()),
        ({"messages": [USER], "output_config": {"format": {"type": "json_schema"}}}, {"json_schema"}),
        ({"messages": [USER], "output_format": {"type": "json_schema"}}, {"json_schema"}),
        ({"messages": [USER], "tools": [TOOL], "response_format": SCHEMA}, {"tools", "json_schema"}),
        # What a tool was called with is anyone's JSON.
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "input": {"a": {"type": "image"}}}],
                    }
                ]
            },
            set(),
        ),
        ({"messages": [{"role": "user", "content": [{"type": {"a": 1}}, None, 7]}]}, set()),
    ],
)
def test_needs_are_seen_in_every_shape(body: dict[str, Any], needs: set[str]) -> None:
    assert read({"model": "auto", **body}).needs == needs


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        ({"messages": [{"role": "user", "content": "x" * 4000}]}, 1000, 1010),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 4000}]}]}, 1000, 1010),
        ({"input": "x" * 4000}, 1000, 1000),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "x" * 4000}]}]}, 1000, 1010),
        ({"input": ["x" * 2000, "x" * 2000]}, 1000, 1000),
        ({"prompt": list(range(1000))}, 1000, 1000),
        ({"system": "x" * 4000, "messages": []}, 1000, 1000),
        ({"messages": [USER], "tools": [{"description": "x" * 4000}]}, 1000, 1020),
        ({"messages": [{"role": "tool", "tool_call_id": "1", "content": "x" * 4000}]}, 1000, 1010),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "input": {"a": "x" * 4000}}]}]},
            1000,
            1020,
        ),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, 1024, 1030),  # whatever the length of its data
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "document", "source": {"type": "base64", "data": "x" * 9999}}],
                    }
                ]
            },
            1024,
            1030,
        ),
        ({}, 1, 1),
    ],
)
def test_tokens_are_a_quarter_of_the_characters(body: dict[str, Any], low: int, high: int) -> None:
    assert low <= read({"model": "auto", **body}).input_tokens <= high


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({}, 0),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_output_tokens": 9}, 9),
        ({"max_tokens": None}, 0),
        ({"max_tokens": True}, 0),
        ({"max_tokens": -1}, 0),
        ({"max_tokens": 10**30}, 0),
        ({"max_tokens": "7"}, 0),
    ],
)
def test_the_longest_answer_is_what_the_body_says(fields: dict[str, Any], most: int) -> None:
    assert read({"model": "auto", "messages": [USER], **fields}).output_tokens == most


def test_a_stream_is_asked_for_by_true_alone() -> None:
    assert read({"model": "auto", "stream": True}).stream
    assert not read({"model": "auto", "stream": False}).stream
    assert not read({"model": "auto", "stream": "yes"}).stream
    assert not read({"model": "auto", "stream": True, "input": "a"}, "embeddings").stream


def test_headers_that_go_up_say_nothing_of_the_client_s_key_or_connection() -> None:
    headers = {
        "authorization": "Bearer sk-client",
        "x-api-key": "sk-client",
        "cookie": "a=b",
        "host": "gateway",
        "connection": "keep-alive",
        "content-length": "2",
        "openai-organization": "org-client",
        "x-stainless-lang": "python",
        "x-forwarded-for": "10.0.0.1",
        "user-agent": "OpenAI/Python",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "tools\r\nx: y",
        "idempotency-key": "k",
        "accept-encoding": "gzip, deflate, br",
    }
    assert read({"model": "auto"}, headers=headers).headers == {
        "user-agent": "OpenAI/Python",
        "anthropic-version": "2023-06-01",
        "idempotency-key": "k",
        "accept-encoding": "gzip",
    }


@pytest.mark.parametrize(
    ("accepted", "stream", "asked"),
    [
        ("gzip", False, "gzip"),
        ("br;q=1.0, gzip;q=0.8", False, "gzip"),
        ("br, zstd", False, "identity"),
        ("gzip;q=0, br", False, "identity"),
        ("gzip; q=0.0", False, "identity"),
        ("x-gzip", False, "identity"),
        ("", False, "identity"),
        ("gzip", True, "identity"),
    ],
)
def test_upstreams_compress_only_what_the_gateway_can_read(accepted: str, stream: bool, asked: str) -> None:
    call = read({"model": "auto", "stream": stream}, headers={"accept-encoding": accepted})
    assert call.headers["accept-encoding"] == asked


# Renaming


@pytest.mark.parametrize(
    ("raw", "renamed"),
    [
        (b'{"model":"auto"}', b'{"model":"m"}'),
        (
            b' {\n"a" : 1 ,\r\n\t"model" \n:\t "auto" , "z":0}\n',
            b' {\n"a" : 1 ,\r\n\t"model" \n:\t "m" , "z":0}\n',
        ),
        (b'{"\\u006dodel":"auto"}', b'{"\\u006dodel":"m"}'),
        (b'{"x":{"model":"keep"},"model":"auto"}', b'{"x":{"model":"keep"},"model":"m"}'),
        (b'{"model":"auto","x":[{"model":"keep"}]}', b'{"model":"m","x":[{"model":"keep"}]}'),
        (b'{"a":"model","model":"auto"}', b'{"a":"model","model":"m"}'),
        (b'{"a":"\\"model\\":\\"x\\"","model":"auto"}', b'{"a":"\\"model\\":\\"x\\"","model":"m"}'),
        (b'{"a\\"model":"x","model":"auto"}', b'{"a\\"model":"x","model":"m"}'),
        (b'{"model":"one","model":"auto"}', b'{"model":"m","model":"m"}'),
        (b'{"model":7,"model":"auto"}', b'{"model":7,"model":"m"}'),
        (b'{"model":"\\u0061uto"}', b'{"model":"m"}'),
        (b'{"\\u006dodel":{"model":"x"},"model":"auto"}', b'{"\\u006dodel":{"model":"x"},"model":"m"}'),
    ],
)
def test_only_the_top_level_model_is_renamed(raw: bytes, renamed: bytes) -> None:
    assert read(raw).renamed("m") == renamed


def test_a_name_is_written_as_json() -> None:
    renamed = read({"model": "auto"}).renamed('a"b\\é')
    assert json.loads(renamed) == {"model": 'a"b\\é'}


# Fields of a provider's own


@pytest.mark.parametrize(
    ("raw", "filled"),
    [
        (b'{"model":"auto" , "x":1}', b'{"effort": "low","model":"m" , "x":1}'),
        (
            b' { "x":{"effort":"high"},"model":"auto"}',
            b' {"effort": "low", "x":{"effort":"high"},"model":"m"}',
        ),
        (b'{"model":"auto","effort":"high"}', b'{"model":"m","effort":"low"}'),
        (b'{"model":"auto","\\u0065ffort":"high"}', b'{"model":"m","effort":"low"}'),
        (b'{"effort":1,"model":"auto","effort":2}', b'{"effort":"low","model":"m"}'),
    ],
)
def test_a_provider_sets_fields_and_leaves_the_rest_as_it_came(raw: bytes, filled: bytes) -> None:
    assert read(raw).filled("m", {"effort": "low"}) == filled


@pytest.mark.parametrize(("asked", "sent"), [(None, 500), (100, 100), (900, 500), (0, 500), ("many", 500)])
def test_of_two_bounds_on_an_answer_the_lesser_goes_up(asked: Any, sent: int) -> None:
    body = {"model": "auto"} if asked is None else {"model": "auto", "max_tokens": asked}
    assert json.loads(read(body).filled("m", {"max_tokens": 500})) == {"model": "m", "max_tokens": sent}


def test_half_a_surrogate_pair_is_passed_on_beside_a_field() -> None:
    raw = b'{"model":"auto","effort":1,"x":"\\ud83d"}'
    assert json.loads(read(raw).filled("m", {"effort": 2}))["x"] == "\ud83d"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["model", '"model"', "\\", '"']
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[dict[str, Any], bytes, bytes]:
    """A body, its bytes as any client may write them, and the same with the value of "model" replaced."""
    fields = list(draw(st.dictionaries(TEXT, JSON, max_size=4)).items())
    fields = [(key, value) for key, value in fields if key != "model"]
    word = draw(st.sampled_from(["auto", "tier:é", "auto:quality=0.5", 'my "own" \\ model']))
    fields.insert(draw(st.integers(0, len(fields))), ("model", word))
    plain = draw(st.booleans())
    space = st.sampled_from(["", " ", "\n\t", "\r\n  "])
    written: dict[str, list[str]] = {"before": [], "after": []}
    for key, value in fields:
        name = json.dumps(key, ensure_ascii=plain)
        if key == "model" and draw(st.booleans()):
            name = '"mod\\u0065l"'
        around = [draw(space) for _ in range(4)]
        for side, model in (("before", word), ("after", "other/model")):
            text = json.dumps(model if key == "model" else value, ensure_ascii=plain)
            written[side].append(f"{around[0]}{name}{around[1]}:{around[2]}{text}{around[3]}")
    before, after = (("{" + ",".join(written[side]) + "}").encode() for side in ("before", "after"))
    return dict(fields), before, after


@given(bodies())
def test_renaming_changes_the_model_and_no_other_byte(case: tuple[dict[str, Any], bytes, bytes]) -> None:
    body, before, after = case
    call = read(before)
    assert call.body == body
    renamed = call.renamed("other/model")
    assert json.loads(renamed) == {**body, "model": "other/model"}
    # A client escapes the name as it likes; we write it plainly.
    assert renamed == after


@given(JSON)
def test_whatever_json_comes_is_read_or_refused(value: Any) -> None:
    try:
        call = read(value)
    except RequestError:
        return
    assert call.input_tokens >= 1
    assert json.loads(call.renamed("m"))["model"] == "m"
