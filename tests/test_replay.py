import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from router_model.base import Base
from router_model.cli import main
from router_model.data.readers import read_records
from router_model.data.records import Record
from router_model.data.simulate import Logging, simulate
from router_model.errors import ConfigError, DataError, DialError
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.replay import Replay, replay

Logs = Callable[..., Path]
Run = Callable[..., Replay]


@pytest.fixture(scope="module")
def records(fresh_log_path: Path) -> list[Record]:
    """Requests that the router has not seen; the small tier's answers cost a dollar, and so on."""
    costs = {"model-s": 1.0, "model-m": 2.0, "model-l": 4.0}
    return [dataclasses.replace(record, cost_usd=costs) for record in read_records(fresh_log_path)]


@pytest.fixture
def logs(records: list[Record], ladder: Ladder, tmp_path: Path) -> Logs:
    def make(**how: Any) -> Path:
        out = tmp_path / "logs.jsonl"
        simulate(records, ladder, out, Logging(**how))
        return out

    return make


@pytest.fixture(scope="module")
def truth(records: list[Record], router: Router) -> tuple[float, float]:
    """Quality and cost of the router's decisions at quality=0.9, had they been taken."""
    decisions = router.route_prompts([record.prompt for record in records], quality=0.9)
    models = [router.ladder.tiers[tier].models[0] for tier in decisions.tier]
    pairs = list(zip(records, models, strict=True))
    return (
        float(np.mean([record.outcomes[model] for record, model in pairs])),
        float(np.mean([record.cost_usd[model] for record, model in pairs])),
    )


@pytest.fixture(scope="module")
def run(router: Router, small_base: Base) -> Run:
    return partial(replay, router, base=small_base)


def holds(found: Replay, truth: tuple[float, float]) -> bool:
    values = (found.quality.router, found.cost_usd.router)
    return all(value.low <= true <= value.high for value, true in zip(values, truth, strict=True))


def test_it_tells_what_the_router_would_have_kept_and_cost(
    run: Run, logs: Logs, truth: tuple[float, float]
) -> None:
    found = run([logs(policy="random")], quality=0.9)
    assert holds(found, truth)
    assert found.quality.router.value == pytest.approx(truth[0], abs=0.06)
    assert found.cost_usd.router.value == pytest.approx(truth[1], rel=0.1)
    assert (found.requests, found.marked, found.left_out) == (1000, 1000, 0)
    assert not found.estimated_propensity
    assert found.mean_weight == pytest.approx(1, abs=0.15)
    assert sum(found.router_shares.values()) == pytest.approx(1)


def test_the_logs_own_figures_are_its_means_and_the_difference_is_paired(run: Run, logs: Logs) -> None:
    path = logs(policy="random")
    logged = list(read_records(path))
    found = run([path], quality=0.9)
    mean = np.mean([next(iter(record.outcomes.values())) for record in logged])
    assert found.quality.logged.value == pytest.approx(mean)
    assert found.cost_usd.logged.value == pytest.approx(
        np.mean([next(iter(record.cost_usd.values())) for record in logged])
    )
    for values in (found.quality, found.cost_usd):
        assert values.difference.value == pytest.approx(values.router.value - values.logged.value)


