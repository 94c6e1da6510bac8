import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.cli import main
from router_model.data.readers import read_records
from router_model.data.records import Record, parse_record
from router_model.data.simulate import Logging, choose, log, observed, probabilities, simulate
from router_model.errors import ConfigError, DataError, LadderError
from router_model.ladder import Ladder

REQUESTS = 3000


def records(count: int = REQUESTS) -> list[Record]:
    """Prompts of 1 to ``count`` characters; model-s and model-l are right on odd ones, model-m on even."""
    rows = [
        {
            "id": f"r{n}",
            "prompt": "x" * n,
            "outcomes": {"model-s": n % 2, "model-m": 1 - n % 2, "model-l": n % 2},
            "output_tokens": {"model-s": 10, "model-m": 20, "model-l": 30},
            "cost_usd": {"model-s": 1, "model-m": 2, "model-l": 3},
            "answer": {"model-s": "s", "model-m": "m"},
        }
        for n in range(1, count + 1)
    ]
    return [parse_record(row, row["id"]) for row in rows]


def tiers(logged: list[Record], ladder: Ladder) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([ladder.index_of_model(record.model or "") for record in logged])


def test_the_longest_prompts_go_to_the_strongest_tier_but_for_the_explored_share(ladder: Ladder) -> None:
    logged = log(records(), ladder, Logging(exploration=0.3))
    ruled = np.repeat([0, 1, 2], REQUESTS // 3)
    followed = tiers(logged, ladder) == ruled
    assert abs(followed.mean() - 0.8) < 0.03  # 0.7, and a third of the 0.3
    expected = np.where(followed, 0.8, 0.1)
    np.testing.assert_allclose([record.propensity for record in logged], expected)


def test_a_logged_request_holds_the_one_models_answer_and_nothing_of_the_others(ladder: Ladder) -> None:
    for before, after in zip(records(60), log(records(60), ladder, Logging(exploration=0.5)), strict=True):
        assert after.model is not None
        assert after.outcomes == {after.model: before.outcomes[after.model]}
        assert after.cost_usd == {after.model: before.cost_usd[after.model]}
        assert after.output_tokens == {after.model: before.output_tokens[after.model]}
        assert set(after.answers) <= {after.model}
        assert (after.id, after.prompt) == (before.id, before.prompt)


def test_without_exploration_the_log_is_deterministic_and_certain(ladder: Ladder) -> None:
    logged = log(records(30), ladder, Logging(exploration=0))
    assert tiers(logged, ladder).tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert {record.propensity for record in logged} == {1.0}


@pytest.mark.parametrize(
    ("how", "share"),
    [(Logging("random"), [1 / 3] * 3), (Logging("constant:medium", exploration=0.3), [0.1, 0.8, 0.1])],
)
def test_the_other_policies_choose_as_they_say(ladder: Ladder, how: Logging, share: list[float]) -> None:
    logged = log(records(), ladder, how)
    found = np.bincount(tiers(logged, ladder), minlength=3) / REQUESTS
    np.testing.assert_allclose(found, share, atol=0.03)
    np.testing.assert_allclose([r.propensity for r in logged], np.array(share)[tiers(logged, ladder)])


def test_feedback_and_noise_are_the_shares_they_name_and_leave_the_choices_alone(ladder: Ladder) -> None:
    whole = log(records(), ladder, Logging())
    part = log(records(), ladder, Logging(feedback=0.3, noise=0.2))
    assert [record.model for record in part] == [record.model for record in whole]
    marked = [(a, b) for a, b in zip(part, whole, strict=True) if a.outcomes]
    assert abs(len(marked) / REQUESTS - 0.3) < 0.03
    assert abs(np.mean([a.outcomes != b.outcomes for a, b in marked]) - 0.2) < 0.04


def test_the_propensity_can_be_hidden(ladder: Ladder) -> None:
    assert {r.propensity for r in log(records(9), ladder, Logging(hide_propensity=True))} == {None}


def test_records_that_lack_a_tiers_outcome_are_left_out(ladder: Ladder) -> None:
    partial = parse_record({"prompt": "hi", "outcomes": {"model-s": 1}}, "here")
    assert len(observed([partial, *records(5)], ladder)) == 5
    with pytest.raises(DataError, match="no record has an outcome for each tier"):
        observed([partial], ladder)


def test_what_is_out_of_range_is_refused(ladder: Ladder) -> None:
    with pytest.raises(ConfigError, match=r"--exploration 1\.5"):
        Logging(exploration=1.5)
    with pytest.raises(ConfigError, match="--noise nan"):
        Logging(noise=float("nan"))
    with pytest.raises(ConfigError, match="--policy 'best'"):
        Logging("best")
    with pytest.raises(LadderError, match="no tier 'huge'"):
        log(records(3), ladder, Logging("constant:huge"))


@settings(derandomize=True, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 50), min_size=1, max_size=40),
    exploration=st.floats(0, 1),
    policy=st.sampled_from(["length", "random", "constant:large"]),
    seed=st.integers(0, 9),
)
def test_chances_sum_to_one_and_nothing_impossible_is_chosen(
    ladder: Ladder, lengths: list[int], exploration: float, policy: str, seed: int
) -> None:
    chances = probabilities(np.array(lengths, np.float64), ladder, Logging(policy, exploration))
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    draws = np.random.default_rng(seed).random(len(lengths))
    draws[0] = np.nextafter(1, 0)
    chosen = choose(chances, draws)
    assert (chances[np.arange(len(lengths)), chosen] > 0).all()


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(ladder: Ladder, tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.jsonl.gz" for name in "abc")
    simulate(records(90), ladder, first, Logging(seed=1))
    simulate(records(90), ladder, second, Logging(seed=1))
    simulate(records(90), ladder, third, Logging(seed=2))
    assert first.read_bytes() == second.read_bytes() != third.read_bytes()


def test_whatever_a_record_holds_reads_back(ladder: Ladder, tmp_path: Path) -> None:
    row = {"id": "a", "prompt": "half a \ud83d", "outcomes": {"model-s": 0, "model-m": 1, "model-l": 1}}
    simulate([parse_record(row | {"meta": {"day": date(2026, 3, 1)}}, "a")], ladder, tmp_path / "log.jsonl")
    (found,) = read_records(tmp_path / "log.jsonl")
    assert (found.request, found.meta) == ("half a \ud83d", {"day": "2026-03-01"})


def test_the_command_writes_a_log_that_reads_back(log_path: Path, ladder_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "logs.jsonl"
    options = ["--feedback", "0.5", "--json", "--ladder", str(ladder_path), "--out", str(out)]
    ended = CliRunner().invoke(main, ["simulate", str(log_path), *options])
    assert ended.exit_code == 0, ended.output
    told, logged = json.loads(ended.output), list(read_records(out))
    assert told["rows"] == len(logged) == 400 == sum(told["tiers"].values())
    assert told["marked"] == sum(record.labelled for record in logged)
    assert all(record.model and record.propensity for record in logged)


def test_the_command_refuses_a_share_out_of_range(log_path: Path, ladder_path: Path, tmp_path: Path) -> None:
    options = ["--ladder", str(ladder_path), "--out", str(tmp_path / "x"), "--feedback", "2"]
    assert CliRunner().invoke(main, ["simulate", str(log_path), *options]).exit_code == 2
