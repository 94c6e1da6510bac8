"""The router that ships, and training that goes on from what a router learnt."""

import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from router_model.base import Base
from router_model.cli import main
from router_model.data.readers import Reading
from router_model.errors import ArtifactCorruptError, ArtifactError, LadderError
from router_model.ladder import Ladder
from router_model.learned import DIMENSIONS, Learned
from router_model.router import Router
from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.encoders.static import Static
from router_model.training.evaluation.evaluate import evaluate
from router_model.training.fit import fit, predict
from router_model.training.prepare import Prepared, prepare, read_all
from router_model.training.start import keep_learned, refit_logits
from router_model.training.train import train

PACKAGE = Path(__file__).parent.parent / "router_model"
NONE = np.zeros(0, np.int64)
WORDS = {True: "prove theorem lemma integral", False: "hello thanks weather recipe"}
PROMPTS = [
    "What is 2 + 2?",
    "Prove that every compact Hausdorff space is normal.",
    "",
    "写一首诗",
    "x" * 9000,
]


@pytest.fixture(scope="module")
def shipped() -> Router:
    return Router.default()


@pytest.fixture(scope="module")
def prepared(log_path: Path, ladder: Ladder, small_base: Base) -> Prepared:
    return prepare(read_all([log_path], Reading()), ladder, TrainConfig(), Static(small_base))


@pytest.fixture(scope="module")
def taught(prepared: Prepared, small_base: Base, quick: TrainConfig) -> Base:
    """The small base with what a network learnt from 300 rows of the log."""
    rows = np.arange(300)
    targets = prepared.labels.sufficient
    fitted = fit(Static(small_base), prepared.encoded, targets, rows, NONE, quick, stop_after=8)
    calibration = Calibration(np.array([1.5, 1.0, 0.7]), np.array([0.3, 0.0, -0.2]))
    return small_base.taught(keep_learned(fitted.network, calibration, small_base, "a test"))


def few_rows(count: int) -> list[dict[str, Any]]:
    """Rows of which every other one is hard."""
    return [
        {
            "prompt": f"{WORDS[row % 2 == 0]} {row * 7919} {row * row}",
            "outcomes": {
                "model-s": float(row % 2),
                "model-m": float(row % 4 > 0),
                "model-l": float(row % 9 > 0),
            },
        }
        for row in range(count)
    ]


def test_the_router_that_ships_has_three_tiers_and_its_own_dial(shipped: Router) -> None:
    assert shipped.ladder.names == ("small", "medium", "large")
    assert shipped.policy.default.dial == "quality"
    assert shipped.policy.default.value == 0.95
    decision = shipped.route(PROMPTS[0])
    assert decision.model == decision.tier
    assert set(decision.sufficiency) == {"small", "medium", "large"}


def test_it_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert Router.default().route("hello").tier in ("small", "medium", "large")


def test_it_decides_the_same_one_by_one_in_a_batch_and_loaded_again(shipped: Router) -> None:
    batch, again = shipped.route_batch(PROMPTS), Router.default()
    for place, prompt in enumerate(PROMPTS):
        one = shipped.route(prompt)
        assert one == again.route(prompt)
        assert one.tier == batch[place].tier
        assert list(one.sufficiency.values()) == pytest.approx(batch.sufficiency[place], abs=1e-5)


def test_it_tells_arithmetic_from_programming(shipped: Router) -> None:
    easy, hard = (
        shipped.route("What is 12 * 9?"),
        shipped.route("Write a function that reverses a linked list."),
    )
    assert easy.sufficiency["small"] > hard.sufficiency["small"] + 0.3


def test_what_ships_is_small() -> None:
    assert sum((PACKAGE / name).stat().st_size for name in ("default.onnx", "default.npz")) <= 6_000_000


def test_other_models_take_the_tiers_over_and_the_quality_dial_stays(shipped: Router) -> None:
    cheap = {"input_usd_per_million": 0.05, "output_usd_per_million": 0.2}
    middle = {"input_usd_per_million": 1.0, "output_usd_per_million": 5.0}
    dear = {"input_usd_per_million": 1.25, "output_usd_per_million": 10.0}
    own = [("s", "mine-8b", cheap), ("m", "mine-70b", middle), ("l", "mine-400b", dear)]
    ladder = Ladder.from_dict({"tiers": [{"name": n, "model": m, **price} for n, m, price in own]})
    router = shipped.with_ladder(ladder)
    for prompt in PROMPTS:
        before, now = (r.route(prompt, quality=0.9) for r in (shipped, router))
        assert list(now.sufficiency.values()) == list(before.sufficiency.values())
        assert shipped.ladder.index(before.tier) == ladder.index(now.tier)
        assert now.model == ladder.tiers[ladder.index(now.tier)].models[0]
    assert router.policy.point(quality=0.9).quality == shipped.policy.point(quality=0.9).quality
    assert router.policy.point(quality=0.9).cost > shipped.policy.point(quality=0.9).cost
    point = router.policy.point(budget=0.5)
    assert (point.dial, point.value) == ("budget", 0.5)
    assert point.cost <= 0.5
    assert point.quality < shipped.policy.point(budget=0.5).quality


