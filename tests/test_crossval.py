"""Cross-validation: every row is judged by a router that never saw it or its like."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router_model.base import Base
from router_model.errors import DataError, FileError
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.evaluation.crossval import CrossValidated, crossval, write_predictions


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
