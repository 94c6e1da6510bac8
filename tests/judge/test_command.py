"""The command as a process: killed, interrupted, with a key to keep, on the command line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router_model.cli import main
from router_model.data.readers import read_records

Log = Callable[..., Path]
KEY = "sk-very-secret-0123456789"
PRICES = ["--input-usd-per-million", "1", "--output-usd-per-million", "4"]


def arguments(server: Any, log: Path, *more: str) -> list[str]:
    out = str(log.parent / "out.jsonl")
    return ["judge", str(log), "--model", "judge-1", "--base-url", server.url, "--out", out, *more]


def start(server: Any, log: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-m", "router_model.cli", *arguments(server, log, *more)]
    environment = {**os.environ, "OPENAI_API_KEY": ""}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def verdicts(log: Path) -> set[str]:
    """Keys of the records that have a verdict in the journal, whole lines of it."""
    lines = (log.parent / "out.jsonl.journal").read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    keys = {row["call"]: row["key"] for row in rows if "key" in row}
    return {keys[row["call"]] for row in rows if "verdict" in row}


def test_after_a_kill_no_record_with_a_verdict_is_asked_again(server: Any, log: Log, answer: Any) -> None:
    server.answer = lambda call, n: answer(seconds=0.02)
    path, count, at_once = log(60), 60, 4
    options = ["--concurrency", str(at_once), "--max-usd", "1", *PRICES]
    process = start(server, path, *options)
    for _ in range(20):
        assert server.answered.acquire(timeout=60)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (path.parent / "out.jsonl").exists()
    journal = path.parent / "out.jsonl.journal"
    done = len(verdicts(path))
    assert 10 <= done < count
    journal.write_bytes(journal.read_bytes() + b'{"call": "ab')  # as a power cut may leave it
    again = start(server, path, *options, "--json")
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert "cut short" in err
    asked = [server.count(f"question {n}") for n in range(count)]
    assert min(asked) == 1
    assert max(asked) <= 2
    assert sum(asked) <= count + at_once  # only calls that were in flight went out twice
    records = list(read_records(path.parent / "out.jsonl"))
    assert all(record.outcomes == {"s": 0.75} for record in records)
    summary = json.loads(out)
    assert (summary["marks"], summary["calls"]) == (count, count - done)
    call_usd = 100e-6 + 20 * 4e-6
    assert summary["usd"] >= count * call_usd  # and what was in flight counts as paid
    third = start(server, path, *options)
    third.communicate(timeout=60)
    assert (third.returncode, len(server.calls)) == (0, sum(asked))


def test_an_interrupt_ends_cleanly_and_keeps_what_was_done(server: Any, log: Log, answer: Any) -> None:
    server.answer = lambda call, n: answer(seconds=0.02)
    path = log(200)
    process = start(server, path, "--concurrency", "2")
    for _ in range(10):
        assert server.answered.acquire(timeout=60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert "Traceback" not in err
    assert err.endswith("router-model: interrupted\n")
    records = list(read_records(path.parent / "out.jsonl"))
    kept = sum(bool(record.outcomes) for record in records)
    assert len(records) == 200
    assert 8 <= kept < 200
    assert f"holds {kept} marks; the same command goes on from there" in err


def test_the_key_is_sent_and_shown_nowhere(
    server: Any, log: Log, answer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    caplog.set_level(0)
    path = log(2)
    command = ["-v", *arguments(server, path, "--key-env", "JUDGE_KEY", "--retries", "0")]
    shown = []
    for status in (500, 400, 401):
        echo = f"bad key: Bearer {KEY}".encode()
        server.answer = lambda call, n, status=status, echo=echo: answer(status=status, raw=echo)
        done = CliRunner().invoke(main, command)
        shown += [done.output, done.stderr]
    assert done.exit_code == 1
    assert "the endpoint answers 401 (with the key of JUDGE_KEY): bad key: Bearer [key]" in done.stderr
    assert {call.headers["Authorization"] for call in server.calls} == {f"Bearer {KEY}"}
    shown += [caplog.text, *(file.read_text() for file in path.parent.iterdir())]
    assert "[key]" in caplog.text
    assert not any(KEY in text for text in shown)


def test_the_command_says_what_it_did(server: Any, log: Log) -> None:
    done = CliRunner().invoke(main, arguments(server, log(3), *PRICES))
    assert done.exit_code == 0, done.output
    assert done.stderr == "no --max-usd: what this may spend has no bound\n"
    assert (
        "out.jsonl: 3 rows, 3 marks, 3 of them new by 3 calls, $0.0005 spent in all, 0 skipped" in done.stdout
    )
    assert (
        CliRunner()
        .invoke(main, arguments(server, log(3), *PRICES))
        .stdout.endswith(
            "out.jsonl: 3 rows, 3 marks, 0 of them new by 0 calls, $0.0005 spent in all, 0 skipped\n"
        )
    )


def test_a_cap_that_ends_the_run_is_told(server: Any, log: Log) -> None:
    done = CliRunner().invoke(main, arguments(server, log(3), "--max-usd", "0.0001", *PRICES))
    assert done.exit_code == 0
    assert "stopped at the cap of $0.0001; a higher --max-usd goes on from there" in done.stdout


def test_a_cap_without_prices_is_a_usage_error(server: Any, log: Log) -> None:
    done = CliRunner().invoke(main, arguments(server, log(1), "--max-usd", "1"))
    assert done.exit_code == 2
    assert "max_usd needs prices" in done.stderr
    assert not server.calls


def test_a_missing_aiohttp_is_named_with_its_cure(log: Log, server: Any) -> None:
    code = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "aiohttp" else find(name, *more)
from router_model.cli import main
main(sys.argv[1:])
"""
    command = [sys.executable, "-c", code, *arguments(server, log(1))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "router-model: a judge needs aiohttp: pip install 'router-model[judge]'\n"