def test_a_budget_that_a_mix_spends_to_the_last_cent_is_kept_at_the_same_prices(shipped: Router) -> None:
    same = shipped.with_ladder(shipped.ladder)
    for hundredth in range(10, 100, 2):
        before, now = (r.policy.point(budget=hundredth / 100) for r in (shipped, same))
        assert now.quality >= before.quality or before.cost > before.value + 1e-9


def test_the_same_prices_change_no_cost(shipped: Router) -> None:
    same = shipped.with_ladder(shipped.ladder)
    for value in (0.1, 0.25, 0.5, 0.75):
        before, now = (r.policy.point(budget=value) for r in (shipped, same))
        assert now.cost <= value
        assert now.quality >= before.quality
    for value in (0.8, 0.95, 1.0):
        before, now = (r.policy.point(quality=value) for r in (shipped, same))
        assert now.cost == pytest.approx(before.cost)


def test_a_ladder_of_another_length_is_refused(shipped: Router, ladder: Ladder) -> None:
    with pytest.raises(LadderError, match=r"2 tiers, the router 3; .*--base"):
        shipped.with_ladder(Ladder(ladder.tiers[:2]))


def test_a_router_is_judged_on_the_tiers_that_the_data_has_models_for(
    router: Router, ladder: Ladder, fresh_log_path: Path
) -> None:
    ends = Ladder((ladder.tiers[0], ladder.tiers[2]))
    config = TrainConfig(resamples=200)
    whole = evaluate(router, [fresh_log_path], config=config).evaluation
    found = evaluate(router, [fresh_log_path], ends, config).evaluation
    assert [set(at.shares) for at in found.dials] == [{"small", "large"}] * len(found.dials)
    assert found.pairs[0].apgr == pytest.approx(whole.pairs[0].apgr)
    assert found.constants[1].calibration_error == whole.constants[2].calibration_error
    assert found.dials[2].quality > 0.85
    with pytest.raises(LadderError, match="or two or more of them"):
        evaluate(
            router,
            [fresh_log_path],
            Ladder((ladder.tiers[2], dataclasses.replace(ladder.tiers[2], name="x", models=("y",)))),
        )


def test_a_network_of_as_many_tiers_starts_where_the_router_ended(taught: Base, prepared: Prepared) -> None:
    assert taught.learned is not None
    rows = np.arange(400)
    start = Static(taught).new_network(prepared.encoded.features, 3, TrainConfig()).eval()
    logits = predict(start, prepared.encoded, rows)
    for k, mean in enumerate(prepared.labels.sufficient.mean(axis=0)):
        right = (logits[300:, k] > 0) == (prepared.labels.sufficient[300:, k] == 1)
        assert right.mean() > max(mean, 1 - mean) - 0.02


@pytest.mark.parametrize("tiers", [2, 3, 5, 16])
def test_a_ladder_of_any_length_starts_between_its_ends(tiers: int, taught: Base, prepared: Prepared) -> None:
    rows = np.arange(100)
    three = predict(
        Static(taught).new_network(prepared.encoded.features, 3, TrainConfig()).eval(), prepared.encoded, rows
    )
    other = predict(
        Static(taught).new_network(prepared.encoded.features, tiers, TrainConfig()).eval(),
        prepared.encoded,
        rows,
    )
    assert other.shape == (100, tiers)
    if tiers <= 3:  # a longer ladder has fewer hidden units
        assert other[:, [0, -1]] == pytest.approx(three[:, [0, -1]], abs=1e-4)
    for end in (0, -1):
        assert np.corrcoef(other[:, end], three[:, end])[0, 1] > 0.7


def test_few_rows_do_better_from_a_router_than_from_the_base(
    taught: Base, small_base: Base, ladder: Ladder, fresh_log_path: Path, quick: TrainConfig
) -> None:
    fresh = prepare(read_all([fresh_log_path], Reading()), ladder, quick, Static(small_base))
    targets, few, rest = fresh.labels.sufficient, np.arange(40), np.arange(100, 1000)
    losses = {}
    for name, base in {"cold": small_base, "warm": taught}.items():
        fitted = fit(Static(base), fresh.encoded, targets, few, NONE, quick, stop_after=4)
        logits = predict(fitted.network, fresh.encoded, rest)
        losses[name] = float(np.mean(np.logaddexp(0, logits) - targets[rest] * logits))
    assert losses["warm"] < 0.9 * losses["cold"]


