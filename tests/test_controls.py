"""The controls: chance where labels are shuffled, and plain words on what the task alone explains."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from router_model.data.readers import Reading
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.encoders.static import Static
from router_model.training.evaluation import controls as controls_module
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.compare import rank
from router_model.training.evaluation.comparison_table import render_controls
from router_model.training.evaluation.controls import (
    leave_one_task_out,
    shuffled_labels,
    task_identity,
)
from router_model.training.prepare import Prepared, prepare, read_all


@pytest.fixture(scope="module")
def log(log_path: Path, ladder: Ladder, quick: TrainConfig, small_encoder: Static) -> Prepared:
    return prepare(read_all([log_path], Reading()), ladder, quick, small_encoder)


def with_tasks(rows: Prepared, names: list[str]) -> Prepared:
    records = [dataclasses.replace(r, task=name) for r, name in zip(rows.records, names, strict=True)]
    return dataclasses.replace(rows, records=records)


def test_shuffled_labels_fall_to_chance(
    log: Prepared, ladder: Ladder, quick: TrainConfig, small_encoder: Static
) -> None:
    found = shuffled_labels(log, ladder, quick, small_encoder)
    assert found.passed is True
    for one in found.rankings["router"]:
        assert one.apgr_interval[0] <= 0.5 <= one.apgr_interval[1]
    assert "it holds 0.5, as it must" in found.verdict


def test_an_order_in_shuffled_labels_is_found(
    log: Prepared, ladder: Ladder, quick: TrainConfig, small_encoder: Static, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leak(prepared: Prepared, rest: object, inside: np.ndarray, *_: object) -> np.ndarray:
        return prepared.labels.sufficient[inside]

    monkeypatch.setattr(controls_module, "_single_fit", leak)
    found = shuffled_labels(log, ladder, quick, small_encoder)
    assert found.passed is False
    assert "look for a leak" in found.verdict
    assert "FAILED" in render_controls([found])


def test_labels_are_dealt_whole_to_other_rows(
    log: Prepared, ladder: Ladder, quick: TrainConfig, small_encoder: Static, monkeypatch: pytest.MonkeyPatch
) -> None:
    dealt: list[Prepared] = []
    sides: list[set[int]] = []

    def keep(prepared: Prepared, rest: np.ndarray, inside: np.ndarray, *_: object) -> np.ndarray:
        dealt.append(prepared)
        sides.extend(set(prepared.groups[rows].tolist()) for rows in (rest, inside))
        return np.zeros((len(inside), 3))

    monkeypatch.setattr(controls_module, "_single_fit", keep)
    shuffled_labels(log, ladder, quick, small_encoder)
    before, after = log.labels, dealt[0].labels
    assert sorted(map(tuple, before.outcomes)) == sorted(map(tuple, after.outcomes))
    assert (after.sufficient == (after.outcomes >= 0.5)).all()
    assert (before.outcomes != after.outcomes).any(axis=1).mean() > 0.3
    assert dealt[0].records is log.records
    assert not sides[0] & sides[1]


def test_the_task_is_told_apart_from_what_the_router_adds() -> None:
    chance = np.random.default_rng(0)
    outcomes = np.stack([chance.random(500) < 0.4, np.ones(500)], axis=1).astype(np.float64)
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
    two = Ladder.from_dict({"tiers": [{"name": name, "model": name, **prices} for name in ("cheap", "dear")]})
    noise, bootstrap = chance.normal(size=(500, 2)), Bootstrap(np.arange(500), 300, 0.95)
    more = task_identity(rank({"router": outcomes, "task": noise}, outcomes, two, bootstrap))
    same = task_identity(rank({"router": noise, "task": noise}, outcomes, two, bootstrap))
    assert more.verdict.endswith(": the router reads more of a prompt than its task")
    worse = task_identity(rank({"router": noise, "task": outcomes}, outcomes, two, bootstrap))
    assert ": nothing shows" in same.verdict
    assert "the task's name alone orders prompts better" in worse.verdict
    assert more.passed is None
    assert [one.scorer for one in more.rankings["task"]] == ["task"]


def test_a_task_is_judged_by_what_never_saw_it_or_its_like(
    log: Prepared, ladder: Ladder, quick: TrainConfig, small_encoder: Static, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = with_tasks(log, ["even", "odd", "third", "odd"] * 100)
    rows = dataclasses.replace(rows, groups=np.arange(400) // 2)  # every second "odd" is like an "even"
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def keep(prepared: Prepared, rest: np.ndarray, inside: np.ndarray, *_: object) -> np.ndarray:
        seen.append((rest, inside))
        return prepared.labels.sufficient[inside]

    monkeypatch.setattr(controls_module, "_single_fit", keep)
    found = leave_one_task_out(rows, ladder, ["even", "third"], quick, small_encoder)
    for (rest, inside), first in zip(seen, (0, 2), strict=True):
        assert inside.tolist() == list(range(first, 400, 4))
        assert not set(rest) & (set(inside) | set(inside + 1))
        assert len(rest) == 200
    assert list(found.rankings) == ["even", "third"]
    assert "beats a random half on 2 (even, third), and is worse on none" in found.verdict
    assert "third" in render_controls([found])


def test_what_transfers_between_tasks_is_found(
    log: Prepared, ladder: Ladder, quick: TrainConfig, small_encoder: Static
) -> None:
    rows = with_tasks(log, ["even", "odd"] * 200)
    begun: list[str] = []
    found = leave_one_task_out(rows, ladder, ["even"], quick, small_encoder, begun.append)
    assert begun == ["without the task even"]
    assert found.rankings["even"][0].apgr_interval[0] > 0.5


def test_a_task_without_which_there_is_nothing_to_learn_is_left_out_of_the_table(
    log: Prepared, ladder: Ladder, quick: TrainConfig, small_encoder: Static
) -> None:
    rows = with_tasks(log, ["most"] * 395 + ["few"] * 5)
    found = leave_one_task_out(rows, ladder, ["most"], quick, small_encoder)
    assert found.rankings == {}
    assert "not run" in found.verdict
