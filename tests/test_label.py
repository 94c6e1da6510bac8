"""Labelling logs: the decisions of ``route`` row for row, in every form, and nothing lost by a kill."""

import contextlib
import csv
import gzip
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as dataset
import pyarrow.parquet as parquet
import pytest

from router_model.errors import ConfigError, DialError, FileError, OutputError, RecordError
from router_model.router import Router
from router_model.serving.batch import parts as parts_module
from router_model.serving.batch.label import label
from router_model.serving.batch.labeller import Settings

MESSAGES = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": [{"type": "text", "text": "Prove the lemma."}]},
]
ROWS: list[dict[str, Any]] = [
    {"id": "one", "prompt": "hello thanks"},
    {"id": 2, "prompt": ""},
    {"prompt": "日本語のテキスト 😀"},
    {"id": None, "messages": MESSAGES},
    {"id": 2.5, "prompt": None, "messages": MESSAGES, "outcomes": {"model-s": 1}},
    {"id": "\ud800", "prompt": "lone \ud800 surrogate"},
    {"id": "long", "prompt": "word " * 5000},
    {"id": "text", "messages": json.dumps(MESSAGES)},
]
SKIP = Settings(on_error="skip")
PLAIN = [
    {"id": f"row {number}", "prompt": f"prove theorem {number}" if number % 3 else f'hi, "{number}"\nbye'}
    for number in range(50)
]


