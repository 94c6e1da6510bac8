"""Files of a gateway that are broken, or made to cost time, to hide a section, or to show what they hold."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.errors import GatewayConfigError
from router_model.serving.gateway.config.config import GatewayConfig

PROVIDER = (
    '{"name":"b","base_url":"http://a","model":"m","input_usd_per_million":0,"output_usd_per_million":0%s}'
)
WHOLE = f'{{"tiers":[{{"name":"a","providers":[{PROVIDER}]}}]%s}}'


def refused(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(GatewayConfigError) as caught:
        GatewayConfig.read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\x00" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected `object`, got `null`"),
        ("\x00", "not readable"),
        (b"\xff\xfe\x00", "not readable"),
        ("tiers: [", "not readable"),
        ("- a", "expected `object`, got `array`"),
        ("tiers: &a [*a]", "an alias"),
        ("tiers: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("tiers: !!binary aGVsbG8=", "expected `array`, got `bytes`"),
        ("2020-01-01: x", "a key of the file: expected `str`"),
        ("{" * 1000, "nests deeply"),
        ("x: !!int 1" + "0" * 5000, "not readable"),
        ("tiers: []\nkeys: []\ntiers: []", "the key 'tiers' stands twice, line 3"),
        ("tiers: []\nlisten: {port: 1, port: 2}", "the key 'port' stands twice, line 2"),
        ("tiers:\n- {name: a, name: b}", "the key 'name' stands twice, line 2"),
        ("a: 1\n" * 300_000, "larger than"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_yaml_that_is_no_gateway_s(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert message in refused(tmp_path / "gw.yaml", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not readable"),
        ("null", "expected `object`"),
        ("[" * 100_000, "not readable"),
        ('{"tiers":[],"keys":[],"tiers":[]}', "the key 'tiers' stands twice"),
        ('{"tiers":NaN}', "tiers: expected `array`"),
        ('{"\\ud800":1}', "half of a surrogate pair"),
        (WHOLE % ("", ',"router":"\\ud800"'), "router: give an artifact's path"),
        (WHOLE % ("", ',"router":"a\\u0000b"'), "router: give an artifact's path"),
        (WHOLE % (',"headers":{"\\ud800":"a"}', ""), "is no header's name"),
        (WHOLE % (',"headers":{"a":"\\ud800"}', ""), "headers.a: holds"),
        (WHOLE % (',"weight":1e999', ""), "weight: expected `float` <="),
        (WHOLE % ("", ',"listen":{"port":1e400}'), "listen.port: expected `int`"),
        (WHOLE % ("", ',"capacity":{"reserved":{"a":1e9}}'), "capacity.reserved"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_json_that_is_no_gateway_s(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path / "gw.json", text)


@pytest.mark.parametrize(
    "text",
    [
        "api_key: sk-sesame",
        "tiers: a: sk-sesame",
        'tiers: "sk-sesame',
        "tiers: [sk-sesame",
        "tiers: sk-sesame",
        "listen: {port: sk-sesame}",
        "keys: [{name: a, sha256: sk-sesame}]",
        "tiers: [{name: a, providers: [{name: b, model: m, base_url: 'http://sk-sesame@a'}]}]",
        "tiers: [{name: a, providers: [{name: b, model: m, base_url: 'http://a?key=sk-sesame'}]}]",
        "tiers: [{name: a, providers: [{name: b, headers: {x: 'sk-sesame', y: [sk-sesame]}}]}]",
    ],
)
def test_no_error_shows_what_a_file_holds(tmp_path: Path, text: str) -> None:
    assert "sesame" not in refused(tmp_path / "gw.yaml", text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GatewayConfigError, match=r"none\.yaml: No such file"):
        GatewayConfig.read(tmp_path / "none.yaml")


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*GatewayConfig.__struct_fields__, "name", "usd"]) | st.integers(), inner
        )
    ),
    max_leaves=8,
)


@given(VALUE)
def test_any_value_is_read_or_refused(value: Any) -> None:
    try:
        GatewayConfig.from_dict(value)
    except GatewayConfigError as error:
        assert str(error).startswith("gateway: ")  # noqa: PT017  # a value may be fine, too
