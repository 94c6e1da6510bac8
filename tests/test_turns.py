"""Turns to come, learnt from logs of sessions."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router_model.cli.commands import main
from router_model.errors import ConfigError, DataError
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.training.turns import MOST_TURNS, turns


def log(lengths: list[int], gap: float = 60.0, begins: float = 0.0) -> list[dict[str, Any]]:
    """One session after the other, each of so many turns."""
    return [
        {"session": f"s{number}", "tenant": "acme", "timestamp": begins + gap * turn}
        for number, length in enumerate(lengths)
        for turn in range(length)
    ]


QUIET = [{"session": "last", "timestamp": 1e6}]  # an hour and more after all others


def test_turns_to_come_are_the_mean_where_nothing_is_discounted() -> None:
    lengths = [1] * 50 + [2] * 25 + [4] * 25
    found = turns([*log(lengths), *QUIET], discount=1.0)
    assert found.turns_left[:3] == pytest.approx(((25 + 3 * 25) / 100, 2 * 25 / 50, 1.0), abs=1e-3)
    assert found.turns_left[-1] == 0.0
    assert (found.sessions, found.requests, found.open, found.left_out) == (101, 201, 1, 0)


def test_a_constant_chance_of_going_on_gives_the_same_at_each_turn() -> None:
    chance = random.Random(1)
    lengths = [next(n for n in range(1, 1000) if chance.random() > 0.75) for _ in range(20_000)]
    for discount in (0.8, 1.0):
        found = turns([*log(lengths), *QUIET], discount=discount)
        for left in found.turns_left[:8]:
            assert left == pytest.approx(0.75 / (1 - discount * 0.75), rel=0.1)


def test_sessions_that_may_go_on_do_not_count_as_ended() -> None:
    """Half of the sessions are cut by the log's end after their first turn."""
    lengths = [3] * 100
    cut = [{"session": f"cut{n}", "timestamp": 1e6 - 10.0} for n in range(100)]
    found = turns([*log(lengths), *cut, *QUIET], discount=1.0)
    assert found.turns_left[:2] == (2.0, 1.0)
    assert found.open == 101


def test_the_share_that_comes_in_time_is_of_all_turns_but_the_first() -> None:
    rows = [*log([3] * 10, gap=60.0), *log([2] * 20, gap=400.0, begins=1e5)]
    rows = [{**row, "session": f"{row['session']}-{row['timestamp'] >= 1e5}"} for row in rows]
    assert turns([*rows, *QUIET]).kept_share == pytest.approx(0.5)
    assert turns([*rows, *QUIET], seconds=500.0).kept_share == 1.0


def test_sessions_of_one_name_are_those_of_their_tenants() -> None:
    rows = [{"session": "s", "tenant": tenant, "timestamp": 0.0} for tenant in ("a", "b")]
    assert turns([*rows, *QUIET]).sessions == 3


def test_times_are_numbers_or_texts_and_rows_without_are_counted() -> None:
    rows = [
        {"session": "s", "timestamp": "2026-11-02T10:00:00+00:00"},
        {"session": "s", "timestamp": "2026-11-02T10:10:00"},
        {"session": "t", "timestamp": "soon"},
        {"session": "t"},
        {"timestamp": 7.0},
    ]
    found = turns(rows, idle_seconds=1.0)
    assert (found.sessions, found.requests, found.left_out, found.kept_share) == (1, 2, 3, 0.0)


def test_the_table_is_bounded_however_long_a_conversation_is() -> None:
    found = turns([*log([10_000] * 30), {"session": "last", "timestamp": 1e9}], discount=1.0)
    assert len(found.turns_left) <= MOST_TURNS
    assert max(found.turns_left) <= 1e4


@pytest.mark.parametrize("rows", [[], [{"prompt": "hello"}], log([1] * 5)])
def test_a_log_that_tells_nothing_is_refused(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match="give"):
        turns(rows)


@pytest.mark.parametrize("setting", [{"seconds": 0.0}, {"idle_seconds": -1.0}, {"discount": 1.5}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="give seconds above 0"):
        turns(log([2]), **setting)


def test_the_command_prints_what_a_gateways_file_takes(tmp_path: Path) -> None:
    import yaml

    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*log([1, 3, 5] * 30), *QUIET]))
    told = CliRunner().invoke(main, ["turns", str(path)])
    assert told.exit_code == 0, told.stderr
    provider = {"name": "p", "base_url": "http://127.0.0.1:1/v1", "model": "m",
                "input_usd_per_million": 1, "output_usd_per_million": 1}  # fmt: skip
    tiers = [{"name": "small", "providers": [provider]}]
    sessions = GatewayConfig.from_dict({"tiers": tiers, **yaml.safe_load(told.stdout)}).sessions
    assert sessions is not None
    found = json.loads(CliRunner().invoke(main, ["turns", str(path), "--json"]).stdout)
    assert sessions.turns_left == pytest.approx(tuple(found["turns_left"]), rel=1e-4)
    assert sessions.kept_share == pytest.approx(found["kept_share"], abs=1e-3)
