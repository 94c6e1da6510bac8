"""Answers' lengths: learnt beside the routing, exported, and weighed in what a prompt is expected to cost."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.artifact import Artifact
from router_model.data.records import parse_record
from router_model.ladder import Ladder, Tier
from router_model.lengths import Weights
from router_model.policy.rule import Priced
from router_model.prompt import read
from router_model.router import Router
from router_model.training.adapt import adapt
from router_model.training.build import weights_of
from router_model.training.config import TrainConfig
from router_model.training.curve import Measured
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.evaluate import evaluate
from router_model.training.lengths import MIN_ROWS, Line, fit_head, line
from router_model.training.place import with_model
from router_model.training.train import train
from router_model.training.weighing import weighing
from tests.conftest import EASY, HARD, MIDDLE, TIERS, make_rows, write_rows
from tests.test_router import varied, with_manifest

TIMES = {"level-0": 1, "level-1": 10, "level-2": 3}  # what a prompt's kind does to all answers' lengths
LONG, SHORT = " ".join(MIDDLE), " ".join(EASY)


def told(count: int, seed: int = 0, noise: bool = False) -> list[dict[str, Any]]:
    """Rows with lengths: a tier's answers are longer than a cheaper one's, and ten times as long of a kind.

    With ``noise``, lengths have nothing to do with the prompt.
    """
    chance = random.Random(seed)
    rows = make_rows(count, seed)
    for row in rows:
        times = chance.choice(list(TIMES.values())) if noise else TIMES[row["task"]]
        row["output_tokens"] = {
            tier["model"]: round((k + 1) * 100 * times * chance.lognormvariate(0, 0.3))
            for k, tier in enumerate(TIERS)
        }
    return rows


@pytest.fixture(scope="module")
def long_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("long") / "log.jsonl", told(800))


@pytest.fixture(scope="module")
def router(
    tmp_path_factory: pytest.TempPathFactory, long_path: Path, ladder: Ladder, quick: TrainConfig
) -> Router:
    """Trained on rows with lengths."""
    out = tmp_path_factory.mktemp("router") / "router.onnx"
    train([long_path], ladder, out, quick)
    return Router.load(out)


def usd_at(router: Router, text: str, tier: int) -> float:
    return float(router.route_batch([text]).expected_cost_at(np.array([tier]))[0])


def test_a_prompt_whose_answers_run_long_is_expected_to_cost_more(router: Router) -> None:
    for k in range(3):
        assert usd_at(router, LONG, k) > 3 * usd_at(router, SHORT, k)
    long = router.route(LONG, quality=1.0)
    assert long.output_tokens is not None
    assert long.output_tokens["large"] == pytest.approx(3000, rel=0.5)
    assert long.expected_cost_usd == pytest.approx(usd_at(router, LONG, router.ladder.index(long.tier)))


def test_expected_costs_add_up_to_what_new_rows_cost(router: Router, ladder: Ladder) -> None:
    rows = told(400, seed=5)
    decisions = router.route_batch([row["prompt"] for row in rows])
    for k, tier in enumerate(ladder.tiers):
        paid = [tier.cost_usd(len(r["prompt"]) / 4, r["output_tokens"][tier.models[0]]) for r in rows]
        expected = decisions.expected_cost_at(np.full(len(rows), k))
        assert expected.sum() == pytest.approx(sum(paid), rel=0.1)


def test_the_held_out_error_is_reported_and_below_that_of_each_tiers_mean(router: Router) -> None:
    found = router.artifact.manifest.metrics["lengths"]
    assert found["kept"]
    assert found["absolute_error_below_mean"]["interval"][0] > 0.2
    assert found["tiers"]["large"]["typical"]["mean"] < found["tiers"]["large"]["median"]["mean"]
    said = found["tiers"]["large"]
    assert said["expected"]["mean_said"] == pytest.approx(said["mean_tokens"], rel=0.05)


def test_a_batch_gives_the_costs_that_prompts_get_one_by_one(router: Router) -> None:
    requests = varied(300, seed=2)
    for rule in (None, Priced(30.0)):
        alone = [router.route(request, rule=rule) for request in requests]
        batch = router.route_batch(requests, rule=rule)
        costs = [decision.expected_cost_usd for decision in alone]
        assert batch.expected_cost_usd == pytest.approx(costs, rel=1e-5)
        assert [decision.tier for decision in batch] == [decision.tier for decision in alone]
        for one, other in zip(batch, alone, strict=True):
            assert one.output_tokens == pytest.approx(other.output_tokens, rel=1e-5, abs=1e-3)
            assert one.sufficiency == pytest.approx(other.sufficiency, abs=1e-5)


def test_a_rule_is_given_what_the_prompt_will_cost(router: Router) -> None:
    seen: list[list[float]] = []

    def rule(sufficiency: Any, usd: Any) -> int:
        assert len(sufficiency) == len(usd) == 3
        seen.append(list(usd))
        return 2

    for text in (LONG, SHORT):
        router.route(text, rule=rule)
        router.route_batch([text], rule=rule)
    assert seen[0] == pytest.approx(seen[1], rel=1e-5)
    assert seen[0][2] > 3 * seen[2][2]


def test_own_costs_are_weighed_where_they_buy_the_same_quality_for_less() -> None:
    chance = np.random.default_rng(0)
    hard = chance.random(2000)
    probabilities = np.stack([1 - hard, np.full(2000, 0.95)], axis=1)
    outcomes = (chance.random((2000, 2)) < probabilities).astype(float)
    times = chance.choice([0.2, 1.8], 2000)  # of the dear tier's answers; the prompt's difficulty is another
    cost = np.stack([np.full(2000, 0.1), times], axis=1)
    rows = Measured(probabilities, outcomes, cost, np.arange(2000))
    bootstrap = Bootstrap(rows.groups, 200, 0.95)
    known = weighing(rows, cost, bootstrap)
    assert known.weighs
    assert known.cost_ratio < 0.9
    wrong = np.stack([cost[:, 0], chance.permutation(times)], axis=1)
    assert not weighing(rows, wrong, bootstrap).weighs
    same = weighing(rows, np.broadcast_to(rows.relative_cost, cost.shape), bootstrap)
    assert same.cost_ratio == pytest.approx(1.0)
    assert not same.weighs


def weighed(router: Router) -> Router:
    """The router, weighing each prompt's own cost whatever training found."""
    manifest = router.artifact.manifest
    assert manifest.lengths is not None
    expected = Line(np.array(manifest.lengths.offset), np.array(manifest.lengths.scale))
    unit = router.ladder.tiers[-1].cost_usd(50, manifest.output_tokens[-1])
    lengths = dataclasses.replace(manifest.lengths, weights=weights_of(router.ladder, expected, unit))
    return Router(with_manifest(router.artifact, lengths=lengths))


