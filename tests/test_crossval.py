"""Cross-validation: every row is judged by a router that never saw it or its like."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router_model.base import Base
from router_model.data.labels import Labels
from router_model.errors import DataError, FileError
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.evaluation.crossval import CrossValidated, crossval, write_predictions
from router_model.training.evaluation.crossval_findings import pooled_curve
from router_model.training.evaluation.folded import Folded
from router_model.training.evaluation.judge import DIALS, Judged, judge


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def file_of(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(small_base: Base, ladder: Ladder, quick: TrainConfig) -> Callable[[Path], CrossValidated]:
    return lambda path: crossval([path], ladder, 2, quick, base=small_base)


@pytest.fixture(scope="module")
def found(run: Callable[[Path], CrossValidated], log_path: Path) -> CrossValidated:
    return run(log_path)


def test_labels_that_follow_from_the_words_are_found(found: CrossValidated) -> None:
    assert found.evaluation.rows == 400
    assert min(pair.apgr_interval[0] for pair in found.evaluation.pairs) > 0.55


def test_shuffled_labels_fall_to_chance(
    run: Callable[[Path], CrossValidated], log_path: Path, tmp_path: Path
) -> None:
    rows = rows_of(log_path)
    outcomes = [row["outcomes"] for row in rows]
    random.Random(0).shuffle(outcomes)
    shuffled = file_of(
        tmp_path / "log.jsonl", [row | {"outcomes": o} for row, o in zip(rows, outcomes, strict=True)]
    )
    evaluation = run(shuffled).evaluation
    for pair in evaluation.pairs:
        assert pair.apgr == pytest.approx(0.5, abs=0.08)
        assert pair.apgr_interval[0] < 0.55
    assert all(dial.gain_over_mix < 0.05 for dial in evaluation.dials)


def test_baselines_are_judged_on_the_same_rows_and_change_nothing_else(
    found: CrossValidated, small_base: Base, ladder: Ladder, quick: TrainConfig, log_path: Path
) -> None:
    both = crossval([log_path], ladder, 2, quick, base=small_base, baselines=("length", "encoder"))
    assert (both.evaluation, both.predictions) == (found.evaluation, found.predictions)
    assert (found.comparison, both.controls) == (None, None)
    assert both.comparison is not None
    scorers = ["router", "length", "encoder", "task oracle", "query oracle"]
    assert [one.scorer for one in both.comparison.rankings] == scorers * 2
    for pair in found.evaluation.pairs:
        router, length, *_ = (one for one in both.comparison.rankings if one.cheap == pair.cheap)
        assert router.apgr == pytest.approx(pair.apgr)
        assert router.apgr_interval == pytest.approx(pair.apgr_interval)
        assert router.router_less_it.apgr_interval == (0.0, 0.0)
        assert length.router_less_it.apgr_interval[0] > 0
    assert [one.router for one in both.comparison.at_costs] == [d.accuracy for d in found.evaluation.dials]


def test_a_baseline_that_cannot_run_is_named_and_the_others_run(
    small_base: Base, ladder: Ladder, quick: TrainConfig, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router_model.training.evaluation.embeddings.find_spec", lambda name: None)
    both = crossval([log_path], ladder, 2, quick, base=small_base, baselines=("minilm", "length"))
    assert both.comparison is not None
    assert "router-model[distill]" in both.comparison.missing["minilm"]
    assert "length" in {one.scorer for one in both.comparison.rankings}


def test_a_report_of_held_out_rows_changes_nothing_else(
    found: CrossValidated,
    small_base: Base,
    ladder: Ladder,
    quick: TrainConfig,
    log_path: Path,
    tmp_path: Path,
) -> None:
    both = crossval(
        [log_path], ladder, 2, quick, base=small_base, baselines=("length", "encoder"), report=tmp_path
    )
    assert both.report == str(tmp_path / "index.html")
    assert (both.evaluation, both.predictions) == (found.evaluation, found.predictions)
    page = (tmp_path / "index.html").read_text("utf-8")
    default = next(dial for dial in found.evaluation.dials if (dial.dial, dial.value) == ("quality", 0.95))
    assert "the other folds, 2 times; 400 rows in 400 groups in all" in page
    assert re.search(r"at quality=0\.95 it let the router decide in \d of 2 folds", page)
    assert f"<td>{default.quality:.1%} <span>[" in page
    assert "From small to large, by the order of prompts, the router is better than" in page
    assert page.count(">length<") >= 4  # both legends, a row for each pair of tiers
    assert "Not run here: router-model crossval --controls" in page


def test_where_no_fold_lets_the_router_decide_the_page_names_one_model(
    small_base: Base, ladder: Ladder, quick: TrainConfig, log_path: Path, tmp_path: Path
) -> None:
    chance = random.Random(0)
    rows = [
        row | {"outcomes": dict.fromkeys(row["outcomes"], float(chance.random() < 0.6))}
        for row in rows_of(log_path)
    ]
    log = file_of(tmp_path / "log.jsonl", rows)  # all models alike, whatever the prompt
    crossval([log], ladder, 2, quick, base=small_base, report=tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "Use model-s (tier small) for everything." in page
    assert "In no fold is the router better than the best constant or mix of tiers at equal cost" in page
    assert "it let the router decide in 0 of 2 folds" in page


def test_where_the_folds_guards_differ_the_page_says_so(ladder: Ladder) -> None:
    random_rows = np.random.default_rng(0)
    outcomes = (random_rows.random((200, 3)) < (0.4, 0.6, 0.8)).astype(np.float64)
    costs = np.tile([0.001, 0.01, 0.1], (200, 1))
    labels = Labels(outcomes, outcomes, costs, np.ones(200), np.ones(3))
    chosen = np.full((200, len(DIALS)), 2)
    decided = np.array([[True, False] + [True] * 7, [True, False] + [False] * 7])
    judged = Judged(
        outcomes, outcomes, chosen, decided.all(axis=0), labels, np.arange(200), np.array([0.01, 0.1, 1])
    )
    folded = Folded(np.arange(200), np.arange(200) % 2, judged, decided, {})
    both, none, part, *_ = pooled_curve(judge(judged, ladder, 200, 0.95, 0), folded)
    assert (both.rule, both.note) == ("router", "")
    assert (none.rule, none.note[:10]) == ("fixed", "in no fold")
    assert (part.rule, part.note) == ("router", "the guard in 1 of 2 folds")
    assert part.shares == (0.0, 0.0, 1.0)
    assert part.quality == pytest.approx(1.0)


def planted(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows with a medium model that fails more often than the small one."""
    for row in rows:
        row["outcomes"]["model-m"] = 0.0 if random.Random(row["id"]).random() < 0.9 else 1.0
    return file_of(path, rows)


