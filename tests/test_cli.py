"""The command line, as real processes: results, exit status, and one clear line for each wrong request."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router_model.cli import main

Done = subprocess.CompletedProcess[str]
TRAIN = ["--epochs", "4", "--batch-size", "32", "--resamples", "200"]
WITHOUT_TORCH = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lightning", "sklearn"):
            raise ModuleNotFoundError(name)
import importlib.util
real = importlib.util.find_spec
blocked = ("torch", "lightning", "sklearn")
importlib.util.find_spec = lambda name, *rest: None if name in blocked else real(name, *rest)
sys.meta_path.insert(0, Block())
from router_model.cli import main
main()
"""


def run(*arguments: str | Path, given: str | None = None, folder: Path | None = None) -> Done:
    command = [sys.executable, "-m", "router_model.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=given, cwd=folder)


def run_quickly(command: list[str], *arguments: str | Path) -> Done:
    """As ``run``, by the ``quick_command``."""
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)


def invoke(*arguments: str | Path) -> Done:
    """As ``run``, in this process, which has imported what takes seconds to import."""
    found = CliRunner().invoke(main, [*map(str, arguments)], prog_name="router-model")
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return Done(arguments, found.exit_code, found.stdout, found.stderr)


def result(done: Done) -> Any:
    """The one JSON object on standard output."""
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def refusal(done: Done, status: int) -> str:
    assert done.returncode == status, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("router-model: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_train_inspect_route_and_evaluate(
    log_path: Path, ladder_path: Path, base_path: Path, quick_command: list[str], tmp_path: Path
) -> None:
    out, report = tmp_path / "router.onnx", tmp_path / "report"
    asked = ["--ladder", ladder_path, "--base", base_path, "--out", out, "--report", report, "--json", *TRAIN]
    trained = result(run_quickly(quick_command, "train", log_path, *asked))
    assert trained["bytes"] == out.stat().st_size
    page = (report / "index.html").read_text("utf-8")
    assert page.count("<svg") == 5
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert result(run("inspect", out, "--json"))["guard"] == trained["guard"]
    assert "USD per million" in run("inspect", out).stdout
    decided = result(run("route", out, "hello thanks", "prove lemma", "--quality", "0.9", "--json"))
    assert [row["prompt"] for row in decided["decisions"]] == ["hello thanks", "prove lemma"]
    measured = result(run("evaluate", out, log_path, "--resamples", "200", "--json"))
    assert measured["rows"] == 400
    assert [pair["cheap"] for pair in measured["pairs"]] == ["small", "medium"]