def test_one_by_one_and_in_a_batch_the_same_own_costs_are_weighed(router: Router) -> None:
    own, requests = weighed(router), varied(300, seed=7)
    for dial in ({}, {"quality": 0.9}, {"budget": 0.5}):
        batch = own.route_batch(requests, **dial)
        assert batch.tier.tolist() == [own.ladder.index(own.route(r, **dial).tier) for r in requests]


def test_of_two_ways_to_weigh_costs_the_own_one_spends_less_on_long_answers(router: Router) -> None:
    own, mean = weighed(router), plain(router)
    texts = [f"{row['prompt']} {' '.join(HARD[:3])}" for row in told(300) if row["task"] == "level-1"]
    spent = [each.route_batch(texts, quality=0.95).tier.mean() for each in (own, mean)]
    assert spent[0] < spent[1]


def test_a_long_conversation_is_not_sent_to_a_cheaper_tier_for_its_length(router: Router) -> None:
    own = weighed(router)
    lengths = own.artifact.manifest.lengths
    assert lengths
    assert lengths.weights
    outputs = [0.1, 0.2, 0.99, 10.0, 10.0, 10.0]
    assert [lengths.weights.choose(outputs, 0.02, n) for n in (100, 2048, 10**7)] == [2, 2, 2]
    turns = [{"role": "user", "content": f"{LONG} {number} " * 40} for number in range(200)]
    decision = own.route(turns)
    assert decision.characters > 100_000  # and what it costs is told whole
    tier = own.ladder.tiers[own.ladder.index(decision.tier)]
    assert decision.expected_cost_usd > 25_000 * tier.input_usd_per_million * 1e-6