def file_of(path: Path, rows: list[Any]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def table_of(path: Path, rows: list[dict[str, Any]], group: int | None = None) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file or a folder of labels of any form."""
    if path.is_dir():
        names = sorted(name for name in path.rglob("*.*") if "_label" not in name.parts)
        return [row for name in names for row in rows_of(name)]
    if path.name.endswith(".parquet"):
        return list(parquet.read_table(path, partitioning=None).to_pylist())
    with pa.input_stream(path, compression="detect") as file:
        text = file.read().decode("utf-8")
    if ".csv" in path.name:
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return [json.loads(line) for line in text.splitlines()]


def command(
    *arguments: str | Path, given: bytes | None = None, **more: Any
) -> subprocess.CompletedProcess[bytes]:
    whole = [sys.executable, "-m", "router_model.cli", "label", *map(str, arguments)]
    return subprocess.run(whole, capture_output=True, input=given, **more)


def assert_labelled(router: Router, found: dict[str, Any], request: Any, **dial: float) -> None:
    alone = router.route(request, **dial)
    assert found["tier"] == alone.tier
    for tier, sufficiency in alone.sufficiency.items():
        assert float(found[f"sufficiency_{tier}"]) == pytest.approx(sufficiency, abs=1e-5)
    assert float(found["expected_quality"]) == pytest.approx(alone.expected_quality, abs=1e-5)
    assert float(found["expected_cost_usd"]) == pytest.approx(alone.expected_cost_usd)
    assert str(found["truncated"]).lower() == str(alone.truncated).lower()
    assert found["router_fingerprint"] == router.artifact.fingerprint


def test_rows_keep_their_fields_and_are_labelled_as_one_by_one(
    router: Router, artifact_path: Path, tmp_path: Path
) -> None:
    source, target = file_of(tmp_path / "log.jsonl", ROWS), tmp_path / "labels.jsonl"
    done = label(artifact_path, [source], target, Settings(quality=0.9))
    for row, found in zip(ROWS, rows_of(target), strict=True):
        assert {name: found[name] for name in row} == row
        messages = row.get("messages")
        request = json.loads(messages) if isinstance(messages, str) else messages
        assert_labelled(router, found, request or row["prompt"], quality=0.9)
    assert (done.tally.rows, done.tally.records) == (len(ROWS), len(ROWS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.jsonl", "log.jsonl"]


@pytest.mark.parametrize("given", ["log.jsonl", "log.jsonl.gz", "log.csv", "log.parquet"])
@pytest.mark.parametrize(
    "wanted", ["parquet", "jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "csv.zst", "folder"]
)
def test_every_form_goes_to_every_form(
    given: str, wanted: str, router: Router, artifact_path: Path, tmp_path: Path
) -> None:
    source = tmp_path / given
    if given.endswith("parquet"):
        table_of(source, PLAIN)
    elif given.endswith("csv"):
        pa_csv.write_csv(pa.Table.from_pylist(PLAIN), source)
    else:
        file_of(source, PLAIN)
    target = tmp_path / (wanted if wanted == "folder" else f"labels.{wanted}")
    label(artifact_path, [source], target)
    for row, found in zip(PLAIN, rows_of(target), strict=True):
        assert (found["id"], found["prompt"]) == (row["id"], row["prompt"])
        assert_labelled(router, found, row["prompt"])


def test_columns_of_a_table_keep_their_types(artifact_path: Path, tmp_path: Path) -> None:
    table = pa.table(
        {
            "prompt": pa.array(["hi", None, "prove"], pa.large_string()),
            "messages": pa.array([None, [{"role": "user", "content": "hi"}], None]),
            "when": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
            "cost_usd": pa.array([[("m", 0.5)], None, []], pa.map_(pa.string(), pa.float64())),
            "tags": pa.array([["x"], [], None]),
            "n.of": pa.array([1, None, 3], pa.int16()),
            "raw": pa.array([b"\xff", None, b""]),
        }
    )
    parquet.write_table(table, tmp_path / "log.parquet")
    label(artifact_path, [tmp_path / "log.parquet"], tmp_path / "labels.parquet")
    found = parquet.read_table(tmp_path / "labels.parquet")
    assert found.select(table.column_names).equals(table)
    assert found.schema.field("sufficiency_small").type == pa.float32()
    label(artifact_path, [tmp_path / "log.parquet"], tmp_path / "labels.jsonl")
    first = rows_of(tmp_path / "labels.jsonl")[0]
    assert (first["cost_usd"], first["tags"], first["n.of"]) == ({"m": 0.5}, ["x"], 1)
    assert first["when"].startswith("1970-01-01")
    label(artifact_path, [tmp_path / "log.parquet"], tmp_path / "labels.csv")
    assert json.loads(rows_of(tmp_path / "labels.csv")[0]["tags"]) == ["x"]


@pytest.mark.parametrize("given", ["log.jsonl", "log.csv", "log.parquet"])
@pytest.mark.parametrize("columns", [None, ("prompt",)])
def test_expected_costs_count_the_tokens_that_the_log_tells(
    router: Router, artifact_path: Path, tmp_path: Path, given: str, columns: Any
) -> None:
    told = [30_000, None, 0, 12, -3]
    rows = [{"prompt": f"prove theorem {k}", "input_tokens": tokens} for k, tokens in enumerate(told)]
    source = tmp_path / given
    if given.endswith("csv"):
        pa_csv.write_csv(pa.Table.from_pylist(rows), source)
    else:
        (table_of if given.endswith("parquet") else file_of)(source, rows)
    done = label(artifact_path, [source], tmp_path / "labels.jsonl", Settings(columns=columns))
    alone = [
        router.route(f"prove theorem {k}", input_tokens=tokens if tokens and tokens > 0 else None)
        for k, tokens in enumerate(told)
    ]
    for row, decision in zip(rows_of(tmp_path / "labels.jsonl"), alone, strict=True):
        assert row["expected_cost_usd"] == pytest.approx(decision.expected_cost_usd)
    whole = done.counts.whole
    assert whole.routed_usd == pytest.approx(sum(decision.expected_cost_usd for decision in alone))


def test_columns_may_be_chosen_and_the_prompt_be_elsewhere(
    router: Router, artifact_path: Path, tmp_path: Path
) -> None:
    rows = [{"n": number, "question": f"prove {number}", "tier": "gold"} for number in range(5)]
    settings = Settings(columns=("n",), prompt_column="question")
    for source in (file_of(tmp_path / "log.jsonl", rows), table_of(tmp_path / "log.parquet", rows)):
        for target in (tmp_path / "labels.jsonl", tmp_path / "labels.parquet"):
            label(artifact_path, [source], target, settings)
            for row, found in zip(rows, rows_of(target), strict=True):
                assert list(found)[:2] == ["n", "tier"]
                assert "question" not in found
                assert_labelled(router, found, row["question"])


def test_order_is_kept_over_parts_and_processes(
    artifact_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "PART_ROWS", 100)
    monkeypatch.setattr(parts_module, "PART_BYTES", 5000)
    rows = [{"id": number, "prompt": f"prove {number}"} for number in range(1000)]
    for source in (file_of(tmp_path / "log.jsonl", rows), table_of(tmp_path / "log.parquet", rows, 70)):
        for target in (tmp_path / "labels.jsonl", tmp_path / "labels.parquet", tmp_path / "labels.csv.gz"):
            label(artifact_path, [source], target, workers=2)
            assert [int(row["id"]) for row in rows_of(target)] == list(range(1000))


def test_the_dial_decides(artifact_path: Path, log_path: Path, tmp_path: Path) -> None:
    costs = []
    for settings in (Settings(budget=0.05), Settings(quality=0.9), Settings(quality=1.0)):
        label(artifact_path, [log_path], tmp_path / "labels.jsonl", settings)
        costs.append(sum(row["expected_cost_usd"] for row in rows_of(tmp_path / "labels.jsonl")))
    assert costs == sorted(costs)
    assert costs[0] < costs[2]


def test_folders_by_key_stay_so_or_become_columns(artifact_path: Path, tmp_path: Path) -> None:
    for day in ("1", "2"):
        (tmp_path / "logs" / f"day={day}").mkdir(parents=True)
        table_of(tmp_path / "logs" / f"day={day}" / "x.parquet", PLAIN[:3])
    (tmp_path / "logs" / "_SUCCESS").write_bytes(b"")
    (tmp_path / "logs" / ".hidden").write_bytes(b"not a log")
    label(artifact_path, [tmp_path / "logs"], tmp_path / "labels")
    table = dataset.dataset(tmp_path / "labels", partitioning="hive").to_table()
    assert sorted(table["day"].to_pylist()) == [1, 1, 1, 2, 2, 2]
    label(artifact_path, [tmp_path / "logs"], tmp_path / "lines", format="jsonl")
    assert all("day" not in row for row in rows_of(tmp_path / "lines"))
    done = label(artifact_path, [tmp_path / "logs"], tmp_path / "labels.parquet", Settings(by=("day",)))
    assert sorted(done.counts.grouped("day").values) == ["1", "2"]
    assert [row["day"] for row in rows_of(tmp_path / "labels.parquet")] == ["1", "1", "1", "2", "2", "2"]
    label(artifact_path, [f"{tmp_path}/logs/day=*/x.parquet"], tmp_path / "labels.csv")
    assert [row["day"] for row in rows_of(tmp_path / "labels.csv")] == ["1", "1", "1", "2", "2", "2"]


def test_uris_are_read_and_written(artifact_path: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    table_of(tmp_path / "logs" / "a.parquet", PLAIN[:2])
    file_of(tmp_path / "logs" / "b.jsonl.gz", PLAIN[2:4])
    for given in ("logs", "logs/*", "logs/?.*"):
        target = tmp_path / f"labels-{given.replace('/', '-').replace('*', 'all').replace('?', 'one')}"
        label(artifact_path, [f"file://{tmp_path}/{given}"], f"file://{tmp_path}/{target.name}")
        assert [row["id"] for row in rows_of(target)] == [row["id"] for row in PLAIN[:4]]
    label(artifact_path, [f"file://{tmp_path}/logs/b.jsonl.gz"], f"file://{tmp_path}/one.csv")
    assert len(rows_of(tmp_path / "one.csv")) == 2
    with pytest.raises(FileError, match=r"nowhere.*no file"):
        label(artifact_path, [f"file://{tmp_path}/nowhere*"], tmp_path / "none.csv")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_standard_input_to_standard_output(
    pack: Any, artifact_path: Path, router: Router, tmp_path: Path
) -> None:
    source, target = file_of(tmp_path / "log.jsonl", ROWS), tmp_path / "labels.jsonl"
    label(artifact_path, [source], target)
    done = command(artifact_path, "-", given=pack(source.read_bytes()))
    assert done.returncode == 0, done.stderr
    assert done.stdout == target.read_bytes()
    table = command(artifact_path, "-", "--format", "csv", given=pack(b"prompt,n\nhi,07\nprove,8\n"))
    first, second, *none = csv.DictReader(io.StringIO(table.stdout.decode()))
    assert (first["n"], second["prompt"], none) == ("07", "prove", [])
    assert_labelled(router, first, "hi")


def test_standard_input_is_labelled_anew(artifact_path: Path, tmp_path: Path) -> None:
    for text in (b"hi", b"prove"):
        done = command(artifact_path, "-", "-o", tmp_path / "labels", given=b'{"prompt": "%s"}\n' % text)
        assert done.returncode == 0, done.stderr
        assert [row["prompt"] for row in rows_of(tmp_path / "labels")] == [text.decode()]


BAD = {
    "not JSON": b'{"prompt": ',
    "not UTF-8": b'{"prompt": "\xff"}',
    "a list": b"[1]",
    "no prompt": b'{"id": 1}',
    "a number as prompt": b'{"prompt": 7}',
    "messages of numbers": b'{"messages": [1]}',
    "messages as text": b'{"messages": "hello"}',
    "no messages": b'{"messages": []}',
    "nesting": b'{"prompt": "a", "id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("wanted", ["labels.jsonl", "labels.parquet"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_stops_and_leaves_what_was_there_or_is_skipped(
    name: str, wanted: str, artifact_path: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "log.jsonl", tmp_path / wanted
    source.write_bytes(b'{"prompt": "before"}\n' + BAD[name] + b'\n\n{"prompt": "after"}\n')
    target.write_text("what was there")
    with pytest.raises(RecordError) as caught:
        label(artifact_path, [source], target)
    assert str(caught.value).startswith(f"{source}:2: ")
    assert "\n" not in str(caught.value)
    assert target.read_text() == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == [wanted, "log.jsonl"]

    done = label(artifact_path, [source], target, SKIP)
    assert (done.tally.rows, done.tally.records) == (3, 2)
    (reason,) = done.tally.refused.values()
    assert (reason.count, reason.examples) == (1, [f"{source}:2"])
    assert [row["prompt"] for row in rows_of(target)] == ["before", "after"]


def test_a_bad_row_of_a_table_is_named(artifact_path: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"prompt": "a"}, {"prompt": None}, {"prompt": "b"}]
    source = table_of(tmp_path / "log.parquet", rows)
    with pytest.raises(RecordError, match=r"log.parquet:2: neither 'prompt' "):
        label(artifact_path, [source], tmp_path / "labels")
    label(artifact_path, [source], tmp_path / "others", SKIP)
    assert [row["prompt"] for row in rows_of(tmp_path / "others")] == ["a", "b"]
    (tmp_path / "log.csv").write_text("id,prompt\n1,a\n2,b,c\n3,d\n")
    with pytest.raises(RecordError, match=r"log.csv:3: 3 cells under 2 names"):
        label(artifact_path, [tmp_path / "log.csv"], tmp_path / "labels.csv")
    label(artifact_path, [tmp_path / "log.csv"], tmp_path / "labels.csv", SKIP)
    assert [row["id"] for row in rows_of(tmp_path / "labels.csv")] == ["1", "3"]


def test_fields_that_change_midway(artifact_path: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "a", "n": number} for number in range(1500)]
    for changed, said in (
        ({"prompt": "b", "n": "seven"}, "field 'n' is str where the first rows have int64"),
        ({"prompt": "b", "n": 1, "later": 1}, "field 'later' is in none of the first rows"),
        ({"prompt": "b", "n": 1 << 70}, "field 'n' is"),
    ):
        source = file_of(tmp_path / "log.jsonl", [*rows, changed])
        with pytest.raises(RecordError, match=rf"log.jsonl:1501: {said}"):
            label(artifact_path, [source], tmp_path / "labels.parquet")
        done = label(artifact_path, [source], tmp_path / "labels.parquet", SKIP)
        assert done.tally.records == 1500
        label(artifact_path, [source], tmp_path / "labels.jsonl")
        assert rows_of(tmp_path / "labels.jsonl")[-1].items() >= changed.items() or "n" in changed


def test_files_whose_columns_differ(artifact_path: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    table_of(tmp_path / "logs" / "a.parquet", [{"prompt": "a", "n": 1}])
    table_of(tmp_path / "logs" / "b.parquet", [{"prompt": "b", "n": 1.5, "more": True}])
    label(artifact_path, [tmp_path / "logs"], tmp_path / "labels.parquet")
    found = [(row["prompt"], row["n"], row["more"]) for row in rows_of(tmp_path / "labels.parquet")]
    assert found == [("a", 1.0, None), ("b", 1.5, True)]
    table_of(tmp_path / "logs" / "c.parquet", [{"prompt": "c", "n": "many"}])
    with pytest.raises(Exception, match=r"c.parquet: its columns are not those of the files before"):
        label(artifact_path, [tmp_path / "logs"], tmp_path / "labels.parquet")
    done = label(artifact_path, [tmp_path / "logs"], tmp_path / "labels.parquet", SKIP)
    assert [row["prompt"] for row in rows_of(tmp_path / "labels.parquet")] == ["a", "b"]
    assert list(done.failed.values()) == [[str(tmp_path / "logs" / "c.parquet")]]


def test_a_damaged_file_stops_or_is_left(artifact_path: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    whole = table_of(tmp_path / "logs" / "b.parquet", PLAIN)
    (tmp_path / "logs" / "a.parquet").write_bytes(whole.read_bytes()[:-10])
    damaged = bytearray(table_of(tmp_path / "logs" / "c.parquet", PLAIN * 100).read_bytes())
    damaged[100:3000] = bytes(2900)
    (tmp_path / "logs" / "c.parquet").write_bytes(damaged)
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in PLAIN).encode())
    (tmp_path / "logs" / "d.jsonl.gz").write_bytes(packed[:-4])
    with pytest.raises(FileError, match=r"a.parquet: not readable as Parquet"):
        label(artifact_path, [tmp_path / "logs"], tmp_path / "labels")
    done = label(artifact_path, [tmp_path / "logs"], tmp_path / "labels", SKIP)
    left = sorted(Path(path).name for paths in done.failed.values() for path in paths)
    assert left == ["a.parquet", "c.parquet", "d.jsonl.gz"]
    assert [row["id"] for row in rows_of(tmp_path / "labels")] == [row["id"] for row in PLAIN]
    assert "\n" not in "".join(done.failed)


def killed(artifact: Path, source: Path, target: Path, after: float) -> None:
    """Start labelling, and kill the coordinator after some time; its workers end by themselves."""
    whole = [
        sys.executable,
        "-m",
        "router_model.cli",
        "label",
        artifact,
        source,
        "-o",
        target,
        "--workers",
        "2",
    ]
    with subprocess.Popen(list(map(str, whole)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("wanted", ["folder", "labels.jsonl"])
def test_killed_at_any_point_it_goes_on_to_the_same_rows(
    wanted: str, artifact_path: Path, tmp_path: Path
) -> None:
    rows = [{"id": number, "prompt": f"prove {number} " + "filler " * 40} for number in range(30_000)]
    source = table_of(tmp_path / "log.parquet", rows, 1500)
    parquet.write_table(parquet.read_table(source), source, row_group_size=1500)
    label(artifact_path, [source], tmp_path / f"whole.{wanted}")
    target = tmp_path / wanted
    for after in (0.3, 0.8, 1.0, 1.2):
        killed(artifact_path, source, target, after)
        if wanted == "labels.jsonl":
            break
    done = label(artifact_path, [source], target)
    assert done.tally.records == len(rows)
    assert rows_of(target) == rows_of(tmp_path / f"whole.{wanted}")
    assert not list(tmp_path.rglob("*.partial"))


def test_what_is_done_is_not_done_again(
    artifact_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "PART_BYTES", 1000)
    (tmp_path / "logs").mkdir()
    for name in ("a", "b"):
        file_of(tmp_path / "logs" / f"{name}.jsonl", PLAIN)
    target = tmp_path / "labels"
    first = label(artifact_path, [tmp_path / "logs"], target)
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*.parquet")}
    again = label(artifact_path, [tmp_path / "logs"], target)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*.parquet")} == times
    assert (again.resumed_rows, again.counts.to_dict()) == (2 * len(PLAIN), first.counts.to_dict())

    file_of(tmp_path / "logs" / "b.jsonl", PLAIN[:10])
    file_of(tmp_path / "logs" / "c.jsonl", PLAIN[:5])
    changed = label(artifact_path, [tmp_path / "logs"], target)
    assert (changed.resumed_rows, changed.tally.records) == (len(PLAIN), len(PLAIN) + 15)
    assert len(rows_of(target)) == len(PLAIN) + 15

    lost = next(iter(sorted(target.glob("a-*.parquet"))))
    lost.unlink()
    label(artifact_path, [tmp_path / "logs"], target)
    assert len(rows_of(target)) == len(PLAIN) + 15


def test_a_folder_holds_labels_of_one_kind(artifact_path: Path, tmp_path: Path) -> None:
    source, target = file_of(tmp_path / "log.jsonl", PLAIN), tmp_path / "labels"
    label(artifact_path, [source], target, format="jsonl")
    with pytest.raises(ConfigError, match="labels of another router or other settings"):
        label(artifact_path, [source], target, Settings(quality=0.5), format="jsonl")
    label(artifact_path, [source], target, Settings(quality=0.5), format="csv", overwrite=True)
    assert sorted(path.name for path in target.iterdir()) == ["_label", "log-00000.csv"]

    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "log.jsonl").write_bytes(source.read_bytes())
    with pytest.raises(ConfigError, match=r"holds labels of .*log.jsonl where those of .*else"):
        label(artifact_path, [tmp_path / "else"], target, Settings(quality=0.5), format="csv")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="holds files that are no labels"):
            label(artifact_path, [source], tmp_path / "mine", overwrite=overwrite)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["diary.txt"]


def test_one_folder_is_written_by_one_run(artifact_path: Path, tmp_path: Path) -> None:
    source, target = file_of(tmp_path / "log.jsonl", PLAIN), tmp_path / "labels"
    with pytest.raises(OutputError, match="another process is writing it"):
        label(
            artifact_path,
            [source],
            target,
            progress=lambda run: command_fails(artifact_path, source, target),
        )


def command_fails(artifact: Path, source: Path, target: Path) -> None:
    done = command(artifact, source, "-o", target)
    assert done.returncode == 1
    raise OutputError(done.stderr.decode())


WRONG = {
    "no such format": (["log.jsonl", "-o", "labels", "--format", "xml"], "--format xml: no such form"),
    "two forms": (["log.jsonl", "-o", "a.csv", "--format", "jsonl"], "tells csv"),
    "Parquet to a pipe": (["log.jsonl", "--format", "parquet"], "cannot be written to a pipe"),
    "within": (["logs", "-o", "logs/labels"], "lies in the folder"),
    "no such column": (
        ["log.jsonl", "-o", "a.csv", "--columns", "id,none"],
        "--columns none: no such column",
    ),
    "a label's name": (["labelled.csv", "-o", "a.csv"], "'tier' is a column already"),
    "a label's name in lines": (["labelled.jsonl", "-o", "a.jsonl"], "'tier' is a column already"),
    "both dials": (["log.jsonl", "--quality", "0.9", "--budget", "0.5"], "both quality and budget"),
    "one object over lines": (["array.json", "-o", "a.csv"], "not one object a line"),
    "missing": (["nowhere.jsonl", "-o", "a.csv"], "nowhere.jsonl: No such file"),
    "empty pattern": (["no*.jsonl", "-o", "a.csv"], "no*.jsonl: no file there"),
    "no place": (["log.jsonl", "-o", "log.jsonl/labels.csv"], "log.jsonl/"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_done_is_refused_in_one_line(name: str, artifact_path: Path, tmp_path: Path) -> None:
    file_of(tmp_path / "log.jsonl", PLAIN[:2])
    file_of(tmp_path / "labelled.jsonl", [{"prompt": "a", "tier": "gold"}])
    (tmp_path / "labelled.csv").write_text("prompt,tier\na,gold\n")
    (tmp_path / "array.json").write_text(json.dumps(PLAIN, indent=1))
    (tmp_path / "logs").mkdir()
    file_of(tmp_path / "logs" / "log.jsonl", PLAIN[:2])
    arguments, said = WRONG[name]
    before = sorted(tmp_path.iterdir())
    done = command(artifact_path, *arguments, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert said in done.stderr.decode()
    assert done.stderr.decode().count("\n") == 1
    assert done.stdout == b""
    assert sorted(tmp_path.iterdir()) == before


def test_a_wrong_dial_is_refused_before_a_row_is_read(artifact_path: Path, tmp_path: Path) -> None:
    with pytest.raises(DialError, match="quality=2"):
        label(artifact_path, [tmp_path / "missing.jsonl"], tmp_path / "labels.jsonl", Settings(quality=2.0))


def test_a_file_may_be_labelled_onto_itself(artifact_path: Path, tmp_path: Path) -> None:
    path = file_of(tmp_path / "log.jsonl", ROWS[:2])
    label(artifact_path, [path], path)
    assert [set(row) >= {"id", "tier"} for row in rows_of(path)] == [True, True]


@pytest.mark.parametrize("wanted", ["labels.jsonl", "labels.csv", "labels.parquet", "labels"])
def test_an_empty_log_gives_no_rows(wanted: str, artifact_path: Path, tmp_path: Path) -> None:
    source, target = file_of(tmp_path / "log.jsonl", []), tmp_path / wanted
    assert label(artifact_path, [source], target).tally.rows == 0
    table_of(tmp_path / "log.parquet", PLAIN[:0])
    label(artifact_path, [tmp_path / "log.parquet"], tmp_path / f"other-{wanted}")
    assert rows_of(target) == []


def test_a_full_disk_ends_in_one_line_and_more_room_goes_on(
    artifact_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": number, "prompt": os.urandom(300).hex()} for number in range(3000)]
    source, target = table_of(tmp_path / "log.parquet", rows, 1500), tmp_path / "labels"

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    for more in ([], ["--on-error", "skip"], ["--workers", "2"]):
        done = command(artifact_path, source, "-o", target, *more, preexec_fn=little_room)
        assert done.returncode == 1
        assert done.stderr.decode().count("\n") == 1
        assert "File too large; give a place that can be written" in done.stderr.decode()
        assert rows_of(target) == []
        if more:
            continue
        assert not list(target.rglob("*.partial"))
    with contextlib.suppress(ConfigError):
        label(artifact_path, [source], target, overwrite=True)
    assert len(rows_of(target)) == 3000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_standard_output_ends_in_one_line(artifact_path: Path, log_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        whole = [sys.executable, "-m", "router_model.cli", "label", str(artifact_path), str(log_path)]
        done = subprocess.run(whole, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.decode() == "router-model: standard output: No space left on device\n"


def test_a_reader_that_leaves_early_ends_it_quietly(artifact_path: Path, log_path: Path) -> None:
    whole = [sys.executable, "-m", "router_model.cli", "label", str(artifact_path), "-"]
    with subprocess.Popen(
        whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(log_path.read_bytes())
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_worker_ended_from_outside_ends_it_in_one_line_and_it_goes_on(
    artifact_path: Path, tmp_path: Path
) -> None:
    rows = [{"id": number, "prompt": "filler " * 60} for number in range(60_000)]
    source, target = table_of(tmp_path / "log.parquet", rows, 3000), tmp_path / "labels"
    whole = [sys.executable, "-m", "router_model.cli", "label", artifact_path, source, "-o", target]
    with subprocess.Popen(
        [*map(str, whole), "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        worker = None
        while worker is None and process.poll() is None:
            time.sleep(0.05)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            served = [
                child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
            ]
            worker = int(served[0]) if served else None
        assert worker
        os.kill(worker, signal.SIGKILL)
        _, said = process.communicate()
    assert process.returncode == 1
    assert said.decode().startswith("router-model: a worker process was ended from outside")
    assert said.count(b"\n") == 1
    label(artifact_path, [source], target)
    assert len(rows_of(target)) == len(rows)
