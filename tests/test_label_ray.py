"""Labelling on Ray: the files of the local engine, whatever dies on the way."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from router_model.errors import ConfigError, RecordError
from router_model.serving.batch import parts
from router_model.serving.batch.label import label
from router_model.serving.batch.labeller import Settings
from router_model.serving.batch.run import Run
from router_model.serving.batch.summary import Labelled

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray Data uses what Ray Data deprecates
BRIEF = Settings(columns=("id",))
LONG = "the river market engine garden window paper " * 200  # so that few rows are several parts of text


@pytest.fixture(scope="module")
def installed() -> None:
    if not find_spec("ray"):
        pytest.skip("Ray is not installed")


@pytest.fixture(scope="module")
def cluster(installed: None) -> Iterator[None]:
    """A Ray of two cores, joined."""
    from router_model.serving.batch.ray import start  # before Ray: it keeps Ray to the loopback

    with start(None, 2):
        yield


def row(number: int) -> dict[str, str]:
    return {"id": str(number), "prompt": f"prove lemma {number} {LONG * (number % 3)}"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Parquet file of eight row groups, packed JSON Lines and CSV, of three parts each."""
    folder = tmp_path_factory.mktemp("logs")
    rows = [row(number) for number in range(5000)]
    parquet.write_table(pa.Table.from_pylist(rows[:800]), folder / "a.parquet", row_group_size=100)
    with gzip.open(folder / "b.jsonl.gz", "wt", compresslevel=1) as packed:
        packed.writelines(json.dumps(one) + "\n" for one in rows)
    with open(folder / "c.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ["id", "prompt"])
        table.writeheader()
        table.writerows(rows)
    return folder


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 300)  # of Parquet, which is cut before actors see it


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "router_model.cli", "label", *map(str, arguments)]


@pytest.mark.usefixtures("installed")
def test_ray_is_started_for_a_run_and_a_bad_row_ends_both_with_one_line(
    artifact_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "log.jsonl").write_text('{"prompt": "before"}\n{"prompt": 7}\n')
    run = command(artifact_path, "log.jsonl", "-o", "labels", "--engine", "ray", "--workers", "1")
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    ours = [line for line in done.stderr.splitlines() if "core_worker.cc" not in line]  # Ray's, of no matter
    assert len(ours) == 1
    assert ours[0].startswith("router-model: log.jsonl:2: ")


@pytest.mark.usefixtures("installed")
def test_an_interrupt_ends_the_run_and_the_ray_that_it_started(
    artifact_path: Path, logs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels"
    run = command(artifact_path, logs, "-o", out, "--engine", "ray", "--workers", "1")
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr
        while not list(out.glob("_label/*-*.json")):
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        said = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "router-model: interrupted"


@pytest.mark.usefixtures("cluster", "small_parts")
def test_files_are_those_of_the_local_engine_and_a_second_run_goes_on(
    artifact_path: Path, logs: Path, tmp_path: Path
) -> None:
    def run(engine: str) -> Labelled:
        return label(artifact_path, [logs], tmp_path / engine, BRIEF, workers=2, engine=engine)  # type: ignore[arg-type]

    here, there = run("local"), run("ray")
    expected = contents(tmp_path / "local")
    assert {name[0] for name in expected} == set("abc")
    assert all(f"{name}-00002.parquet" in expected for name in "abc")
    assert contents(tmp_path / "ray") == expected
    assert (there.tally, there.resumed_rows) == (here.tally, 0)
    for name in ("a-00001", "b-00001", "c-00000"):
        (tmp_path / "ray" / "_label" / f"{name}.json").unlink()
    again = run("ray")
    assert contents(tmp_path / "ray") == expected
    assert again.tally == here.tally
    assert 0 < again.resumed_rows < here.tally.records
    assert run("local").resumed_rows == here.tally.records  # engines go on from each other


def actors() -> list[int]:
    """Processes of Ray Data's actors."""
    named = [
        (int(path.parent.name), path.read_bytes())
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if os.access(path, os.R_OK)
    ]
    return [pid for pid, command in named if command.startswith(b"ray::MapWorker")]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found by /proc")
@pytest.mark.usefixtures("cluster")
def test_an_actor_that_is_killed_is_started_again_and_the_labels_are_whole(
    artifact_path: Path, logs: Path, tmp_path: Path
) -> None:
    seen: list[int] = []

    def kill(so_far: Run) -> None:
        seen.extend(actors())
        if len(so_far.finished) == 1:
            os.kill(seen[0], signal.SIGKILL)

    log = logs / "b.jsonl.gz"
    here = label(artifact_path, [log], tmp_path / "local", BRIEF, workers=1)
    there = label(artifact_path, [log], tmp_path / "ray", BRIEF, workers=1, engine="ray", progress=kill)
    assert len(set(seen)) == 2
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert there.tally == here.tally


@pytest.mark.usefixtures("cluster")
def test_a_bad_row_stops_the_run_or_is_skipped(artifact_path: Path, logs: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "labels.jsonl"
    log.write_text('{"prompt": "before"}\n{"prompt": 7}\n{"prompt": "after"}\n')
    with pytest.raises(RecordError) as caught:
        label(artifact_path, [log, logs], out, BRIEF, engine="ray")
    assert str(caught.value).startswith(f"{log}:2: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl"]
    done = label(artifact_path, [log], out, Settings(on_error="skip"), engine="ray")
    assert (done.tally.records, sum(reason.count for reason in done.tally.refused.values())) == (2, 1)
    assert [json.loads(line)["prompt"] for line in out.read_text().splitlines()] == ["before", "after"]


@pytest.mark.usefixtures("cluster")
def test_a_file_that_cannot_be_read_is_left(artifact_path: Path, logs: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.jsonl.gz").write_bytes((logs / "b.jsonl.gz").read_bytes()[:-1000])
    (tmp_path / "whole.jsonl").write_text('{"id": "1", "prompt": "whole"}\n')
    settings = Settings(columns=("id",), on_error="skip")
    here = label(artifact_path, [tmp_path / "*.gz", tmp_path / "whole.jsonl"], tmp_path / "here", settings)
    there = label(
        artifact_path,
        [tmp_path / "*.gz", tmp_path / "whole.jsonl"],
        tmp_path / "there",
        settings,
        engine="ray",
    )
    assert there.failed == here.failed
    assert list(there.failed.values()) == [[str(tmp_path / "cut.jsonl.gz")]]
    assert there.tally == here.tally


def test_a_missing_ray_is_named_with_its_cure(artifact_path: Path, log_path: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['ray'] = None; from router_model.cli import main; main()"
    arguments = ["label", str(artifact_path), str(log_path), "-o", str(tmp_path / "out"), "--engine", "ray"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "router-model: --engine ray needs Ray: pip install 'router-model[ray]'\n"


def test_standard_output_is_refused(artifact_path: Path, log_path: Path) -> None:
    with pytest.raises(ConfigError, match="name files"):
        label(artifact_path, [log_path], "-", engine="ray")
