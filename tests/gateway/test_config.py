"""The gateway's file: what it may say, and how it is told what it may not."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from router_model.errors import GatewayConfigError
from router_model.serving.gateway.config.config import GatewayConfig

WHOLE: dict[str, Any] = {
    "router": "router.onnx",
    "tiers": [
        {
            "name": "small",
            "providers": [
                {
                    "name": "near",
                    "base_url": "http://127.0.0.1:8001/v1",
                    "model": "model-s",
                    "api_key_env": "NEAR_KEY",
                    "input_usd_per_million": 0.1,
                    "output_usd_per_million": 0.4,
                    "headers": {"x-team": "search"},
                },
                {"name": "far", "base_url": "https://api.openai.com/v1", "model": "gpt-4o-mini"},
            ],
        },
        {
            "name": "large",
            "providers": [
                {
                    "name": "claude",
                    "base_url": "https://api.anthropic.com/v1",
                    "shape": "anthropic",
                    "model": "claude-sonnet-4-5",
                    "prices": "anthropic/claude-sonnet-4-5",
                    "abilities": ["tools", "images"],
                    "api_key_env": "CLAUDE_KEY",
                }
            ],
        },
    ],
    "capacity": {"concurrency": 64, "reserved": {"large": 8}},
    "cache": {"exact": {"shared": True}},
    "redis_url_env": "REDIS_URL",
    "keys": [{"name": "team", "sha256": "0" * 64, "tenant": "search"}],
    "budgets": [{"usd": 5, "tenant": "search"}, {"usd": 1, "key": "team", "period": "month"}],
    "traffic": {"folder": "log", "words": "redacted", "explore": 0.02},
    "listen": {"workers": 2, "origins": ["https://app.example:8443", "*"]},
}
ENVIRON = {"NEAR_KEY": "sk-near", "CLAUDE_KEY": " sk-claude\n", "REDIS_URL": "redis://:word@127.0.0.1:1/0"}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The whole file with another value at a dotted path."""
    config = copy.deepcopy(WHOLE)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = config
    for part in way:
        place = place[part]
    place[last] = value
    return config


def refused(value: Any) -> str:
    with pytest.raises(GatewayConfigError) as caught:
        GatewayConfig.from_dict(value, "gw.yaml")
    return str(caught.value)


def test_yaml_and_json_read_the_same(tmp_path: Path) -> None:
    import yaml

    (tmp_path / "gw.json").write_text(json.dumps(WHOLE))
    (tmp_path / "gw.yaml").write_text(yaml.safe_dump(WHOLE))
    config = GatewayConfig.read(tmp_path / "gw.yaml")
    assert config == GatewayConfig.read(tmp_path / "gw.json")
    assert [name for name, _ in config.providers()] == ["small", "small", "large"]
    assert config.limits.depth == 64


