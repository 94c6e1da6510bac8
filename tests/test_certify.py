"""Certification from end to end: a promise kept on rows that nobody saw, and refusals that say what to do."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from router_model.artifact import Artifact
from router_model.cli import main
from router_model.errors import ConfigError, DataError, LadderError
from router_model.ladder import Ladder
from router_model.policy.monitor import Feedback, Monitor
from router_model.router import Router
from router_model.training.certify import certify
from router_model.training.config import TrainConfig
from router_model.training.promise import Promise, candidates, cheapest
from tests.conftest import make_rows, write_rows

DATE = "2026-11-28"
PROMISE = Promise(0.05, 0.9)


@pytest.fixture(scope="module")
def quick_config() -> TrainConfig:
    return TrainConfig(resamples=200)


@pytest.fixture(scope="module")
def certified_path(
    tmp_path_factory: pytest.TempPathFactory, router: Router, fresh_log_path: Path, quick_config: TrainConfig
) -> Path:
    out = tmp_path_factory.mktemp("certified") / "router.onnx"
    certify(router, [fresh_log_path], PROMISE, DATE, out=out, config=quick_config)
    return out


def test_the_certified_point_is_the_default_and_costs_less_than_the_strongest_tier(
    certified_path: Path, router: Router
) -> None:
    certified = Router.load(certified_path)
    certificate = certified.artifact.manifest.certificate
    assert certificate is not None
    assert certified.policy.default == certificate.point
    assert certificate.point.cost < 0.9
    assert sum(certificate.point.shares) == pytest.approx(1.0)
    low, high = certificate.point.quality_interval
    assert low <= certificate.point.quality <= high
    decision = certified.route("hello weather")
    assert decision.why.startswith("certified=0.05")
    assert decision.tier == "small"
    assert certified.route("hello weather", quality=0.9) == router.route("hello weather", quality=0.9)


def test_the_promise_is_kept_on_rows_that_nobody_saw(certified_path: Path, tmp_path: Path) -> None:
    certified, rows = Router.load(certified_path), make_rows(3000, seed=7)
    tiers = certified.route_batch([row["prompt"] for row in rows]).tier
    models = [tier.models[0] for tier in certified.ladder.tiers]
    losses = [
        row["outcomes"][models[-1]] - row["outcomes"][models[tier]]
        for row, tier in zip(rows, tiers, strict=True)
    ]
    assert np.mean(losses) <= 0.05 + 2 * np.std(losses) / np.sqrt(len(losses))


def test_a_monitor_of_it_stays_calm_on_rows_like_those_it_was_made_of(certified_path: Path) -> None:
    certificate = Artifact.read(certified_path).manifest.certificate
    assert certificate is not None
    monitor = Monitor.of(certificate)
    assert {bet.statistic for bet in monitor.bets} >= {"loss", "outcome", "shortfall", "length"}
    policy, rows = Router.load(certified_path), make_rows(400, seed=9)
    names = policy.ladder.names
    for row in rows:
        decision = policy.route(row["prompt"])
        model = policy.ladder.tiers[names.index(decision.tier)].models[0]
        strongest = decision.sufficiency[names[-1]]
        outcome = row["outcomes"][model]
        monitor = monitor.after(Feedback(outcome, decision.expected_quality, strongest, decision.characters))
    assert not monitor.revoked


def test_the_same_rows_give_the_same_certificate(
    router: Router, fresh_log_path: Path, certified_path: Path, quick_config: TrainConfig
) -> None:
    again = certify(router, [fresh_log_path], PROMISE, DATE, config=quick_config)
    assert again.certificate == Artifact.read(certified_path).manifest.certificate
    assert again.out is None


def test_a_relative_promise_is_stricter_where_the_strongest_tier_fails_too(
    router: Router, fresh_log_path: Path, certified_path: Path, quick_config: TrainConfig
) -> None:
    promise = replace(PROMISE, relative=True)
    found = certify(router, [fresh_log_path], promise, DATE, config=quick_config).certificate
    absolute = Artifact.read(certified_path).manifest.certificate
    assert absolute is not None
    assert found.relative
    assert found.point.cost >= absolute.point.cost - 1e-9


def test_what_is_said_to_be_lost_is_in_the_promises_own_terms() -> None:
    outcomes = np.repeat([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], 25, axis=0)
    own = np.repeat([1.0, 0.8, 0.0, 0.0], 25)
    assert replace(PROMISE, relative=False).lost(outcomes, own) == pytest.approx(0.5 - 0.45)
    assert replace(PROMISE, relative=True).lost(outcomes, own) == pytest.approx(1 - 0.45 / 0.5)


def test_the_rows_of_the_training_are_refused(router: Router, log_path: Path) -> None:
    with pytest.raises(DataError, match="trained on"):
        certify(router, [log_path], PROMISE, DATE)


def test_near_duplicates_of_the_training_are_refused_or_dropped(
    router: Router, log_path: Path, tmp_path: Path, quick_config: TrainConfig
) -> None:
    mixed = write_rows(tmp_path / "mixed.jsonl", make_rows(100) + make_rows(900, seed=3))
    with pytest.raises(DataError, match="near-duplicates of training prompts"):
        certify(router, [mixed], PROMISE, DATE, trained_on=[log_path])
    found = certify(
        router, [mixed], PROMISE, DATE, trained_on=[log_path], on_leaks="drop", config=quick_config
    )
    assert found.certificate.rows == 900
    assert "left out" in found.certificate.leaks
    with pytest.raises(ConfigError, match="--trained-on"):
        certify(router, [mixed], PROMISE, DATE, on_leaks="drop")


def test_a_group_counts_once(
    router: Router, tmp_path: Path, quick_config: TrainConfig, fresh_log_path: Path
) -> None:
    rows = [row | {"group": f"g{number % 500}"} for number, row in enumerate(make_rows(1000, seed=1))]
    found = certify(
        router, [write_rows(tmp_path / "g.jsonl", rows)], Promise(0.1, 0.9), DATE, config=quick_config
    )
    assert (found.certificate.rows, found.certificate.groups) == (1000, 500)


def test_too_few_rows_are_told_how_many_would_do_and_that_is_about_right(
    router: Router, tmp_path: Path, quick_config: TrainConfig
) -> None:
    few = write_rows(tmp_path / "few.jsonl", make_rows(60, seed=11))
    with pytest.raises(DataError, match=r"about \d+ such prompts|allow more with --max-loss"):
        certify(router, [few], Promise(0.01, 0.99), DATE, config=quick_config)
    losses = np.repeat([1.0, 0.0, -1.0], [5, 990, 5])
    promise = Promise(0.02, 0.95)
    needed = promise.rows_needed(losses)
    assert needed is not None
    random = np.random.default_rng(0)
    shown = promise.shown(random.choice(losses, (needed, 400))).mean()
    assert 0.65 <= shown <= 0.95


def test_points_are_tested_from_safe_to_cheap_by_what_training_knew(router: Router) -> None:
    points = candidates(router.artifact.manifest, PROMISE)
    penalties = [point.penalty for point in points]
    assert penalties == sorted(penalties)
    assert {point.rule for point in points} == {"router"}
    assert {(point.dial, point.value) for point in points} == {("certified", 0.05)}


def test_where_the_guard_decides_mixes_are_certified(router: Router) -> None:
    manifest = router.artifact.manifest
    fixed = tuple(
        replace(point, rule="fixed", quality=1 - 0.01 * k, shares=(0.01 * k, 0.0, 1 - 0.01 * k))
        for k, point in enumerate(manifest.curve[:60])
    )
    points = candidates(replace(manifest, curve=fixed), PROMISE)
    assert all(point.rule == "fixed" and point.shares[-1] < 1 for point in points)
    random = np.random.default_rng(0)
    outcomes = (random.random((2000, 3)) < [0.5, 0.7, 0.8]).astype(float)
    point, tested = cheapest(points, outcomes, outcomes, np.array(manifest.relative_cost), PROMISE)
    assert 0 < point.shares[0] < 0.05 / 0.3  # a mix loses 0.3 times its share of the cheapest tier
    assert tested > 1


def test_a_certificate_is_of_its_models(certified_path: Path) -> None:
    certified = Router.load(certified_path)
    dearer = [replace(tier, output_usd_per_million=99.0 + k) for k, tier in enumerate(certified.ladder.tiers)]
    kept = certified.with_ladder(Ladder(tuple(dearer))).artifact.manifest.certificate
    assert kept is not None
    others = [replace(tier, models=(f"other-{k}",)) for k, tier in enumerate(certified.ladder.tiers)]
    swapped = certified.with_ladder(Ladder(tuple(others)))
    assert swapped.artifact.manifest.certificate is None
    assert swapped.policy.default.dial == "quality"
    with pytest.raises(LadderError):
        certified.with_ladder(Ladder(tuple(others[:2])))


@pytest.mark.parametrize("promise", [(0.0, 0.9), (1.0, 0.9), (0.1, 0.5), (0.1, 1.0), (float("nan"), 0.9)])
def test_a_promise_that_cannot_be_is_refused(promise: tuple[float, float]) -> None:
    with pytest.raises(ConfigError):
        Promise(*promise)


def test_the_command_certifies_and_inspect_shows_it(
    artifact_path: Path, fresh_log_path: Path, log_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "certified.onnx"
    run = CliRunner().invoke(
        main,
        ["certify", str(artifact_path), str(fresh_log_path), "--max-loss", "0.05", "--confidence", "0.9",
         "--out", str(out), "--trained-on", str(log_path), "--date", DATE, "--json"],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert told["certificate"]["date"] == DATE
    shown = CliRunner().invoke(main, ["inspect", str(out)])
    assert "default dial     certified" in shown.stdout
    assert f"certified {DATE}" in shown.stdout
    plain = CliRunner().invoke(
        main, ["certify", str(artifact_path), str(fresh_log_path), "--max-loss", "0.05"]
    )
    assert "not written: give --out" in plain.stdout
    refused = CliRunner().invoke(main, ["certify", str(artifact_path), str(log_path)])
    assert refused.exit_code == 1
    wrong = CliRunner().invoke(
        main, ["certify", str(artifact_path), str(fresh_log_path), "--max-loss", "0.05", "--date", "soon"]
    )
    assert wrong.exit_code == 2
