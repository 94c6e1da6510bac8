"""Learning from logs of one outcome a request: what is measured, what is refused, what comes out."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from router_model.base import Base
from router_model.data.readers import Reading, read_records
from router_model.data.records import Record, to_row
from router_model.data.simulate import Logging, log
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.counterfactual import counterfactual
from router_model.training.encoders.static import Static
from router_model.training.prepare import Prepared, prepare
from router_model.training.train import train


@pytest.fixture(scope="module")
def everything(fresh_log_path: Path) -> list[Record]:
    """1,000 records that know every tier's outcome."""
    return list(read_records(fresh_log_path, Reading()))


def prepared(records: list[Record], ladder: Ladder, encoder: Static) -> Prepared:
    return prepare(records, ladder, TrainConfig(), encoder)


def test_rows_that_know_every_tier_are_measured_as_they_are(
    everything: list[Record], ladder: Ladder, small_encoder: Static
) -> None:
    logged = [dataclasses.replace(record, id=f"log {record.id}") for record in everything[100:200]]
    both = everything[:100] + log(logged, ladder, Logging())
    rows, labels = counterfactual(prepared(both, ladder, small_encoder), ladder, TrainConfig(), small_encoder)
    assert rows.tolist() == list(range(100))
    assert not labels.estimated


@pytest.mark.parametrize("feedback", [1.0, 0.4])
def test_estimated_outcomes_have_the_means_of_the_true_ones(
    everything: list[Record], ladder: Ladder, small_encoder: Static, feedback: float
) -> None:
    truth = np.array([[r.outcomes[m] for m in ("model-s", "model-m", "model-l")] for r in everything])
    level = np.array([r.task for r in everything])
    logs = log(everything, ladder, Logging(exploration=0.3, feedback=feedback, seed=1))
    rows, labels = counterfactual(prepared(logs, ladder, small_encoder), ladder, TrainConfig(), small_encoder)
    assert len(rows) == len(truth)
    assert labels.estimated
    error = 5 * labels.outcomes.std(axis=0) / np.sqrt(len(truth))
    assert np.abs(labels.outcomes.mean(axis=0) - truth.mean(axis=0)).max() < error.max()
    for tier in range(3):  # a policy that looks at the prompt: the hardest third to this tier
        part = level == "level-2"
        spread = 5 * labels.outcomes[part, tier].std() / np.sqrt(part.sum())
        assert abs(labels.outcomes[part, tier].mean() - truth[part, tier].mean()) < spread


def test_costs_are_those_of_all_requests_and_not_of_those_that_a_tier_was_sent(
    everything: list[Record], ladder: Ladder, small_encoder: Static
) -> None:
    """Hard prompts have ten times longer answers, and most of them went to the strongest tier."""
    chance, tiers = np.random.default_rng(3), len(ladder)
    logs, true = [], np.empty((len(everything), tiers))
    for row, record in enumerate(everything):
        hard = record.task == "level-2"
        lengths = np.where(hard, 1000.0, 100.0) * chance.lognormal(0, 0.2, tiers)
        asked = record.prompt.characters / 4
        true[row] = [tier.cost_usd(asked, each) for tier, each in zip(ladder.tiers, lengths, strict=True)]
        chosen = np.full(tiers, 0.15) + 0.55 * (np.arange(tiers) == (2 if hard else 0))
        tier = int(chance.choice(tiers, p=chosen))
        model = ladder.tiers[tier].models[0]
        told = {"outcomes": {model: record.outcomes[model]}, "output_tokens": {model: float(lengths[tier])}}
        logs.append(dataclasses.replace(record, model=model, propensity=float(chosen[tier]), **told))
    _, labels = counterfactual(prepared(logs, ladder, small_encoder), ladder, TrainConfig(), small_encoder)
    assert labels.cost_usd.mean(axis=0) == pytest.approx(true.mean(axis=0), rel=0.15)


def test_unmarked_answers_stay_as_rows_without_a_label(
    everything: list[Record], ladder: Ladder, small_encoder: Static
) -> None:
    logs = log(everything[:300], ladder, Logging(feedback=0.5))
    stranger = dataclasses.replace(everything[300], model="another", outcomes={})
    found = prepared([*logs, stranger], ladder, small_encoder)
    assert len(found.records) == 300
    assert 50 < found.labels.observed.any(axis=1).sum() < 250


@pytest.mark.parametrize("hide", [False, True])
def test_a_log_that_never_varied_its_choices_is_refused(
    everything: list[Record], ladder: Ladder, small_encoder: Static, hide: bool
) -> None:
    logs = log(everything[:600], ladder, Logging(exploration=0.0, hide_propensity=hide))
    with pytest.raises(
        DataError, match="the log cannot tell how a router would do, since it could have sent at most"
    ):
        counterfactual(prepared(logs, ladder, small_encoder), ladder, TrainConfig(), small_encoder)


def test_a_tier_that_was_never_chosen_is_named(
    everything: list[Record], ladder: Ladder, small_encoder: Static
) -> None:
    two = Ladder(ladder.tiers[:2])
    logs = log(everything[:600], two, Logging(policy="random"))
    logs[0] = dataclasses.replace(logs[0], model="model-l", outcomes={"model-l": 1.0}, propensity=1.0)
    with pytest.raises(DataError, match="to tier 'large'"):
        counterfactual(prepared(logs, ladder, small_encoder), ladder, TrainConfig(), small_encoder)


def test_a_router_learns_from_logs_and_says_what_was_estimated(
    everything: list[Record],
    log_path: Path,
    ladder: Ladder,
    quick: TrainConfig,
    small_base: Base,
    tmp_path: Path,
) -> None:
    logs = log(everything, ladder, Logging(exploration=0.6, feedback=0.9, seed=2))
    path, out, page = tmp_path / "log.jsonl", tmp_path / "router.onnx", tmp_path / "page"
    path.write_text("".join(json.dumps(to_row(record)) + "\n" for record in logs), "utf-8")
    found = train([path], ladder, out, quick, base=small_base, report=page)
    assert np.isnan(found.evaluation.oracle.accuracy)
    assert all(constant.calibration_error < 0.2 for constant in found.evaluation.constants)
    manifest = Router.load(out).artifact.manifest
    assert manifest.metrics["epochs"] == quick.epochs  # not stopped early
    assert manifest.data["outcomes"] == "estimated"
    assert manifest.data["measured_rows"] == len(logs)
    json.dumps(manifest.metrics, allow_nan=False)
    shown = (page / "index.html").read_text("utf-8")
    assert "outcomes of tiers that the log does not show are estimated" in shown
    assert "the log shows no request" in shown
    unseen = list(read_records(log_path, Reading()))
    said = Router.load(out).route_prompts([record.prompt for record in unseen]).sufficiency
    hard = np.array([record.task == "level-2" for record in unseen])
    assert said[hard, 0].mean() < said[~hard, 0].mean() - 0.2