def test_paths_in_the_file_start_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "gw.json").write_text(json.dumps(WHOLE))
    monkeypatch.chdir(tmp_path)
    config = GatewayConfig.read("conf/gw.json")
    assert config.router == str(tmp_path / "conf" / "router.onnx")
    assert config.traffic is not None
    assert config.traffic.folder == str(tmp_path / "conf" / "log")
    (tmp_path / "conf" / "gw.json").write_text(json.dumps(changed("router", "default")))
    assert GatewayConfig.read("conf/gw.json").router == "default"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("limits", {"body_bytes": 0}, "limits.body_bytes: expected `int` >= 1"),
        ("limits", {"body_byts": 1}, "limits: object contains unknown field `body_byts`"),
        ("tiers.0.providers.1.weight", "heavy", "tiers[0].providers[1].weight: expected `float`, got `str`"),
        ("tiers.0.providers.1.weight", float("nan"), "tiers[0].providers[1].weight: expected"),
        ("tiers.0.providers.0.name", "a\n", "tiers[0].providers[0].name: expected `str` matching"),
        ("tiers.0.providers.0.name", "é", "tiers[0].providers[0].name: expected `str` matching"),
        ("tiers.0.providers.0.api_key_env", "A KEY", "tiers[0].providers[0].api_key_env: expected"),
        ("tiers.0.providers", [], "tiers[0].providers: expected `array` of length >= 1"),
        ("tiers", None, "tiers: expected `array`, got `null`"),
        ("keys.0.sha256", "0" * 64 + "\n", "keys[0].sha256: expected"),
        ("tiers.1.name", "small", "tiers: the tier 'small' stands twice"),
        ("tiers.1.providers.0.name", "far", "tiers: the provider 'far' stands twice"),
        ("tiers.0.providers.0.name", "auto", "providers[0].name: 'auto' is what clients ask"),
        ("tiers.0.providers.0.name", "tier:x", "providers[0].name: 'tier:x' is what clients ask"),
        ("tiers.0.providers.0.base_url", "http://a/v1?key=1", "base_url: holds a query"),
        ("tiers.0.providers.0.base_url", "http://a/v1#x", "base_url: holds a query"),
        ("tiers.0.providers.0.base_url", "http://me:sesame@a/v1", "base_url: holds a user or password"),
        ("tiers.0.providers.0.base_url", "http://a:99999/v1", "base_url: has no host or no port"),
        ("tiers.0.providers.0.base_url", "http:///v1", "base_url: has no host"),
        ("tiers.0.providers.0.base_url", "http://[::1/v1", "base_url: has no host"),
        ("tiers.0.providers.0.base_url", "ftp://a/v1", "base_url: expected `str` matching"),
        ("tiers.0.providers.0.body", {"chat": {"model": "m"}}, "body.chat.model: is the client's to say"),
        ("tiers.0.providers.0.body", {"messages": {"top_k": 1}}, "body.messages: is no endpoint of shape"),
        ("tiers.0.providers.0.body", {"chat": {"a": float("inf")}}, "body.chat: holds what is no JSON"),
        ("tiers.0.providers.0.body", {"chat": {"a": "x" * 5000}}, "body.chat: has over 4096 bytes"),
        ("tiers.0.providers.0.body", {"images": {}}, "body"),
        ("tiers.0.providers.0.headers", {"a b": "c"}, "headers: 'a b' is no header's name"),
        ("tiers.0.providers.0.headers", {"A": "c", "a": "c"}, "headers: 'a' stands twice"),
        ("tiers.0.providers.0.headers", {"a": "sesame\r\nc: d"}, "headers.a: holds a line break"),
        ("tiers.0.providers.0.headers", {"a": "€"}, "headers.a: holds"),
        ("tiers.0.providers.0.headers", {"Authorization": "x"}, "headers: 'Authorization' is set by the"),
        ("tiers.0.providers.0.prices", "gpt-4o", "prices: give 'prices' or prices in US dollars, not both"),
        ("tiers.0.providers.0.output_usd_per_million", None, "prices: give both"),
        ("tiers.0.providers.1.model", "nobody", "prices: model 'nobody' at this base_url is not known"),
        ("tiers.1.providers.0.prices", "anthropic/nobody", "prices: 'prices: anthropic/nobody' is not known"),
        ("dial", {"quality": 0.9, "budget": 0.5}, "dial: quality and budget exclude each other"),
        ("dial", {"quality": 1.5}, "dial.quality: expected `float` <= 1.0"),
        ("retry", {"base_seconds": 3.0}, "retry.most_seconds: less than base_seconds"),
        ("breaker", {"failures": 9, "window": 8}, "breaker.failures: more than the window holds"),
        (
            "capacity.reserved",
            {"huge": 1},
            "capacity.reserved: there is no tier 'huge'; the tiers are large, small",
        ),
        ("capacity.reserved", {"large": 64}, "capacity.reserved: 64 of concurrency 64 leave no room"),
        ("capacity.reserved", {"large": 60, "small": 5}, "give concurrency at least 65"),
        ("budgets.0.key", "team", "budgets[0]: give tenant or key, one of both"),
        ("budgets.0", {"usd": 1}, "budgets[0]: give tenant or key, one of both"),
        ("budgets.0.tenant", "sales", "budgets[0].tenant: no key has the tenant 'sales'"),
        ("budgets.1.key", "nobody", "budgets[1].key: there is no key 'nobody'"),
        ("redis_url_env", None, "cache.exact.shared: needs a Redis"),
        ("redis_url_env", None, "budgets: 2 workers can keep one budget only by a Redis"),
        ("listen.origins", ["https://a/b"], "listen.origins: 'https://a/b' is no origin"),
        ("listen.origins", ["https://a\r\nb"], "listen.origins: "),
        ("router", "", "router: give an artifact's path"),
        ("traffic.folder", "a\0b", "traffic.folder: give a folder's path"),
    ],
)
def test_a_fault_is_told_with_file_path_and_cure(path: str, value: Any, message: str) -> None:
    told = refused(changed(path, value))
    assert message in told
    assert all(line.startswith("gw.yaml: ") for line in told.splitlines())
    assert "sesame" not in told


