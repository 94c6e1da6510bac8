"""Policies over a whole log: in the order of its times, by what the router says of it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from router_model.cli import main
from router_model.data.readers import read_records
from router_model.data.records import Record
from router_model.decision import Decisions
from router_model.errors import ConfigError, DataError
from router_model.router import Router
from router_model.training.conversations import Caches, Conversations
from router_model.training.policies import InSessions, Paced, policy_of
from router_model.training.replay import Replay, replay

NOON = 1_800_014_400.0  # of a day in UTC
Logged = tuple[list[Record], Decisions]


@pytest.fixture(scope="module")
def logged(fresh_log_path: Path, router: Router) -> Logged:
    """Requests a minute apart, four to a conversation."""
    records = [
        dataclasses.replace(record, timestamp=NOON + 60.0 * row, session=f"chat {row // 4}")
        for row, record in enumerate(read_records(fresh_log_path))
    ][:600]
    return records, router.route_prompts([record.prompt for record in records])


def usd(said: Decisions, tiers: np.ndarray) -> float:
    return float(said.expected_cost_at(tiers).sum())


def test_without_a_wish_or_with_a_dial_the_operating_curve_decides(router: Router) -> None:
    assert policy_of(router) is None
    assert policy_of(router, quality=0.9) is None


def test_the_more_an_answer_is_worth_the_more_is_spent_on_it(router: Router, logged: Logged) -> None:
    spent = [usd(logged[1], policy_of(router, worth_usd=worth)(*logged)) for worth in (1e-7, 1e-3, 1e3)]
    assert spent == sorted(spent)
    assert spent[0] < spent[-1]


@pytest.mark.parametrize("share", [0.3, 0.6])
@pytest.mark.parametrize("per", ["day", "month", "600 requests"])
def test_a_budget_that_has_to_do_is_kept(router: Router, logged: Logged, share: float, per: str) -> None:
    strongest = usd(logged[1], np.full(len(logged[0]), len(router.ladder) - 1))
    chosen = policy_of(router, usd=share * strongest, per=per)(*logged)
    assert usd(logged[1], chosen) <= share * strongest * 1.05


def test_a_paced_log_is_decided_in_the_order_of_its_times(router: Router, logged: Logged) -> None:
    policy = policy_of(router, usd=0.3 * usd(logged[1], np.full(len(logged[0]), 2)))
    assert isinstance(policy, Paced)
    order = np.random.default_rng(0).permutation(len(logged[0]))
    records, said = logged
    shuffled = dataclasses.replace(
        said,
        tier=said.tier[order],
        sufficiency=said.sufficiency[order],
        characters=said.characters[order],
        input_tokens=said.input_tokens[order],
        truncated=said.truncated[order],
        output_tokens=None if said.output_tokens is None else said.output_tokens[order],
    )
    assert (policy([records[row] for row in order], shuffled) == policy(records, said)[order]).all()


def test_conversations_switch_less_than_turns_by_themselves(router: Router, logged: Logged) -> None:
    records, said = logged[0], dataclasses.replace(logged[1], input_tokens=np.full(600, 6000.0))
    apart = policy_of(router, worth_usd=0.003)(records, said)
    stays = policy_of(router, worth_usd=0.003, caches=Caches())(records, said)

    def switches(tiers: np.ndarray) -> int:
        return int((np.diff(tiers.reshape(-1, 4)) != 0).sum())

    assert switches(stays) < switches(apart)


def test_a_session_of_another_tenant_is_another_conversation(router: Router, logged: Logged) -> None:
    turn = dataclasses.replace(logged[0][0], session="chat", input_tokens=2000.0)
    rows = [
        dataclasses.replace(turn, tenant=tenant, timestamp=NOON + at)
        for at, tenant in enumerate(["a", "b", "a", "b"])
    ]
    rows.append(dataclasses.replace(turn, session=None))
    found = Conversations.followed(rows, [2000.0] * 5, [0, 1, 0, 2, 0], Caches().terms(router.ladder))
    assert found.later.tolist() == [False, False, True, True, False]
    assert found.moved.tolist() == [False, False, False, True, False]
    assert found.moved_share == 0.5
    assert (found.cache_usd > 0).tolist() == [True, True, False, True, False]
    assert found.cache_usd[2] < 0 == found.cache_usd[4]


def test_a_replay_of_conversations_counts_what_caches_spare(
    router: Router, artifact_path: Path, logged: Logged, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    models = ("model-s", "model-m", "model-l")
    log.write_text("".join(_row(record, models[row % 3]) for row, record in enumerate(logged[0])))

    def replayed(caches: Caches) -> Replay:
        return replay(router, [log], policy=policy_of(router, worth_usd=0.01, caches=caches))

    plain, cached = replayed(Caches(1.0, 1.0)), replayed(Caches(0.1, 1.0))
    assert plain.conversations
    assert cached.conversations
    assert plain.conversations.logged_cache_usd == plain.conversations.router_cache_usd == 0
    assert cached.conversations.later == 450
    assert cached.conversations.logged_moved == 1
    assert cached.conversations.router_moved < 0.9
    # The log's every fourth turn, a conversation's last, is on the tier of its first.
    assert cached.conversations.logged_cache_usd < 0
    assert cached.conversations.router_cache_usd < 0
    spared = plain.cost_usd.logged.value - cached.cost_usd.logged.value
    assert spared == pytest.approx(-cached.conversations.logged_cache_usd)
    ran = CliRunner().invoke(main, ["replay", str(artifact_path), str(log), "--sessions"])
    assert "450 later turns of conversations" in ran.stdout
    assert "on another tier than the turn before" in ran.stdout


def test_conversations_go_by_the_dials_penalty(router: Router) -> None:
    cheap = policy_of(router, budget=0.1, caches=Caches())
    dear = policy_of(router, quality=0.9, caches=Caches())
    assert isinstance(cheap, InSessions)
    assert isinstance(dear, InSessions)
    assert cheap.penalty > dear.penalty
    assert cheap.dollar is None


def test_a_long_prompt_does_not_count_a_dollar_for_more(router: Router, logged: Logged) -> None:
    policy = policy_of(router, quality=0.9, caches=Caches(1.0, 1.0))
    records, said = logged
    alone = [dataclasses.replace(record, session=None) for record in records]

    def strongest(tokens: float) -> float:
        longer = dataclasses.replace(said, input_tokens=np.full(len(said), tokens))
        return float((policy(alone, longer) == 2).mean())  # type: ignore[misc]

    assert strongest(1e6) == pytest.approx(strongest(1e5), abs=0.02)
    assert 0 < strongest(1e6) < 1


def test_shares_that_the_guard_fixed_are_not_replayed_as_conversations(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = dataclasses.replace(router.policy.point(0.9), rule="fixed", note="not better")
    monkeypatch.setattr(router.policy, "point", lambda quality=None, budget=None: fixed)
    with pytest.raises(ConfigError, match=r"fixed shares of tiers .*not better"):
        policy_of(router, quality=0.9, caches=Caches())


def test_what_is_certified_is_not_replayed_as_conversations(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = dataclasses.replace(router.policy.point(0.9), dial="certified")
    monkeypatch.setattr(router.policy, "default", point)
    with pytest.raises(ConfigError, match="turn by turn"):
        policy_of(router, caches=Caches())
    assert isinstance(policy_of(router, quality=0.9, caches=Caches()), InSessions)


def test_a_policy_that_goes_by_time_names_requests_without_one(router: Router, logged: Logged) -> None:
    timeless = [dataclasses.replace(record, timestamp=None) for record in logged[0][:3]] + logged[0][3:]
    with pytest.raises(DataError, match="3 of 600 requests have no timestamp"):
        policy_of(router, usd=1.0)(timeless, logged[1])


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"usd": 1.0, "quality": 0.9}, "--quality and --usd exclude"),
        ({"usd": 0.0}, "--usd 0: give US dollars above 0"),
        ({"worth_usd": float("nan")}, "--worth-usd nan"),
        ({"usd": 1.0, "per": "week"}, "--per 'week'"),
        ({"usd": 1.0, "zone": "Nowhere/Here"}, "--zone 'Nowhere/Here'"),
        ({"usd": 1.0, "caches": Caches()}, "--usd and --sessions"),
    ],
)
def test_wishes_that_cannot_be_are_refused(router: Router, wishes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        policy_of(router, **wishes)


@pytest.mark.parametrize("wrong", [{"cached": -0.1}, {"written": 11.0}, {"seconds": float("inf")}])
def test_caches_have_prices_and_times_that_can_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="give"):
        Caches(**wrong)


@pytest.mark.parametrize(
    "wish", [["--worth-usd", "0.01"], ["--usd", "1", "--per", "1000 requests"], ["--sessions"]]
)
def test_the_command_replays_them(
    wish: list[str], logged: Logged, artifact_path: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    models = ("model-s", "model-m", "model-l")
    log.write_text("".join(_row(record, models[row % 3]) for row, record in enumerate(logged[0])))
    ran = CliRunner().invoke(main, ["replay", str(artifact_path), str(log), *wish, "--json"])
    assert ran.exit_code == 0, ran.output
    assert '"policy": "' in ran.stdout


def _row(record: Record, model: str) -> str:
    row = {
        "prompt": record.prompt.text,
        "model": model,
        "outcome": record.outcomes[model],
        "propensity": 1 / 3,
        "timestamp": record.timestamp,
        "session": record.session,
        "input_tokens": 4000,
        "cost_usd": 0.001,
    }
    return json.dumps(row) + "\n"
