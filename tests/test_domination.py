"""Domination: a dearer and worse tier leaves the ladder by name, an equal one does not."""

import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from router_model.cli import main
from router_model.data.labels import label
from router_model.data.records import Record, parse_record
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.evaluation.domination import (
    DroppedTier,
    dominated,
    relabelled,
    without_tiers,
)
from router_model.training.evaluation.evaluate import evaluate
from router_model.training.train import train

QUICK = TrainConfig(folds=2, epochs=2, min_steps=1, resamples=200, batch_size=32)


def rows(count: int, chances: dict[str, float], seed: int = 0) -> list[dict[str, Any]]:
    """Prompts with outcomes of 0 or 1, each model right with its own chance."""
    chance = random.Random(seed)
    return [
        {
            "prompt": f"question {n} {n * 7} {n * 13}",
            "outcomes": {m: float(chance.random() < p) for m, p in chances.items()},
        }
        for n in range(count)
    ]


def parsed(found: list[dict[str, Any]]) -> list[Record]:
    return [parse_record(row, f"log:{n}") for n, row in enumerate(found)]


def dropped(found: list[dict[str, Any]], ladder: Ladder, groups: Any = None) -> tuple[DroppedTier, ...]:
    records = parsed(found)
    groups = np.arange(len(records)) if groups is None else groups
    return dominated(records, label(records, ladder), groups, ladder, QUICK)


def test_a_dearer_and_worse_tier_is_named_with_what_dominates_it(ladder: Ladder) -> None:
    (tier,) = dropped(rows(400, {"model-s": 0.7, "model-m": 0.5, "model-l": 0.9}), ladder)
    assert (tier.tier, tier.models, tier.by, tier.successor) == ("medium", ("model-m",), "small", "large")
    assert tier.difference < tier.interval[1] < 0
    assert tier.cost_usd_per_1000 > tier.by_cost_usd_per_1000
    assert "tier 'medium' (model-m) is dearer and worse than 'small'" in str(tier)
    assert without_tiers(ladder, [tier]).names == ("small", "large")


def test_a_noisy_equal_a_better_and_a_hardly_seen_tier_stay(ladder: Ladder) -> None:
    worse = {"model-s": 0.7, "model-m": 0.5, "model-l": 0.9}
    for seed in range(5):
        even = rows(400, {"model-s": 0.6, "model-m": 0.595, "model-l": 0.9}, seed)
        assert dropped(even, ladder) == ()
    assert dropped(rows(19, worse), ladder) == ()
    assert dropped(rows(400, worse), ladder, np.arange(400) % 19) == ()


def test_a_tier_that_logs_say_is_cheap_is_not_dominated(ladder: Ladder) -> None:
    found = rows(400, {"model-s": 0.7, "model-m": 0.5, "model-l": 0.9})
    for row in found:
        row["cost_usd"] = {"model-s": 0.01, "model-m": 0.001, "model-l": 0.1}
    assert dropped(found, ladder) == ()


def test_rows_that_know_both_tiers_decide_and_judged_ones_do_not(ladder: Ladder) -> None:
    both = rows(100, {"model-s": 0.8, "model-m": 0.3})
    judged = [{"prompt": f"judged {n}", "best_tier": "medium"} for n in range(1000)]
    (tier,) = dropped([*both, *rows(300, {"model-l": 0.9}), *judged], ladder)
    assert (tier.tier, tier.rows) == ("medium", 100)


def test_fewer_than_two_tiers_are_refused_with_the_model_to_use(ladder: Ladder) -> None:
    with pytest.raises(DataError, match=r"use model-s for everything.*--keep-dominated") as caught:
        dropped(rows(400, {"model-s": 0.9, "model-m": 0.6, "model-l": 0.3}), ladder)
    assert "'medium'" in str(caught.value)
    assert "'large'" in str(caught.value)


def test_a_dropped_best_tier_is_the_next_kept_one_upwards_and_the_strongest_at_the_top(
    ladder: Ladder,
) -> None:
    middle = dropped(rows(400, {"model-s": 0.7, "model-m": 0.5, "model-l": 0.9}), ladder)
    top = dropped(rows(400, {"model-s": 0.5, "model-m": 0.8, "model-l": 0.6}), ladder)
    assert [(tier.tier, tier.successor) for tier in (*middle, *top)] == [
        ("medium", "large"),
        ("large", "medium"),
    ]
    records = parsed([{"prompt": "p", "best_tier": name} for name in ladder.names])
    moved = relabelled(records, {tier.tier: tier.successor for tier in middle})
    assert [record.best_tier for record in moved] == ["small", "large", "large"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows whose medium tier is dearer and worse than the small one, and one judged to need it."""
    found = rows(240, {"model-s": 0.7, "model-m": 0.4, "model-l": 0.95})
    found.append({"prompt": "a judged one", "best_tier": "medium"})
    path = tmp_path_factory.mktemp("planted") / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def test_training_drops_it_and_says_so_everywhere(
    planted: Path, ladder: Ladder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        trained = train([planted], ladder, tmp_path / "r.onnx", QUICK, report=tmp_path / "report")
    assert [tier.tier for tier in trained.dropped_tiers] == ["medium"]
    assert trained.rows == 241
    assert "tier 'medium' (model-m) is dearer and worse than 'small'" in caplog.text
    assert "--keep-dominated" in caplog.text
    router = Router.load(tmp_path / "r.onnx")
    assert router.ladder.names == ("small", "large")
    (said,) = router.artifact.manifest.data["dropped_tiers"]
    assert (said["tier"], said["by"], said["successor"]) == ("medium", "small", "large")
    assert "medium: dearer and worse than small" in (tmp_path / "report" / "index.html").read_text("utf-8")
    # The ladder that training was given still stands for the router's, and so do labels that name its tiers.
    again = evaluate(router, [planted], ladder, QUICK).evaluation
    assert [constant.tier for constant in again.constants] == ["small", "large"]
    assert again.rows == 241


@pytest.mark.usefixtures("told_epochs")
def test_the_flag_keeps_it(planted: Path, ladder_path: Path, tmp_path: Path) -> None:
    settings = ["--epochs", "2", "--batch-size", "64", "--resamples", "200", "--keep-dominated", "--json"]
    out = tmp_path / "r.onnx"
    command = ["train", str(planted), "--ladder", str(ladder_path), "--out", str(out), *settings]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["dropped_tiers"] == []
    assert Router.load(out).ladder.names == ("small", "medium", "large")
