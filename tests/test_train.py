"""Training from log to artifact: the same every time, through interrupts, and with clear refusals."""

import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router_model.base import Base
from router_model.data.labels import label
from router_model.data.readers import read_records
from router_model.errors import ConfigError, DataError, FileError, RecordError
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.train import Trained, train

PROMPTS = [
    "hello thanks weather",
    "prove lemma theorem kernel",
    "summarise the table",
    "",
    "日本語のテキスト",
]
SETTINGS = ["--epochs", "8", "--batch-size", "16", "--resamples", "200"]


@pytest.fixture(scope="module")
def command(
    log_path: Path, ladder_path: Path, base_path: Path, quick_command: list[str]
) -> Callable[..., list[str]]:
    """The command line that trains to a given file, with flags for all commands."""

    def words(out: Path, *flags: str) -> list[str]:
        files = ["--ladder", str(ladder_path), "--base", str(base_path), "--out", str(out)]
        rest = ["train", str(log_path), *files, "--json", *SETTINGS]
        return [*quick_command, *flags, *rest]

    return words


def probabilities(path: Path) -> np.ndarray[Any, Any]:
    return Router.load(path).route_batch(PROMPTS).sufficiency


@pytest.fixture(scope="module")
def unbroken(command: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of the command line, trained without an interrupt."""
    out = tmp_path_factory.mktemp("unbroken") / "router.onnx"
    done = subprocess.run(command(out), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["rows"] == 400
    assert not Path(f"{out}.resume").exists()
    return out


def test_two_processes_train_the_same_router(
    unbroken: Path, command: Callable[..., list[str]], tmp_path: Path
) -> None:
    out = tmp_path / "again.onnx"
    subprocess.run(command(out), capture_output=True, check=True)
    assert np.abs(probabilities(out) - probabilities(unbroken)).max() <= 1e-5


def test_a_killed_run_goes_on_and_gives_the_same_router(
    unbroken: Path, command: Callable[..., list[str]], tmp_path: Path
) -> None:
    out = tmp_path / "router.onnx"
    out.write_bytes(b"what was there before")
    state = Path(f"{out}.resume")
    running = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (state / "fold-2" / "last.ckpt").exists() and time.monotonic() < deadline:
        assert running.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert out.read_bytes() == b"what was there before"
    finished = sorted(path.parent.name for path in state.glob("fold-*/finished.pt"))
    assert finished == ["fold-0", "fold-1"]

    done = subprocess.run(command(out, "--verbose"), capture_output=True, text=True, check=True)
    assert "going on with the run that was interrupted" in done.stderr
    assert f"{state / 'fold-2' / 'last.ckpt'}: going on after the last whole epoch" in done.stderr
    assert np.abs(probabilities(out) - probabilities(unbroken)).max() <= 1e-5
    assert not state.exists()


def test_a_run_of_other_settings_does_not_take_up_the_state(
    log_path: Path, ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "router.onnx"
    state = Path(f"{out}.resume")
    state.mkdir()
    (state / "run.json").write_text(json.dumps({"fingerprint": "of another run"}))
    (state / "fold-0").mkdir()
    (state / "fold-0" / "finished.pt").write_bytes(b"not weights")
    train([log_path], ladder, out, quick)
    assert Router.load(out).route("hello").tier in ladder.names


def test_a_folder_that_is_not_of_a_run_is_left_alone(
    log_path: Path, ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    state = tmp_path / "router.onnx.resume"
    state.mkdir()
    (state / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="move it away"):
        train([log_path], ladder, tmp_path / "router.onnx", quick)
    assert (state / "thesis.txt").read_text() == "precious"


def test_the_artifact_says_what_it_was_trained_on(trained: Trained, router: Router, ladder: Ladder) -> None:
    manifest = router.artifact.manifest
    assert manifest.data["rows"] == trained.rows == 400
    assert manifest.ladder == ladder
    assert manifest.precision == trained.precision
    assert {"torch", "lightning", "onnxruntime", "nanotoken"} <= set(manifest.versions)
    assert manifest.guard == trained.guard
    assert trained.bytes == len(router.artifact.content) <= 8_000_000


def test_the_artifact_holds_no_training_prompt(artifact_path: Path, log_path: Path) -> None:
    content = artifact_path.read_bytes()
    assert not [r.id for r in read_records(log_path) if r.prompt.text.encode() in content]


def test_fresh_rows_get_the_quality_that_the_artifact_promises(
    unbroken: Path, fresh_log_path: Path, ladder: Ladder
) -> None:
    router = Router.load(unbroken)
    records = list(read_records(fresh_log_path))
    outcomes = label(records, ladder).outcomes
    decisions = router.route_prompts([record.prompt for record in records], quality=0.95)
    chosen = outcomes[np.arange(len(records)), decisions.tier]
    low, _ = decisions.point.quality_interval
    assert chosen.mean() / outcomes[:, -1].mean() >= low
    assert decisions.tier.mean() < 2


def rows_file(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def judged(count: int, tiers: list[str]) -> list[dict[str, Any]]:
    words = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi".split()
    return [
        {
            "prompt": f"{words[i % 14]} {words[i * 5 % 14]} {i} {i * 7} {i * 13}",
            "best_tier": tiers[i % len(tiers)],
        }
        for i in range(count)
    ]


def test_judged_tiers_alone_are_enough_to_train_on(
    ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    log = rows_file(tmp_path / "log.jsonl", judged(120, ["small", "medium", "large"]))
    assert train([log], ladder, tmp_path / "router.onnx", quick).rows == 120


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no rows": ([], "holds no record"),
    "one class": (judged(100, ["small"]), "every row has the same label"),
    "few rows": (judged(8, ["small", "large"]), "too few"),
    "an unknown tier": (judged(100, ["small", "huge"]), "'huge' is not in the ladder"),
    "unknown models": (
        [{"prompt": f"p {i}", "outcomes": {"other": 1.0}} for i in range(50)],
        "mend the ladder",
    ),
    "a tier without outcomes": (
        [{"prompt": f"p {i} {i * 3}", "outcomes": {"model-s": i % 2, "model-l": 1}} for i in range(80)],
        "tier 'medium': no row has an outcome",
    ),
    "one prompt over and over": (
        [{"prompt": "same", "best_tier": t} for t in ["small", "large"] * 40],
        "groups",
    ),
    "an outcome of 2": ([{"prompt": "p", "outcomes": {"model-s": 2}}], "log.jsonl:1: field"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_unusable_data_is_refused_in_one_line_and_changes_no_file(
    name: str, ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    rows, says = REFUSED[name]
    log = rows_file(tmp_path / "log.jsonl", rows)
    out = tmp_path / "router.onnx"
    out.write_bytes(b"before")
    with pytest.raises((DataError, RecordError), match=says) as caught:
        train([log], ladder, out, quick)
    assert "\n" not in str(caught.value)
    assert out.read_bytes() == b"before"


def test_a_missing_folder_is_refused_before_any_work(log_path: Path, ladder: Ladder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        train([log_path], ladder, tmp_path / "nowhere" / "router.onnx")


def test_a_folder_in_the_artifacts_place_is_refused_before_any_work(
    log_path: Path, ladder: Ladder, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is a folder; give the name of a file"):
        train([log_path], ladder, tmp_path)


def test_a_name_too_long_for_the_disk_is_refused(
    log_path: Path, ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match="give --out another place or name"):
        train([log_path], ladder, tmp_path / ("r" * 250), quick)


def test_a_report_that_cannot_be_written_is_refused_before_the_artifact_changes(
    log_path: Path, ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "router.onnx"
    out.write_bytes(b"before")
    with pytest.raises(FileError, match="--report"):
        train([log_path], ladder, out, quick, report=out / "report")
    assert out.read_bytes() == b"before"


def test_a_run_that_fails_leaves_the_report_as_it_was(
    ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    page = tmp_path / "report" / "index.html"
    page.parent.mkdir()
    page.write_text("before")
    log = rows_file(tmp_path / "log.jsonl", judged(100, ["small"]))
    with pytest.raises(DataError, match="same label"):
        train([log], ladder, tmp_path / "router.onnx", quick, report=page.parent)
    assert page.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "report"]


def test_tiers_that_always_do_equally_well_leave_their_ranking_empty(
    ladder: Ladder, quick: TrainConfig, base_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "router.onnx"
    log = rows_file(tmp_path / "log.jsonl", judged(120, ["small", "medium"]))
    train([log], ladder, out, quick, base=Base.read(base_path))
    ranking = Router.load(out).artifact.manifest.metrics["held_out"]["pairs"]
    assert ranking[1]["apgr"] is None  # of medium against large
    assert ranking[0]["apgr"] is not None


def test_lone_surrogates_and_odd_names_do_not_end_training(
    ladder: Ladder, quick: TrainConfig, base_path: Path, tmp_path: Path
) -> None:
    odd = {"task": "\ud800", "tenant": "$x$", "meta": {"\ud800": [None]}}
    rows = [row | odd | {"id": f"\ud800{n}"} for n, row in enumerate(judged(120, ["small", "large"]))]
    rows[0]["prompt"] = "\ud800 \x00 \x1b[2J"
    log = rows_file(tmp_path / "log.jsonl", rows)
    trained = train(
        [log], ladder, tmp_path / "r.onnx", quick, base=Base.read(base_path), report=tmp_path / "p"
    )
    assert trained.rows == 120


def test_preferences_alone_cannot_carry_a_curve_and_are_refused_before_any_work(
    ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    pairs = [("model-s", "model-m"), ("model-m", "model-l"), ("model-s", "model-l")]
    rows = [
        {"prompt": f"p {n} {n * 7}", "model_a": pairs[n % 3][0], "model_b": pairs[n % 3][1], "winner": winner}
        for n, winner in enumerate(["model_a", "tie", "model_b", "tie"] * 30)
    ]
    done: list[str] = []
    with pytest.raises(DataError, match="only 0 rows tell how every tier did"):
        train(
            [rows_file(tmp_path / "log.jsonl", rows)],
            ladder,
            tmp_path / "router.onnx",
            quick,
            stage_done=lambda name, share: done.append(name),
        )
    assert done == []


def test_a_base_of_the_same_name_and_shape_does_not_take_up_anothers_state(
    log_path: Path, ladder: Ladder, quick: TrainConfig, base_path: Path, tmp_path: Path
) -> None:
    def stop(name: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    one = Base.read(base_path)
    other = dataclasses.replace(one, table=one.table[::-1].copy())
    for out in (tmp_path / "clean.onnx", tmp_path / "router.onnx"):
        if out.stem == "router":
            with pytest.raises(KeyboardInterrupt):
                train([log_path], ladder, out, quick, base=one, stage_done=stop)
            assert Path(f"{out}.resume").is_dir()
        train([log_path], ladder, out, quick, base=other)
    assert (probabilities(tmp_path / "clean.onnx") == probabilities(tmp_path / "router.onnx")).all()
