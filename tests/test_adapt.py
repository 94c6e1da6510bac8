"""A router adapted to another ladder, end to end: a new model from few labels, fewer tiers, other prices."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from router_model.artifact import Artifact
from router_model.cli import main
from router_model.data.records import Record, parse_record
from router_model.errors import ConfigError, DataError, LadderError
from router_model.ladder import Ladder, Tier
from router_model.router import Router
from router_model.training.adapt import adapt, suggested
from router_model.training.config import TrainConfig
from router_model.training.place import with_model

NEW = Tier("better", ("model-n",), 1.0, 4.0)
QUICK = TrainConfig(resamples=200)


@pytest.fixture(scope="module")
def fresh(fresh_log_path: Path) -> list[dict[str, Any]]:
    """Rows that the router did not learn from, without outcomes."""
    made = [json.loads(line) for line in fresh_log_path.read_text("utf-8").splitlines()[:300]]
    return [{key: row[key] for key in ("id", "task", "prompt")} for row in made]


@pytest.fixture(scope="module")
def labelled(fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """64 of them with the outcome of a model that fails the hardest alone."""
    return [row | {"outcomes": {"model-n": float(row["task"] != "level-2")}} for row in fresh[:64]]


@pytest.fixture(scope="module")
def artifact(artifact_path: Path) -> Artifact:
    return Artifact.read(artifact_path)


def records(rows: list[dict[str, Any]]) -> list[Record]:
    return [parse_record(row, "here") for row in rows]


@pytest.fixture(scope="module")
def adapted(
    artifact: Artifact,
    fresh: list[dict[str, Any]],
    labelled: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("adapted") / "router.onnx"
    ladder = with_model(artifact.manifest.ladder, NEW)
    adapt(artifact, ladder, records(labelled), records(fresh), out, QUICK)
    return out


def test_a_new_tier_is_told_from_64_labels(
    adapted: Path, router: Router, fresh: list[dict[str, Any]]
) -> None:
    after = Router.load(adapted)
    assert after.ladder.names == ("small", "medium", "better", "large")
    unseen = fresh[64:]
    texts = [row["prompt"] for row in unseen]
    known = router.route_batch(texts).sufficiency
    said = after.route_batch(texts).sufficiency
    assert np.abs(said[:, [0, 1, 3]] - known).max() < 1e-5
    hard = np.array([row["task"] == "level-2" for row in unseen])
    assert said[~hard, 2].mean() - said[hard, 2].mean() > 0.4


def test_one_by_one_and_in_a_batch_it_decides_alike(adapted: Path, fresh: list[dict[str, Any]]) -> None:
    after = Router.load(adapted)
    texts = [row["prompt"] for row in fresh[:40]]
    batch = after.route_batch(texts, quality=0.9)
    assert [after.route(text, quality=0.9).tier for text in texts] == [d.tier for d in batch]


def test_the_file_says_what_is_expected_and_not_measured(adapted: Path, artifact: Artifact) -> None:
    manifest = Artifact.read(adapted).manifest
    assert "64 labels of better, not measured" in manifest.guard["message"]
    note = manifest.data["adapted"][0]
    assert note["from"] == artifact.fingerprint
    assert note["added"][0]["labels"] == 64
    assert note["assumed"]
    assert "held_out" not in manifest.metrics
    for point in manifest.curve:
        assert point.quality_interval[0] <= point.quality_interval[1]


def test_few_labels_leave_the_curve_wider_than_many(
    artifact: Artifact, fresh: list[dict[str, Any]], tmp_path: Path
) -> None:
    ladder = with_model(artifact.manifest.ladder, Tier("best", ("model-n",), 5.0, 20.0))
    told = [row | {"outcomes": {"model-n": float(row["task"] != "level-2")}} for row in fresh]
    widths = []
    for count in (8, 200):
        out = tmp_path / f"{count}.onnx"
        adapt(artifact, ladder, records(told[:count]), records(fresh), out, QUICK)
        points = Artifact.read(out).manifest.curve
        widths.append(np.mean([p.quality_interval[1] - p.quality_interval[0] for p in points]))
    assert widths[1] < widths[0]


def test_the_order_of_rows_moves_no_probability(
    artifact: Artifact,
    adapted: Path,
    fresh: list[dict[str, Any]],
    labelled: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    out = tmp_path / "turned.onnx"
    ladder = with_model(artifact.manifest.ladder, NEW)
    adapt(artifact, ladder, records(labelled[::-1]), records(fresh[::-1]), out, QUICK)
    texts = [row["prompt"] for row in fresh[:50]]
    one, other = (Router.load(path).route_batch(texts).sufficiency for path in (adapted, out))
    assert np.abs(one - other).max() < 1e-5


def test_a_router_is_adapted_again(
    adapted: Path, fresh: list[dict[str, Any]], labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    before = Artifact.read(adapted)
    again = [row | {"outcomes": {"model-o": 1.0}} for row in labelled]
    ladder = with_model(before.manifest.ladder, Tier("newest", ("model-o",), 9.0, 40.0))
    done = adapt(before, ladder, records(again), records(fresh), tmp_path / "again.onnx", QUICK)
    assert done.tiers == ("small", "medium", "better", "large", "newest")
    assert len(Artifact.read(tmp_path / "again.onnx").manifest.data["adapted"]) == 2


def test_tiers_are_taken_out_and_prices_changed_without_a_label(
    artifact: Artifact, router: Router, fresh: list[dict[str, Any]], tmp_path: Path
) -> None:
    small, _, large = artifact.manifest.ladder.tiers
    dearer = Tier("large", large.models, 30.0, 60.0)
    done = adapt(artifact, Ladder((small, dearer)), [], records(fresh), tmp_path / "two.onnx", QUICK)
    assert (done.kept, done.dropped, done.added) == (("small", "large"), ("medium",), ())
    after = Router.load(tmp_path / "two.onnx")
    texts = [row["prompt"] for row in fresh[:30]]
    said, known = after.route_batch(texts).sufficiency, router.route_batch(texts).sufficiency
    assert np.abs(said - known[:, [0, 2]]).max() < 1e-5
    assert after.artifact.manifest.relative_cost[0] < artifact.manifest.relative_cost[0]


def test_a_model_takes_the_place_of_a_tier(artifact: Artifact) -> None:
    ladder = with_model(artifact.manifest.ladder, NEW, replace="medium")
    assert ladder.names == ("small", "better", "large")
    with pytest.raises(LadderError, match="no tier 'huge'"):
        with_model(artifact.manifest.ladder, NEW, replace="huge")


@pytest.mark.parametrize(
    ("price", "place"),
    [(0.01, 0), (0.5, 1), (1.0, 2), (30.0, 3)],
    ids=["cheapest", "second", "third", "last"],
)
def test_the_price_tells_where_a_tier_stands(artifact: Artifact, price: float, place: int) -> None:
    ladder = with_model(artifact.manifest.ladder, Tier("new", ("model-n",), price, price))
    assert ladder.index("new") == place


def test_what_does_not_fit_is_refused_and_nothing_written(
    artifact: Artifact, fresh: list[dict[str, Any]], labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    ladder, out = with_model(artifact.manifest.ladder, NEW), tmp_path / "router.onnx"
    with pytest.raises(DataError, match=r"no record has an outcome of model-n; .* no model"):
        adapt(artifact, ladder, [], records(fresh), out)
    with pytest.raises(DataError, match="20 prompts are too few"):
        adapt(artifact, ladder, records(labelled[:20]), [], out)
    joined = Ladder((Tier("all", ("model-s", "model-l"), 1, 1), NEW))
    with pytest.raises(LadderError, match="joins models of several tiers"):
        adapt(artifact, joined, records(labelled), [], out)
    with pytest.raises(ConfigError, match="not a folder"):
        adapt(artifact, ladder, records(labelled), [], tmp_path / "absent" / "router.onnx")
    assert not out.exists()


def test_a_text_counts_once_and_with_its_outcome(
    artifact: Artifact, fresh: list[dict[str, Any]], labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    ladder = with_model(artifact.manifest.ladder, NEW)
    twice = records(fresh + labelled + fresh)
    done = adapt(artifact, ladder, [], twice, tmp_path / "router.onnx", QUICK)
    assert done.prompts == len(fresh)
    assert done.added[0].labels == 64


def test_suggestions_are_prompts_of_the_file_each_once(
    artifact: Artifact, fresh: list[dict[str, Any]]
) -> None:
    found = suggested(artifact, records(fresh + fresh), 64)
    assert len({record.id for record in found}) == 64
    with pytest.raises(DataError, match="400 prompts to label of 300"):
        suggested(artifact, records(fresh), 400)


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_command_suggests_and_adapts(
    artifact_path: Path, fresh: list[dict[str, Any]], tmp_path: Path
) -> None:
    prompts = write(tmp_path / "prompts.jsonl", fresh)
    told = run(
        "adapt", artifact_path, "--suggest", "64", "--prompts", prompts, "--out", tmp_path / "todo.jsonl"
    )
    assert told.exit_code == 0, told.output
    todo = [json.loads(line) for line in (tmp_path / "todo.jsonl").read_text().splitlines()]
    assert len(todo) == 64
    for row in todo:
        row["outcomes"]["model-n"] = 1.0
    outcomes, out = write(tmp_path / "done.jsonl", todo), tmp_path / "router.onnx"
    price = ("--input-usd-per-million", "1", "--output-usd-per-million", "4")
    told = run(
        "adapt", artifact_path, "--add-model", "model-n", "--tier", "better", *price,
        "--outcomes", outcomes, "--prompts", prompts, "--out", out, "--resamples", "200", "--json",
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    said = json.loads(told.stdout)
    assert said["tiers"] == ["small", "medium", "better", "large"]
    assert said["added"][0]["labels"] == 64
    assert Router.load(out).route("hello").tier in said["tiers"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--add-model with its prices, or --ladder"),
        (["--add-model", "n"], "--input-usd-per-million"),
        (["--suggest", "3"], "--suggest takes --prompts"),
        (["--ladder", "l.json", "--tier", "t", "--outcomes", "o"], "leave out those of --add-model"),
        (["--ladder", "l.json"], "--outcomes or --prompts"),
        (["--ladder", "l.json", "--outcomes", "o"], "give --out"),
    ],
)
def test_a_wrong_request_is_refused_at_once(artifact_path: Path, options: list[str], says: str) -> None:
    told = run("adapt", artifact_path, *options)
    assert told.exit_code == 2
    assert says in told.output


def test_remap_says_what_it_assumes(artifact_path: Path, tmp_path: Path) -> None:
    tiers = Artifact.read(artifact_path).manifest.ladder.to_dict()["tiers"]
    tiers[2] |= {"models": ["other-l"], "input_usd_per_million": 6.0}
    (tmp_path / "ladder.json").write_text(json.dumps({"tiers": tiers}))
    out = tmp_path / "router.onnx"
    told = run("remap", artifact_path, "--ladder", tmp_path / "ladder.json", "--out", out, "--json")
    assert told.exit_code == 0, told.output
    said = json.loads(told.stdout)["assumed"]
    assert "other-l suffices for the prompts that model-l sufficed for" in said[0]
    assert not any("model-s" in sentence for sentence in said)
    before, after = Router.load(artifact_path), Router.load(out)
    assert after.ladder.tiers[2].models == ("other-l",)
    assert after.route("hello").sufficiency == pytest.approx(before.route("hello").sufficiency)
    assert after.artifact.graph == before.artifact.graph


def test_remap_with_nothing_new_assumes_nothing(
    artifact_path: Path, ladder_path: Path, tmp_path: Path
) -> None:
    told = run("remap", artifact_path, "--ladder", ladder_path, "--out", tmp_path / "router.onnx")
    assert told.exit_code == 0
    assert "assumed: nothing" in told.stderr
    (tmp_path / "two.json").write_text(
        json.dumps({"tiers": Artifact.read(artifact_path).manifest.ladder.to_dict()["tiers"][:2]})
    )
    told = run("remap", artifact_path, "--ladder", tmp_path / "two.json", "--out", tmp_path / "no.onnx")
    assert told.exit_code == 2
    assert "router-model adapt" in told.stderr


def test_what_several_rows_tell_of_one_prompt_counts_together(
    artifact: Artifact, fresh: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Two new models asked the same prompts, in a row each, as a log has them."""
    asked = fresh[:80]
    of_first = [row | {"model": "model-n", "outcome": 1.0, "output_tokens": 70} for row in asked]
    of_second = [row | {"model": "model-o", "outcome": 0.0, "output_tokens": 900} for row in asked]
    ladder = with_model(with_model(artifact.manifest.ladder, NEW), Tier("other", ("model-o",), 1.5, 5.0))
    out = tmp_path / "router.onnx"
    done = adapt(artifact, ladder, records([*of_first, *of_second]), records(fresh), out, QUICK)
    assert [(tier.tier, tier.labels, tier.sufficient) for tier in done.added] == [
        ("better", 80, 1.0),
        ("other", 80, 0.0),
    ]
    assert Artifact.read(out).manifest.output_tokens[2:4] == (70.0, 900.0)
    assert done.prompts == 300


def test_new_prices_of_an_adapted_router_are_of_the_prompts_that_its_curve_is_of(
    artifact: Artifact, fresh: list[dict[str, Any]], labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    long = [row | {"input_tokens": 5000} for row in fresh]
    out = tmp_path / "router.onnx"
    adapt(artifact, with_model(artifact.manifest.ladder, NEW), records(labelled), records(long), out, QUICK)
    told = Artifact.read(out).manifest.data["input_tokens"]
    short = np.mean([len(row["prompt"]) / 4 for row in labelled])
    assert told == pytest.approx((64 * short + 236 * 5000) / 300)