def test_a_dominated_tier_leaves_the_ladder_of_every_fold_unless_kept(
    small_base: Base,
    ladder: Ladder,
    quick: TrainConfig,
    log_path: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = planted(tmp_path / "log.jsonl", rows_of(log_path)[:200])
    found = crossval([log], ladder, 2, quick, base=small_base, report=tmp_path / "report")
    assert [(tier.tier, tier.by) for tier in found.dropped_tiers] == [("medium", "small")]
    assert "tier 'medium' (model-m) is dearer and worse than 'small'" in caplog.text
    assert [constant.tier for constant in found.evaluation.constants] == ["small", "large"]
    assert all(set(row["sufficiency"]) == {"small", "large"} for row in found.predictions)
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "medium: dearer and worse than small" in page
    kept = crossval([log], ladder, 2, quick, base=small_base, keep_dominated=True)
    assert kept.dropped_tiers == ()
    assert [constant.tier for constant in kept.evaluation.constants] == ["small", "medium", "large"]


def test_a_report_that_cannot_be_written_is_refused_before_any_work(ladder: Ladder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError, match="--report"):
        crossval([tmp_path / "absent.jsonl"], ladder, report=tmp_path / "file")


def test_every_row_has_one_prediction_in_the_order_of_the_data(
    found: CrossValidated, log_path: Path, ladder: Ladder
) -> None:
    assert [row["id"] for row in found.predictions] == [row["id"] for row in rows_of(log_path)]
    for row in found.predictions:
        assert set(row) == {"id", "fold", "sufficiency", "tier"}
        assert row["fold"] in (0, 1)
        assert tuple(row["sufficiency"]) == ladder.names
        assert all(0 <= probability <= 1 for probability in row["sufficiency"].values())
        assert row["tier"] in ladder.names


def test_the_same_seed_gives_the_same_predictions(
    found: CrossValidated, run: Callable[[Path], CrossValidated], log_path: Path
) -> None:
    assert run(log_path) == found


def test_groups_and_near_duplicates_never_straddle_folds(
    run: Callable[[Path], CrossValidated], log_path: Path, tmp_path: Path
) -> None:
    rows = rows_of(log_path)[:150]
    kin = [f"session-{number % 20}" for number in range(len(rows))]
    named = [row | {"group": group} for row, group in zip(rows, kin, strict=True)]
    again = [
        row | {"id": f"again-{row['id']}", "prompt": row["prompt"] + " "}
        for row in rows_of(log_path)[150:250]
    ]
    path = file_of(tmp_path / "log.jsonl", named + rows_of(log_path)[150:250] + again)
    fold_of = {row["id"]: row["fold"] for row in run(path).predictions}
    for group in set(kin):
        assert len({fold_of[row["id"]] for row in named if row["group"] == group}) == 1
    for row in again:
        assert fold_of[row["id"]] == fold_of[row["id"].removeprefix("again-")]
    assert set(fold_of.values()) == {0, 1}


def test_rows_that_do_not_know_every_tier_are_predicted_and_not_judged(
    run: Callable[[Path], CrossValidated], log_path: Path, tmp_path: Path
) -> None:
    rows = rows_of(log_path)[:200]
    for row in rows[::5]:
        del row["outcomes"]["model-m"]
    found = run(file_of(tmp_path / "log.jsonl", rows))
    assert len(found.predictions) == 200
    assert found.evaluation.rows == 160


def test_more_folds_than_groups_are_refused(
    small_base: Base, ladder: Ladder, quick: TrainConfig, log_path: Path, tmp_path: Path
) -> None:
    rows = [row | {"group": str(number % 3)} for number, row in enumerate(rows_of(log_path))]
    with pytest.raises(DataError, match="3 groups of rows cannot be split into 5 folds"):
        crossval([file_of(tmp_path / "log.jsonl", rows)], ladder, 5, quick, base=small_base)


def test_predictions_are_written_one_json_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    predictions = [{"id": "日本 \ud800", "fold": 1, "sufficiency": {"a": 0.5}, "tier": "a"}, {"id": "2"}]
    write_predictions(path, predictions)
    assert [json.loads(line) for line in path.read_bytes().splitlines()] == predictions
    with pytest.raises(FileError, match="give a place that can be written"):
        write_predictions(tmp_path / "nowhere" / "p.jsonl", predictions)
