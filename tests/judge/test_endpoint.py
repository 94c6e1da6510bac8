"""The endpoint's settings and headers that need no server."""

from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest

from router_model.data.judge.config import JudgeConfig
from router_model.data.judge.endpoint import read_key, seconds_to_wait
from router_model.errors import ConfigError

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
NOW = parsedate_to_datetime(DATE).timestamp()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("", 0), ("7", 7), (" 7 ", 7), (DATE, 30), ("Wed, 21 Oct 2020 07:28:00 GMT", 0), ("soon", 0),
     ("-5", 0), ("9" * 400, float("inf")), ("1e9", 0), ("²", 0), ("Wed, 99 Oct 99999 07:28:00 GMT", 0)],
)  # fmt: skip
def test_seconds_to_wait(header: str | None, seconds: float) -> None:
    assert seconds_to_wait(header, NOW - 30) == seconds


def test_a_date_in_another_zone_is_understood() -> None:
    assert (
        seconds_to_wait(format_datetime(parsedate_to_datetime("Wed, 21 Oct 2026 09:28:00 +0200")), NOW) == 0
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"base_url": "ftp://host/v1"}, "base_url"),
        ({"base_url": "host/v1"}, "base_url"),
        ({"base_url": "http://"}, "base_url"),
        ({"base_url": "http://host:port"}, "base_url"),
        ({"base_url": "http://[::1"}, "base_url"),
        ({"base_url": "http://me:secret-1@host/v1"}, "key_env"),
        ({"base_url": "http://host/v1?key=secret-1"}, "key_env"),
        ({"model": ""}, "model"),
        ({"model": "a\nb"}, "model"),
        ({"max_usd": 1.0}, "max_usd needs prices"),
        ({"input_usd_per_million": 1.0}, "one price alone"),
        ({"max_usd": float("nan")}, "max_usd is nan"),
        ({"max_usd": -1.0}, "max_usd is -1"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"sample": 1.5}, "sample is 1.5"),
        ({"timeout_seconds": float("inf")}, "timeout_seconds is inf"),
        ({"max_tokens": 0}, "max_tokens is 0"),
    ],
)
def test_a_setting_out_of_its_range_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        JudgeConfig(**({"model": "m", "base_url": "http://host/v1"} | changes))
    assert "secret-1" not in str(caught.value)


def test_a_key_that_no_header_holds_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret\nHost: evil")
    with pytest.raises(ConfigError, match="JUDGE_KEY") as caught:
        read_key("JUDGE_KEY")
    assert "sk-secret" not in str(caught.value)
    monkeypatch.setenv("JUDGE_KEY", " sk-good\n")
    assert read_key("JUDGE_KEY") == "sk-good"
    monkeypatch.delenv("JUDGE_KEY")
    assert read_key("JUDGE_KEY") is None