def test_other_prices_change_costs_and_no_choice_of_the_quality_dial(router: Router, ladder: Ladder) -> None:
    dearer = Ladder(
        tuple(
            dataclasses.replace(t, output_usd_per_million=10 * t.output_usd_per_million) for t in ladder.tiers
        )
    )
    own = weighed(router)
    other, texts = own.with_ladder(dearer), [row["prompt"] for row in told(100, seed=3)]
    mine, theirs = own.route_batch(texts, quality=0.9), other.route_batch(texts, quality=0.9)
    assert mine.tier.tolist() == theirs.tier.tolist()
    assert (theirs.expected_cost_usd > 4 * mine.expected_cost_usd).all()


def test_the_router_is_judged_as_it_decides(router: Router, tmp_path: Path, ladder: Ladder) -> None:
    rows = told(300, seed=4)
    path = write_rows(tmp_path / "fresh.jsonl", rows)
    own = weighed(router)
    found = evaluate(own, [path], config=TrainConfig(resamples=200))
    shares = next(point.shares for point in found.evaluation.dials if point.value == 0.9)
    chosen = own.route_batch([row["prompt"] for row in rows], quality=0.9).tier
    assert list(shares.values()) == pytest.approx(np.bincount(chosen, minlength=3) / len(rows))


def test_lengths_that_prompts_do_not_tell_leave_the_artifact_as_it_was(
    tmp_path: Path, ladder: Ladder, quick: TrainConfig
) -> None:
    path = write_rows(tmp_path / "log.jsonl", told(200, noise=True))
    train([path], ladder, tmp_path / "router.onnx", quick)
    router = Router.load(tmp_path / "router.onnx")
    assert router.artifact.manifest.lengths is None
    assert not router.artifact.manifest.metrics["lengths"]["kept"]
    assert router.route("hello").output_tokens is None


def test_rows_without_lengths_train_what_they_trained_before(artifact_path: Path) -> None:
    artifact = Artifact.read(artifact_path)
    assert artifact.manifest.lengths is None
    assert '"format":1,' in artifact.manifest.to_json()
    assert "lengths" not in artifact.manifest.metrics


def test_a_prompt_unlike_all_others_gets_a_length_like_theirs(router: Router) -> None:
    longest = max(max(row["output_tokens"].values()) for row in told(800))
    for decision in router.route_batch(varied(300, seed=8)):
        assert decision.output_tokens is not None
        assert all(0 <= tokens < 3 * longest for tokens in decision.output_tokens.values())


def plain(router: Router) -> Router:
    """The router, weighing mean costs whatever training found."""
    lengths = router.artifact.manifest.lengths
    assert lengths is not None
    return Router(with_manifest(router.artifact, lengths=dataclasses.replace(lengths, weights=None)))


def test_a_router_that_weighs_mean_costs_chooses_as_one_without_lengths(router: Router) -> None:
    mean = plain(router)
    texts = [row["prompt"] for row in told(100, seed=6)]
    decisions = mean.route_batch(texts, quality=0.9)
    point = mean.policy.point(quality=0.9)
    expected = [mean.policy.choose(row, point, "") for row in decisions.sufficiency.tolist()]
    assert (
        decisions.tier.tolist()
        == expected
        == [mean.ladder.index(mean.route(t, quality=0.9).tier) for t in texts]
    )