def test_keys_and_budgets_stand_once() -> None:
    told = refused(
        {
            **WHOLE,
            "keys": [*WHOLE["keys"], WHOLE["keys"][0]],
            "budgets": [*WHOLE["budgets"], WHOLE["budgets"][0]],
        }
    )
    assert "keys: the name 'team' stands twice" in told
    assert "keys: team, team are one key" in told
    assert "budgets: the day of tenant search stands twice" in told


def test_all_faults_are_told_at_once() -> None:
    value = changed("tiers.0.providers.0.base_url", "http://a?b")
    value["dial"] = {"quality": 0.9, "budget": 0.5}
    value["router"] = ""
    assert len(refused(value).splitlines()) == 3


def test_a_budget_without_keys_is_of_the_default_tenant() -> None:
    open_to_all = {**WHOLE, "keys": [], "budgets": [{"usd": 1, "tenant": "default"}]}
    assert GatewayConfig.from_dict(open_to_all).budgets[0].tenant == "default"


def test_full_reservation_of_every_tier_is_fine() -> None:
    value = changed("capacity.reserved", {"small": 32, "large": 32})
    assert GatewayConfig.from_dict(value).capacity.reserved == {"small": 32, "large": 32}


def test_keys_come_from_the_environment_and_no_repr_shows_them() -> None:
    config = GatewayConfig.from_dict(WHOLE)
    secrets = config.secrets(ENVIRON)
    assert secrets == {"near": "sk-near", "claude": "sk-claude"}
    assert f"Bearer {secrets['near']}" == "Bearer sk-near"
    assert config.redis_url(ENVIRON) == "redis://:word@127.0.0.1:1/0"
    shown = repr(secrets) + repr(config) + repr(config.redis_url(ENVIRON))
    assert not any(word in shown for word in ("sk-", "word@"))


def test_missing_variables_are_named_together() -> None:
    config = GatewayConfig.from_dict(WHOLE)
    with pytest.raises(GatewayConfigError, match="named in the file: CLAUDE_KEY, REDIS_URL; set them"):
        config.secrets({"NEAR_KEY": "x", "REDIS_URL": " "})


@pytest.mark.parametrize("value", ["sk two", "sk\r\nx: y", "sk-é"])
def test_a_key_that_no_header_can_hold_is_named_but_not_shown(value: str) -> None:
    with pytest.raises(GatewayConfigError) as caught:
        GatewayConfig.from_dict(WHOLE).secrets({**ENVIRON, "NEAR_KEY": value})
    assert "NEAR_KEY: give printable ASCII" in str(caught.value)
    assert "sk" not in str(caught.value)


def test_a_file_without_keys_needs_no_environment() -> None:
    tier = {"name": "small", "providers": [WHOLE["tiers"][0]["providers"][1]]}
    config = GatewayConfig.from_dict({"tiers": [tier]})
    assert config.secrets({}) == {}
    assert config.redis_url({}) is None
