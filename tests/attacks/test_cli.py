"""Hostile ladders and logs through the command line: refused in one line, and nothing is overwritten."""

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PRICES = {"input_usd_per_million": 1, "output_usd_per_million": 1}
GOOD_LADDER = {
    "tiers": [{"name": "small", "model": "s", **PRICES}, {"name": "large", "model": "l", **PRICES}]
}

# Each case is a process of its own, forked from one that has imported what takes seconds to import.
DRIVER = """
import json, os, signal, sys, traceback
import router_model.training.train
from router_model.cli import main
for folder, arguments in json.load(sys.stdin):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT), stream)
        try:
            main(arguments, prog_name="router-model")
        except SystemExit as stop:
            status = stop.code
        except BaseException:
            status = traceback.print_exc() or 99
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)  # at once: an interpreter that has imported torch takes a second to leave
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str
    folder: Path


def tiers(**changes: Any) -> bytes:
    return json.dumps({"tiers": [GOOD_LADDER["tiers"][0] | changes, GOOD_LADDER["tiers"][1]]}).encode()


LADDERS: dict[str, tuple[str, bytes]] = {
    "empty": ("json", b""),
    "not an object": ("json", b'"tiers"'),
    "not UTF-8": ("json", b'{"tiers": "\xff"}'),
    "a NUL": ("yaml", b"tiers: \x00"),
    "broken YAML": ("yaml", b"tiers: [}"),
    "a tag that runs code": ("yaml", b'tiers: !!python/object/apply:os.system ["touch owned"]'),
    "deep JSON": ("json", b"[" * 200_000),
    "deep YAML": ("yaml", b"[" * 5000),
    "a billion laughs": (
        "yaml",
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 107))
        + b"tiers: *j\n",
    ),
    "two megabytes": ("json", b" " * (2 << 20)),
    "a name that clears the screen": ("json", tiers(name="\x1b[2J\x07")),
    "a name of two lines": ("json", tiers(name="a\nrouter-model: all is well")),
    "a name of a megabyte": ("json", tiers(name="n" * 1_000_000)),
    "a price that is no number": ("json", tiers(input_usd_per_million="1")),
    "a price of NaN": ("json", tiers(input_usd_per_million=float("nan"))),
    "an endless price": ("json", tiers(input_usd_per_million=1).replace(b": 1,", b": 1e999,", 1)),
    "a price of 400 digits": ("json", tiers(input_usd_per_million=10**400)),
    "a price of 5000 digits": (
        "json",
        tiers(input_usd_per_million=1).replace(b": 1,", b": " + b"9" * 5000 + b",", 1),
    ),
    "a price that is true": ("json", tiers(input_usd_per_million=True)),
    "models of lists": ("json", tiers(model=[["s"]])),
    "a model of lone surrogates": ("json", tiers(model="\ud800")),
    "one model twice": ("json", tiers(model="l")),
    "a key of two lines": ("json", tiers(**{"a\nb": 1})),
    "tiers that are numbers": ("json", b'{"tiers": [1, 2]}'),
    "a thousand tiers": ("json", json.dumps({"tiers": GOOD_LADDER["tiers"] * 500}).encode()),
}


def log(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def judged(**changes: Any) -> bytes:
    """60 usable rows, then one with changes."""
    rows = [{"prompt": f"word {n} {n * n}", "best_tier": ("small", "large")[n % 2]} for n in range(60)]
    return log(*rows, {"prompt": "p", "best_tier": "small"} | changes)


LOGS: dict[str, bytes] = {
    "empty": b"",
    "blank lines": b"\n\n\n",
    "NULs": b"\x00" * 1000,
    "random bytes": bytes(range(256)) * 20,
    "UTF-16": '{"prompt": "a"}'.encode("utf-16"),
    "deep nesting": b'{"prompt": ' + b"[" * 200_000,
    "a number of 5000 digits": b'{"prompt": "a", "outcome": ' + b"9" * 5000 + b"}",
    "a cut gzip": gzip.compress(judged())[:-20],
    "a gzip that is not one": b"\x1f\x8b" + b"\x00" * 100,
    "a gzip of one endless line": gzip.compress(b"x" * (70 << 20)),
    "a cut Parquet": b"PAR1" + b"\x00" * 200 + b"PAR1",
    "a prompt that is a number": judged(prompt=1),
    "messages that are text": log({"messages": "hello", "best_tier": "small"}),
    "an unknown tier of two lines": judged(best_tier="small\nrouter-model: all is well"),
    "an identity that clears the screen": judged(id="\x1b[2J\n", best_tier="huge"),
    "an outcome of NaN": judged(best_tier=None, outcomes={"s": float("nan")}),
    "an outcome that is text": judged(best_tier=None, outcomes={"s": "1"}),
    "outcomes that are a list": judged(best_tier=None, outcomes=[1, 0]),
    "a cost below zero": judged(cost_usd={"s": -1}),
    "an endless cost": judged(cost_usd={"s": float("inf")}),
    "costs beyond all sums": b"".join(
        log({"prompt": f"w {n}", "best_tier": ("small", "large")[n % 2], "cost_usd": {"l": 1e308}})
        for n in range(60)
    ),
    "lengths beyond all sums": b"".join(
        log({"prompt": f"w {n}", "best_tier": ("small", "large")[n % 2], "input_tokens": 1e308})
        for n in range(60)
    ),
    "models named with escapes": log({"prompt": "a", "outcomes": {"\x1b[2J\nx": 1}}),
    "one prompt a thousand times": log({"prompt": "a", "best_tier": "small"}) * 500
    + log({"prompt": "a", "best_tier": "large"}) * 500,
    "preferences that tell no cost": b"".join(
        log({"prompt": f"w {n}", "model_a": "s", "model_b": "l", "winner": ("s", "tie", "l")[n % 3]})
        for n in range(90)
    ),
}

CASES = [("ladder", name) for name in LADDERS] + [("log", name) for name in LOGS]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Done]:
    """What `train` made of each hostile file, in a folder that holds an older artifact and report."""
    cases = []
    for number, (kind, name) in enumerate(CASES):
        folder = tmp_path_factory.mktemp(f"case{number}")
        suffix, ladder = LADDERS[name] if kind == "ladder" else ("json", json.dumps(GOOD_LADDER).encode())
        (folder / f"ladder.{suffix}").write_bytes(ladder)
        (folder / "log.jsonl").write_bytes(judged() if kind == "ladder" else LOGS[name])
        (folder / "router.onnx").write_bytes(b"an older artifact")
        (folder / "report").mkdir()
        (folder / "report" / "index.html").write_bytes(b"an older report")
        options = {"ladder": f"ladder.{suffix}", "out": "router.onnx", "report": "report"}
        flags = [part for key, value in options.items() for part in (f"--{key}", str(folder / value))]
        cases.append((str(folder), ["train", str(folder / "log.jsonl"), *flags, "--json"]))
    ran = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    statuses = [int(line) for line in ran.stdout.split()]
    folders = [Path(folder) for folder, _ in cases]
    return {
        case: Done(status, (folder / "out").read_text("utf-8"), (folder / "err").read_text("utf-8"), folder)
        for case, status, folder in zip(CASES, statuses, folders, strict=True)
    }


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_hostile_file_is_refused_in_one_printable_line(
    case: tuple[str, str], done: dict[tuple[str, str], Done]
) -> None:
    found = done[case]
    assert found.status in (1, 2), found.err
    assert found.err.startswith("router-model: ")
    assert found.err.endswith("\n")
    assert found.err[:-1].isprintable()
    assert len(found.err) < 2000
    assert found.out == ""


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_what_was_there_stays_and_nothing_is_left_behind(
    case: tuple[str, str], done: dict[tuple[str, str], Done]
) -> None:
    folder = done[case].folder
    assert (folder / "router.onnx").read_bytes() == b"an older artifact"
    assert (folder / "report" / "index.html").read_bytes() == b"an older report"
    names = {path.name for path in folder.iterdir()} - {"out", "err"}
    assert names == {"log.jsonl", "router.onnx", "report", *(p.name for p in folder.glob("ladder.*"))}
    assert not Path("owned").exists()


@pytest.mark.parametrize("case", [case for case in CASES if case[0] == "ladder"], ids="-".join)
def test_a_hostile_ladder_is_named(case: tuple[str, str], done: dict[tuple[str, str], Done]) -> None:
    assert str(next(done[case].folder.glob("ladder.*"))) in done[case].err


def test_the_files_that_the_attacks_start_from_are_good(done: dict[tuple[str, str], Done]) -> None:
    """Else every case would be refused for the wrong reason."""
    from router_model.data.labels import label
    from router_model.data.readers import read_records
    from router_model.ladder import Ladder

    ladder = Ladder.read(done["log", "empty"].folder / "ladder.json")
    records = list(read_records(done["ladder", "empty"].folder / "log.jsonl"))
    assert label(records, ladder).complete.all()