def test_a_log_of_the_guards_own_draw_tells_what_that_mix_gives(
    run: Run, router: Router, records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix = dataclasses.replace(router.policy.point(0.9), rule="fixed", shares=(0.5, 0.0, 0.5))
    monkeypatch.setattr(router.policy, "point", lambda quality=None, budget=None: mix)
    models = [tier.models[0] for tier in router.ladder.tiers]
    chosen = router.route_prompts([record.prompt for record in records]).tier.tolist()
    path = tmp_path / "mixed.jsonl"
    rows = [
        {"prompt": record.prompt.text, "model": models[tier], "outcome": record.outcomes[models[tier]],
         "cost_usd": 1.0 + 3.0 * (tier == 2), "propensity": 0.5}
        for record, tier in zip(records, chosen, strict=True)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = run([path], quality=0.9)
    assert found.mean_weight == pytest.approx(1, abs=0.15)
    of_both = np.mean([[record.outcomes[model] for model in (models[0], models[2])] for record in records])
    assert found.quality.router.value == pytest.approx(float(of_both), abs=0.06)
    assert found.quality.others["ips"].value == pytest.approx(float(of_both), abs=0.1)
    assert found.cost_usd.router.value == pytest.approx(2.5, rel=0.05)


def test_requests_without_feedback_still_tell_of_cost(
    run: Run, logs: Logs, truth: tuple[float, float]
) -> None:
    found = run([logs(policy="random", feedback=0.4)], quality=0.9)
    assert holds(found, truth)
    assert found.requests == 1000
    assert 330 < found.marked < 470
    assert found.quality.effective_rows < 0.6 * found.cost_usd.effective_rows


def test_estimated_propensities_are_marked(run: Run, logs: Logs, truth: tuple[float, float]) -> None:
    found = run([logs(policy="random", hide_propensity=True)], quality=0.9)
    assert found.estimated_propensity
    assert holds(found, truth)


def test_the_routers_own_cost_is_part_of_what_it_costs(run: Run, logs: Logs) -> None:
    path = logs(policy="random")
    free = run([path])
    paid = run([path], router_usd_per_million_requests=500_000)
    assert paid.cost_usd.router.value == pytest.approx(free.cost_usd.router.value + 0.5)
    assert paid.cost_usd.difference.low == pytest.approx(free.cost_usd.difference.low + 0.5)
    assert paid.cost_usd.logged == free.cost_usd.logged
    assert paid.quality == free.quality


@pytest.mark.parametrize("hidden", [False, True])
def test_deterministic_logs_are_refused(run: Run, logs: Logs, hidden: bool) -> None:
    with pytest.raises(DataError, match="does not support") as refused:
        run([logs(exploration=0.0, hide_propensity=hidden)], quality=0.9)
    assert "would go to 'small'" in str(refused.value)
    assert ("deterministic" in str(refused.value)) is not hidden


def test_logs_of_one_tier_alone_are_refused(run: Run, logs: Logs) -> None:
    with pytest.raises(DataError, match=r"to 'small', where the log sent such requests never"):
        run([logs(policy="constant:large", exploration=0.0)], quality=0.9)


def test_a_cut_of_weights_is_kept(run: Run, logs: Logs) -> None:
    path = logs(exploration=0.3)
    cut, whole = (run([path], quality=0.9, largest_weight=most) for most in (1.0, 1e9))
    assert cut.mean_weight == whole.mean_weight  # the check of propensities is without a cut
    assert cut.quality.others["ips"].value < whole.quality.others["ips"].value
    assert run([path], quality=0.9).largest_weight == 100


def test_records_that_no_tier_of_the_ladder_answered_are_left_out(
    run: Run, logs: Logs, log_path: Path
) -> None:
    found = run([logs(policy="random"), log_path], quality=0.9)
    assert (found.requests, found.left_out) == (1000, 400)
    with pytest.raises(DataError, match="nothing to replay"):
        run([log_path])


def test_what_is_out_of_range_is_refused(run: Run, logs: Logs) -> None:
    path = logs()
    with pytest.raises(ConfigError, match="--router-usd-per-million-requests -1"):
        run([path], router_usd_per_million_requests=-1)
    with pytest.raises(ConfigError, match="--largest-weight nan"):
        run([path], largest_weight=float("nan"))
    with pytest.raises(DialError):
        run([path], quality=0.9, budget=0.5)


def test_the_command_prints_a_table_or_json_and_refuses_with_one_line(
    artifact_path: Path, logs: Logs, tmp_path: Path
) -> None:
    def called(*options: str) -> Any:
        return CliRunner().invoke(main, ["replay", str(artifact_path), *options])

    path = str(logs(policy="random"))
    table = called(path, "--quality", "0.9")
    assert table.exit_code == 0, table.output
    for word in ("1000 requests", "quality", "USD in all", "SNIPS", "effective requests"):
        assert word in table.output
    told = json.loads(called(path, "--budget", "0.9", "--json").stdout)
    assert (told["dial"], told["value"]) == ("budget", 0.9)
    assert told["quality"]["router"]["low"] <= told["quality"]["router"]["value"]
    refused = called(str(logs(exploration=0)), "--quality", "0.9", "--json")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("router-model: the log does not support")
    assert refused.stderr.count("\n") == 1
    assert called(path, "--quality", "3").exit_code == 2
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert called(str(empty)).exit_code == 1