@given(
    st.integers(2, 16).flatmap(
        lambda k: st.tuples(
            *[st.lists(st.floats(0, 1), min_size=k, max_size=k)] * 4,
            st.lists(st.floats(0, 1e4), min_size=k, max_size=k),
        )
    ),
    st.floats(0, 10),
    st.integers(0, 100_000),
)
@settings(deadline=None, max_examples=200, derandomize=True)
def test_one_prompts_choice_is_the_best_of_its_costs(
    numbers: tuple[list[float], ...], penalty: float, characters: int
) -> None:
    sufficiency, per_character, per_answer, per_token, tokens = numbers
    weights = Weights(tuple(per_character), tuple(per_answer), tuple(per_token))
    costs = weights.costs(np.array([characters]), np.array([tokens]))
    value = np.array(sufficiency) - penalty * costs[0]
    chosen = weights.choose(sufficiency + tokens, penalty, characters)
    assert value[chosen] == pytest.approx(value.max(), rel=1e-9, abs=1e-9)


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e5)), min_size=MIN_ROWS, max_size=120),
    st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=100, derandomize=True)
def test_expected_lengths_have_the_mean_of_the_answers_and_never_fall(
    pairs: list[tuple[float, float]], seed: int
) -> None:
    typical, lengths = (np.array(column)[:, None] for column in zip(*pairs, strict=True))
    expected = line(typical, lengths)
    assert expected.offset[0] >= 0
    assert expected.scale[0] >= 0
    assert expected(typical).mean() == pytest.approx(lengths.mean(), rel=1e-6, abs=1e-6)


def test_a_tier_whose_lengths_nobody_logged_gets_one_length_for_all() -> None:
    chance = np.random.default_rng(0)
    embedding = chance.normal(size=(200, 8)).astype(np.float32)
    lengths = np.stack([100 + 50 * embedding[:, 0], np.full(200, np.nan)], axis=1)
    head = fit_head(embedding, lengths, 0)
    said = head(embedding)
    assert said[:, 1].std() == pytest.approx(0, abs=1e-3)
    assert np.isfinite(said).all()
    expected = line(said, lengths)
    assert expected.scale[1] == 0
    assert expected.offset[1] == pytest.approx(np.nanmean(lengths))


def test_a_prompt_and_its_answer_are_each_priced_once(router: Router) -> None:
    text = f"{SHORT} near the river"
    decision, k = router.route(text, quality=1.0), 2
    lengths, tier = router.artifact.manifest.lengths, router.ladder.tiers[k]
    assert lengths is not None
    assert decision.output_tokens is not None
    answer = lengths.offset[k] + lengths.scale[k] * decision.output_tokens[tier.name]
    usd = tier.cost_usd(read(text).characters / 4, answer)
    found = router.route_batch([text]).expected_cost_at(np.array([k]))[0]
    assert found == pytest.approx(usd, rel=1e-5)


def test_an_adapted_router_tells_lengths_of_the_tiers_that_it_knew(
    router: Router, ladder: Ladder, tmp_path: Path
) -> None:
    rows = told(80, seed=5)
    for row in rows:
        row["outcomes"]["new"], row["output_tokens"] = 1.0, {"new": 700.0}
    records = [parse_record(row, "here") for row in rows]
    wider = with_model(ladder, Tier("new", ("new",), 1.0, 1.0))
    adapt(router.artifact, wider, records, [], tmp_path / "router.onnx", TrainConfig(resamples=200))
    after = Router.load(tmp_path / "router.onnx")
    before, now = router.route("hello").output_tokens, after.route("hello").output_tokens
    assert before is not None
    assert now is not None
    assert now["new"] == pytest.approx(700)
    assert [now[name] for name in ladder.names] == pytest.approx([before[name] for name in ladder.names])