def test_crossval_writes_a_prediction_per_row(
    log_path: Path, ladder_path: Path, base_path: Path, quick_command: list[str], tmp_path: Path
) -> None:
    predictions = tmp_path / "predictions.jsonl"
    arguments = ["--folds", "2", "--predictions", predictions, "--base", base_path, "--json", *TRAIN]
    found = result(run_quickly(quick_command, "crossval", log_path, "--ladder", ladder_path, *arguments))
    assert found["pairs"][0]["apgr"] > 0.6
    rows = [json.loads(line) for line in predictions.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [f"row-{number}" for number in range(400)]
    assert {row["fold"] for row in rows} == {0, 1}
    assert all(set(row["sufficiency"]) == {"small", "medium", "large"} for row in rows)
    assert {row["tier"] for row in rows} <= {"small", "medium", "large"}


@pytest.mark.usefixtures("told_epochs")
def test_crossval_names_the_tiers_that_it_drops_and_keeps_them_when_told(
    log_path: Path, ladder_path: Path, base_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [json.loads(line) for line in log_path.read_text("utf-8").splitlines()]
    for row in rows:
        row["outcomes"]["model-m"] *= row["outcomes"]["model-s"] * (len(row["prompt"]) % 2)
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["crossval", log, "--ladder", ladder_path, "--folds", "2", "--base", base_path, *TRAIN, "--json"]
    found = result(invoke(*asked))
    assert [(tier["tier"], tier["by"]) for tier in found["dropped_tiers"]] == [("medium", "small")]
    assert "tier 'medium' (model-m) is dearer and worse than 'small'" in caplog.text
    assert [constant["tier"] for constant in found["constants"]] == ["small", "large"]
    kept = result(invoke(*asked, "--keep-dominated"))
    assert kept["dropped_tiers"] == []
    assert [constant["tier"] for constant in kept["constants"]] == ["small", "medium", "large"]


@pytest.mark.usefixtures("told_epochs")
def test_crossval_compares_with_baselines_and_runs_controls(
    log_path: Path, ladder_path: Path, base_path: Path, tmp_path: Path
) -> None:
    asked = ["crossval", log_path, "--ladder", ladder_path, "--baselines", "length,nearest", "--controls"]
    asked += ["--folds", "2", "--base", base_path, "--epochs", "2", "--resamples", "200"]
    found = result(invoke(*asked, "--report", tmp_path, "--json"))
    assert found["rows"] == 400
    assert (found["dropped_tiers"], found["report"]) == ([], str(tmp_path / "index.html"))
    html = (tmp_path / "index.html").read_text("utf-8")
    assert all(control["name"] in html for control in found["controls"])
    assert "knowing only the task gives APGR" in html
    assert "Trained without a task, judged on it" in html
    scorers = {one["scorer"] for one in found["comparison"]["rankings"]}
    assert scorers == {"router", "length", "nearest", "task", "task oracle", "query oracle"}
    names = ["shuffled labels", "task identity", "leave one task out"]
    assert [control["name"] for control in found["controls"]] == names
    assert set(found["controls"][2]["rankings"]) == {"level-0", "level-1", "level-2"}
    page = invoke(*asked).stdout
    assert "router less it" in page
    assert "task left out" in page
    assert all(f"control, {name}: " in page for name in names)


def test_an_unknown_baseline_is_refused_with_the_list(log_path: Path, ladder_path: Path) -> None:
    done = invoke("crossval", log_path, "--ladder", ladder_path, "--baselines", "length,oracle")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--baselines 'oracle': give all, or some of length, features, encoder, tfidf" in done.stderr


def test_route_reads_standard_input_whole_or_by_lines(artifact_path: Path) -> None:
    whole = result(run("route", artifact_path, "--json", given="hello\nthanks\n"))
    lines = result(run("route", artifact_path, "--lines", "--json", given="hello\r\n\none\u2028line\n"))
    assert [row["prompt"] for row in whole["decisions"]] == ["hello\nthanks\n"]
    assert [row["prompt"] for row in lines["decisions"]] == ["hello", "one\u2028line"]


def test_the_word_default_is_the_router_that_ships() -> None:
    done = result(run("route", "default", "hello", "--json"))
    assert list(done["decisions"][0]["sufficiency"]) == ["small", "medium", "large"]


def test_route_prints_a_table_for_people(artifact_path: Path) -> None:
    done = run("route", artifact_path, "hello\tthanks")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].startswith("hello thanks")
    assert done.stderr == ""


def test_label_goes_from_standard_input_to_standard_output(artifact_path: Path) -> None:
    done = run("label", artifact_path, "-", given='{"id": 7, "prompt": "hello"}\n{"prompt": "prove"}\n')
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row.get("id"), row["prompt"]) for row in rows] == [(7, "hello"), (None, "prove")]


def test_the_starter_corpus_is_written_split(tmp_path: Path) -> None:
    counts = result(run("datasets", "starter", "--out", tmp_path / "starter", "--json"))
    rows = {
        name: (tmp_path / "starter" / f"{name}.jsonl").read_text("utf-8").splitlines()
        for name in ("train", "test")
    }
    assert {name: len(lines) for name, lines in rows.items()} == {key: counts[key] for key in rows}
    assert not set(rows["train"]) & set(rows["test"])
    assert len(rows["train"]) + len(rows["test"]) >= 600


