"""Hostile outcome files: a router comes out, or a refusal with a name, and what stood at --out stays."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router_model.cli import main
from router_model.router import Router

PRICE = ("--input-usd-per-million", "1", "--output-usd-per-million", "4")


def run(router: Path, outcomes: Path, out: Path, name: str = "model-n") -> Any:
    told = ("adapt", str(router), "--add-model", name, "--outcomes", str(outcomes), "--out", str(out))
    return CliRunner().invoke(main, [*told, *PRICE, "--resamples", "200"])


def line(number: int, outcome: Any = 1.0, **more: Any) -> str:
    return json.dumps({"prompt": f"prompt number {number}", "outcomes": {"model-n": outcome}, **more}) + "\n"


GOOD = "".join(line(number, float(number % 2)) for number in range(60))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe" * 100,
        b"[" * 100_000,
        GOOD.encode()[:-20],
        (GOOD + '{"prompt": "x", "outcomes": {"model-n": NaN}}\n').encode(),
        (GOOD + '{"prompt": "x", "outcomes": {"model-n": 1e400}}\n').encode(),
        (GOOD + '{"prompt": "x", "outcomes": {"model-n": "1"}}\n').encode(),
        (GOOD + '{"prompt": "x", "outcomes": [1]}\n').encode(),
        (GOOD + '{"outcomes": {"model-n": 1}}\n').encode(),
        b"PAR1" + b"\x00" * 64 + b"PAR1",
        "".join(
            json.dumps({"prompt": "one prompt", "outcomes": {"model-n": 1}}) + "\n" for _ in range(99)
        ).encode(),
    ],
    ids=[
        "empty",
        "bytes",
        "deep",
        "cut",
        "nan",
        "huge",
        "text",
        "list",
        "no-prompt",
        "parquet",
        "one-prompt",
    ],
)
def test_a_bad_file_is_refused_in_one_line(content: bytes, artifact_path: Path, tmp_path: Path) -> None:
    (tmp_path / "outcomes.jsonl").write_bytes(content)
    out = tmp_path / "router.onnx"
    out.write_bytes(b"what stood here")
    told = run(artifact_path, tmp_path / "outcomes.jsonl", out)
    assert told.exit_code in (1, 2), told.output
    assert told.stderr.startswith("router-model: ")
    assert "Traceback" not in told.output
    assert out.read_bytes() == b"what stood here"


@pytest.mark.parametrize(
    "rows",
    [
        [line(n, 0.0) for n in range(60)],
        [line(n, 1.0) for n in range(60)],
        [json.dumps({"prompt": " " * n, "outcomes": {"model-n": n % 2}}) + "\n" for n in range(60)],
        [line(n, n % 2, output_tokens={"model-n": 1e15}) for n in range(60)],
        [line(n, n % 2, output_tokens={"model-n": 0}, input_tokens=0) for n in range(60)],
        [
            json.dumps({"prompt": chr(0xD800) + str(n), "outcomes": {"model-n": n % 2}}) + "\n"
            for n in range(60)
        ],
        [line(n, n % 2, group="all") for n in range(60)],
    ],
    ids=["never", "always", "blank", "endless", "free", "surrogates", "one-group"],
)
def test_an_odd_file_makes_a_sound_router_or_a_refusal(
    rows: list[str], artifact_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "outcomes.jsonl").write_text("".join(rows))
    out = tmp_path / "router.onnx"
    told = run(artifact_path, tmp_path / "outcomes.jsonl", out)
    assert "Traceback" not in told.output
    if told.exit_code:
        assert told.stderr.startswith("router-model: ")
        assert not out.exists()
    else:
        sufficiency = Router.load(out).route("prompt number 7").sufficiency
        assert all(0 <= value <= 1 for value in sufficiency.values())


@pytest.mark.parametrize("name", ["model-s", "a\nb", "", "x" * 100, "\ud800"])
def test_a_bad_name_is_refused(name: str, artifact_path: Path, tmp_path: Path) -> None:
    (tmp_path / "outcomes.jsonl").write_text(GOOD)
    told = run(artifact_path, tmp_path / "outcomes.jsonl", tmp_path / "router.onnx", name)
    assert told.exit_code == 2
    assert not (tmp_path / "router.onnx").exists()
