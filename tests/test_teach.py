"""A router distilled to another: on prompts without labels, with some, and what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from router_model.base import Base
from router_model.cli import main
from router_model.data.readers import read_records
from router_model.data.records import parse_record
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.calibrate import calibrate
from router_model.training.config import TrainConfig
from router_model.training.encoders.static import Static
from router_model.training.teach import KNOWN, TEACHERS, lessons, taught
from router_model.training.train import Trained, train


def unlabelled(path: Path, source: Path, labelled: int = 0) -> Path:
    """The rows of a file without what is known of them, but for the first few."""
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    for row in rows[labelled:]:
        del row["outcomes"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def run(*words: Any) -> Any:
    return CliRunner().invoke(main, [*map(str, words)], prog_name="router-model")


@pytest.mark.parametrize(("labelled", "measured_on"), [(0, TEACHERS), (200, KNOWN)])
def test_a_student_learns_its_teachers_probabilities(
    labelled: int,
    measured_on: str,
    router: Router,
    quick: TrainConfig,
    small_base: Base,
    log_path: Path,
    fresh_log_path: Path,
    tmp_path: Path,
) -> None:
    prompts = unlabelled(tmp_path / "prompts.jsonl", fresh_log_path, labelled)
    out = tmp_path / "student.onnx"
    done = train([prompts], router.ladder, out, quick, base=small_base, teacher=router)
    student = Router.load(out)
    data = student.artifact.manifest.data
    assert data["outcomes"] == measured_on
    assert data["teacher"] == router.artifact.fingerprint
    assert data["measured_rows"] == (labelled or done.rows) == (labelled or 1000)
    asked = [record.prompt for record in read_records(log_path)]
    said, teachers = (r.route_prompts(asked).sufficiency for r in (student, router))
    assert np.corrcoef(said[:, 0], teachers[:, 0])[0, 1] > 0.8
    assert abs(said.mean() - teachers.mean()) < 0.05


def test_the_command_line_distils_a_router(
    artifact_path: Path,
    base_path: Path,
    log_path: Path,
    quick: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def quickly(paths: Any, ladder: Ladder, out: Path, config: TrainConfig, **rest: Any) -> Trained:
        assert config.encoder == "static"
        return train(paths, ladder, out, quick, **rest)

    monkeypatch.setattr("router_model.training.train.train", quickly)
    few, out = tmp_path / "few.jsonl", tmp_path / "student.onnx"
    few.write_text("\n".join(log_path.read_text("utf-8").splitlines()[:120]), "utf-8")
    prompts = unlabelled(tmp_path / "prompts.jsonl", few)
    flags = ["--teacher", artifact_path, "--prompts", prompts, "--base", base_path, "--out", out, "--json"]
    done = run("distill", *flags)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == 120
    assert Router.load(out).ladder == Router.load(artifact_path).ladder


def test_a_teacher_without_prompts_and_prompts_without_a_teacher_are_refused(
    artifact_path: Path, log_path: Path, tmp_path: Path
) -> None:
    for flags in (["--teacher", artifact_path], ["--prompts", log_path]):
        done = run("distill", *flags, "--out", tmp_path / "x")
        assert done.exit_code == 2
        assert "go together" in done.stderr


def test_what_a_student_costs_counts_the_tokens_that_the_log_tells(router: Router, small_base: Base) -> None:
    told = [30_000.0, None]
    records = [
        parse_record({"prompt": f"prove theorem {k}", "input_tokens": tokens}, str(k))
        for k, tokens in enumerate(told)
    ]
    prepared = taught(records, router, TrainConfig(), Static(small_base, 128))
    said = router.route_prompts([record.prompt for record in records], input_tokens=told)
    assert prepared.labels.input_tokens.tolist() == said.input_tokens.tolist()
    strongest = said.expected_cost_at(np.array([2, 2]))
    assert prepared.labels.cost_usd[:, 2].tolist() == pytest.approx(strongest.tolist())


def test_one_label_leaves_the_lengths_that_the_teacher_knows(router: Router, small_base: Base) -> None:
    """Costs are those of a call by the teacher, whether or not a row of many carries an outcome."""
    rows = [{"prompt": f"prove theorem {k}"} for k in range(30)]
    labelled = [rows[0] | {"outcomes": {model: 1.0 for tier in router.ladder.tiers for model in tier.models}}]
    without, with_one = (
        taught(
            [parse_record(row, str(k)) for k, row in enumerate([*first, *rows[1:]])],
            _long_winded(router),
            TrainConfig(),
            Static(small_base, 128),
        ).labels
        for first in (rows[:1], labelled)
    )
    assert with_one.output_tokens.tolist() == without.output_tokens.tolist() == [300.0, 900.0, 5000.0]
    assert with_one.cost_usd == pytest.approx(without.cost_usd)


def _long_winded(router: Router) -> Router:
    manifest = dataclasses.replace(router.artifact.manifest, output_tokens=(300.0, 900.0, 5000.0))
    return Router(dataclasses.replace(router.artifact, manifest=manifest))


def test_no_prompts_at_all_are_refused(router: Router, quick: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError):
        train([tmp_path / "empty.jsonl"], router.ladder, tmp_path / "x", quick, teacher=router)


def test_a_student_does_not_take_up_the_run_of_another_teacher(
    router: Router, quick: TrainConfig, small_base: Base, log_path: Path, tmp_path: Path
) -> None:
    def stop(name: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    prompts, out = unlabelled(tmp_path / "prompts.jsonl", log_path), tmp_path / "student.onnx"
    other = Router(dataclasses.replace(router.artifact, fingerprint="of another"))
    with pytest.raises(KeyboardInterrupt):
        train([prompts], router.ladder, out, quick, base=small_base, teacher=other, stage_done=stop)
    before = json.loads(Path(f"{out}.resume/run.json").read_text())
    with pytest.raises(KeyboardInterrupt):
        train([prompts], router.ladder, out, quick, base=small_base, teacher=router, stage_done=stop)
    assert json.loads(Path(f"{out}.resume/run.json").read_text()) != before


def test_a_lesson_is_between_label_and_teacher_and_measuring_is_by_labels(
    router: Router, quick: TrainConfig, small_base: Base, log_path: Path, tmp_path: Path
) -> None:
    records = list(read_records(unlabelled(tmp_path / "prompts.jsonl", log_path, labelled=60)))
    prepared = taught(records, router, quick, Static(small_base))
    said = router.route_prompts([record.prompt for record in records]).sufficiency
    assert prepared.lessons is not None
    assert np.allclose(prepared.lessons[60:], said[60:])
    labels = prepared.labels.sufficient[:60]
    assert np.isin(labels, (0, 1)).all()
    assert np.allclose(prepared.lessons[:60], (labels + said[:60]) / 2)
    assert prepared.take(np.arange(50, 70)).lessons.tolist() == prepared.lessons[50:70].tolist()
    assert prepared.labels.complete.tolist() == [True] * 60 + [False] * 340


def test_what_one_label_leaves_open_the_teacher_tells() -> None:
    known, said = np.array([[np.nan, 1.0], [0.0, np.nan]]), np.array([[0.2, 0.6], [0.4, 0.8]])
    assert lessons(known, said).tolist() == [[0.2, 0.8], [0.2, 0.8]]


def test_calibration_on_probabilities_is_that_on_as_many_outcomes() -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(400, 1))
    soft = 1 / (1 + np.exp(-(2 * logits + 0.5)))
    fitted = calibrate(logits, soft)
    assert fitted.scale[0] == pytest.approx(2, abs=0.01)
    assert fitted.offset[0] == pytest.approx(0.5, abs=0.01)