def test_what_goes_on_from_a_router_is_trained_with_dropout_too(
    taught: Base, prepared: Prepared, quick: TrainConfig
) -> None:
    rows, targets = np.arange(60), prepared.labels.sufficient

    def loss(dropout: float) -> float:
        config = dataclasses.replace(quick, dropout=dropout)
        fitted = fit(Static(taught), prepared.encoded, targets, rows, NONE, config, stop_after=1)
        return fitted.history[0]["train_loss"]

    assert loss(0.9) > loss(0.0) + 0.01


def test_a_start_that_is_wrong_is_turned_round(taught: Base, prepared: Prepared) -> None:
    network = Static(taught).new_network(prepared.encoded.features, 3, TrainConfig()).eval()
    rows = np.arange(400)
    logits = predict(network, prepared.encoded, rows)
    refit_logits(network, logits, 1 - prepared.labels.sufficient)
    turned = predict(network, prepared.encoded, rows)
    assert np.corrcoef(turned[:, 0], logits[:, 0])[0, 1] < -0.8


def test_a_tier_that_never_varies_keeps_its_start(taught: Base, prepared: Prepared) -> None:
    network = Static(taught).new_network(prepared.encoded.features, 3, TrainConfig()).eval()
    rows, targets = np.arange(60), prepared.labels.sufficient[:60].copy()
    targets[:, 2], targets[:, 1] = 1.0, np.nan
    before = predict(network, prepared.encoded, rows)
    refit_logits(network, before, targets)
    assert predict(network, prepared.encoded, rows)[:, 1:] == pytest.approx(before[:, 1:], abs=1e-4)


def test_training_from_the_router_that_ships_says_so(
    log_path: Path, ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    two = Ladder((ladder.tiers[0], ladder.tiers[2]))
    config = dataclasses.replace(quick, epochs=1)
    trained = train([log_path], two, tmp_path / "router.onnx", config, base=Base.find("default"))
    data = Router.load(trained.out).artifact.manifest.data
    assert data["started_from"] == Learned.default().source
    assert data["base"] == Base.default().source


def test_one_command_goes_on_from_the_router_that_ships_and_writes_what_it_learnt(
    ladder_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router_model.training.fit.planned_epochs", lambda rows, config: 1)  # of hundreds
    log, out, learned = tmp_path / "log.jsonl", tmp_path / "router.onnx", tmp_path / "learned.npz"
    log.write_text("".join(json.dumps(row) + "\n" for row in few_rows(60)), encoding="utf-8")
    asked = ["train", log, "--ladder", ladder_path, "--base", "default", "--out", out, "--learned", learned]
    done = CliRunner().invoke(main, [*map(str, asked), "--epochs", "1", "--resamples", "200", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == 60
    assert Router.load(out).artifact.manifest.data["started_from"] == Learned.default().source
    start = Base.read(learned).learned
    assert start is not None
    assert "router.onnx, of data" in start.source


def test_what_was_learnt_is_read_back_and_damage_is_named(taught: Base, tmp_path: Path) -> None:
    assert taught.learned is not None
    path = tmp_path / "learned.npz"
    taught.learned.write(path)
    read = Learned.parse(path.read_bytes(), "learned.npz")
    for name in DIMENSIONS:
        wrote = getattr(taught.learned, name)
        assert getattr(read, name) == pytest.approx(wrote, abs=1e-2, rel=1e-3)
    with pytest.raises(ArtifactCorruptError, match=r"learned\.npz: not readable"):
        Learned.parse(path.read_bytes()[:1000], "learned.npz")
    with pytest.raises(ArtifactError, match="learnt on another base"):
        Base.read(path)  # the base that ships is not the one of this test


@pytest.mark.parametrize(
    ("member", "array"),
    [
        ("head", np.zeros((3, 5), np.float16)),
        ("token", np.zeros(7, np.float16)),
        ("bias", np.full(3, np.nan, np.float16)),
        ("bias", np.zeros(3, np.float64)),
        ("wide", np.zeros((0, 3), np.float16)),
        ("base", np.full(9, 0xFF, np.uint8)),
    ],
)
def test_arrays_that_make_no_start_are_refused(
    member: str, array: np.ndarray, taught: Base, tmp_path: Path
) -> None:
    assert taught.learned is not None
    path = tmp_path / "learned.npz"
    taught.learned.write(path)
    with np.load(path) as members:
        whole = {name: members[name] for name in members.files}
    np.savez(path, **(whole | {member: array}))
    with pytest.raises(ArtifactError, match=r"learned\.npz: "):
        Learned.parse(path.read_bytes(), "learned.npz")