def bad(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


BAD_LOGS = {
    "empty": (b"", "no record"),
    "broken on line 2": (b'{"prompt": "a", "best_tier": "small"}\n{"prompt": \n', ":2: not valid JSON"),
    "of another encoding": ('{"prompt": "caf\u00e9"}\n'.encode("latin-1"), ":1: byte 15 is not UTF-8"),
    "holding NaN": (b'{"prompt": "a", "outcomes": {"model-s": NaN}}\n', ":1: field"),
    "with an outcome of 2": (b'{"prompt": "a", "outcomes": {"model-s": 2}}\n', ":1: field"),
    "a cut gzip": (b"\x1f\x8b\x08\x00\x00\x00", "cut short or damaged"),
    "a cut Parquet": (b"PAR1\x00\x00", "not readable as Parquet"),
    "a list": (b"[1, 2]\n", "a row is list"),
}


@pytest.mark.parametrize("name", list(BAD_LOGS))
def test_a_bad_log_ends_training_with_one_line(name: str, ladder_path: Path, tmp_path: Path) -> None:
    content, says = BAD_LOGS[name]
    log, out = bad(tmp_path / "log.jsonl", content), bad(tmp_path / "router.onnx", b"before")
    assert says in refusal(invoke("train", log, "--ladder", ladder_path, "--out", out), 1)
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "router.onnx"]


BAD_LADDERS = {
    "no object": b"[]",
    "no tiers": b'{"tiers": []}',
    "broken": b'{"tiers": ',
    "not UTF-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", list(BAD_LADDERS))
def test_a_bad_ladder_is_a_wrong_request(name: str, log_path: Path, tmp_path: Path) -> None:
    ladder = bad(tmp_path / "ladder.json", BAD_LADDERS[name])
    says = refusal(run("train", log_path, "--ladder", ladder, "--out", tmp_path / "router.onnx"), 2)
    assert str(ladder) in says


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--epochs", "0"), ("--quality", "1.5"), ("--bar", "-1"), ("--seed", "-1"), ("--resamples", "3")],
)
def test_a_setting_out_of_range_is_named(
    flag: str, value: str, log_path: Path, ladder_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "router.onnx"
    assert flag in refusal(run("train", log_path, "--ladder", ladder_path, "--out", out, flag, value), 2)


def test_a_damaged_artifact_is_refused(artifact_path: Path, tmp_path: Path) -> None:
    content = bytearray(artifact_path.read_bytes())
    content[len(content) // 2] ^= 1
    path = bad(tmp_path / "router.onnx", bytes(content))
    for command in (["route", path, "hi"], ["inspect", path], ["label", path, "-"]):
        assert "copy the file again" in refusal(run(*command, given=""), 1)


def test_wrong_dials_are_wrong_requests(artifact_path: Path) -> None:
    assert "quality=2.0" in refusal(run("route", artifact_path, "hi", "--quality", "2"), 2)
    assert "both" in refusal(run("route", artifact_path, "hi", "--quality", "0.9", "--budget", "0.5"), 2)


def test_a_missing_extra_is_named_with_its_command(log_path: Path, ladder_path: Path, tmp_path: Path) -> None:
    rest = ["train", str(log_path), "--ladder", str(ladder_path), "--out", str(tmp_path / "router.onnx")]
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *rest], capture_output=True, text=True)
    assert "pip install 'router-model[train]'" in refusal(done, 2)


def test_routing_works_without_the_training_packages(artifact_path: Path) -> None:
    rest = ["route", str(artifact_path), "hello", "--json"]
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *rest], capture_output=True, text=True)
    assert result(done)["decisions"][0]["tier"] in ("small", "medium", "large")


def test_label_stops_at_a_bad_row_or_skips_it(artifact_path: Path, tmp_path: Path) -> None:
    source = bad(tmp_path / "log.jsonl", b'{"prompt": "a"}\n{"prompt": 7}\n{"prompt": "b"}\n')
    target = bad(tmp_path / "labels.jsonl", b"before")
    assert f"{source}:2: " in refusal(run("label", artifact_path, source, "-o", target), 1)
    assert target.read_bytes() == b"before"
    done = result(run("label", artifact_path, source, "-o", target, "--on-error", "skip", "--json"))
    assert (done["rows"], done["bad_rows"]) == (2, 1)
    assert len(target.read_text("utf-8").splitlines()) == 2
