"""The gateway's benchmarks, cut short: what they count has to come out right, however long it takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="the benchmarks read Linux's /proc"
)


def run(name: str, *flags: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCHMARKS / name), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_benchmark_of_latency_and_rate_runs_to_its_end() -> None:
    flags = ["--rate", "20", "--seconds", "1", "--rounds", "1", "--streams", "8"]
    found = run("gateway.py", *flags)
    for name in ("added", "added_busy_polling"):
        assert found[name]["rounds"]
        assert found[name]["decision_us"] > 0
    shares = found["core"]
    assert all(0 < share < 1.1 for share in (*shares["default"].values(), *shares["busy_polling"].values()))
    assert set(found["bars"]) == {
        "added_p50_ms",
        "added_p99_ms",
        "added_busy_polling_p50_ms",
        "added_busy_polling_p99_ms",
        "requests_per_second",
        "chunk_us",
        "router_share",
    }
    assert "virtual environment" in found["litellm"]["not_run"]


def test_no_fault_of_one_provider_of_two_reaches_a_client() -> None:
    names = ["dead", "flapping", "429", "cut"]
    found = run("gateway_faults.py", "--seconds", "3", "--rate", "30", "--only", *names)
    for name, one in found["faults"].items():
        assert one["requests"] == 90, name
        assert (one["preventable"], one["unclean"], one["stopped_with"]) == (0, 0, 0), (name, one)
        assert name == "cut" or one["failed"] == 0
    assert found["preventable"] == 0


def test_a_redis_that_restarts_loses_no_request() -> None:
    one = run("gateway_faults.py", "--seconds", "3", "--rate", "30", "--only", "redis")["faults"]["redis"]
    if "not_run" in one:
        pytest.skip(one["not_run"])
    assert (one["requests"], one["failed"], one["stopped_with"]) == (90, 0, 0), one


def test_reloads_drop_no_request_and_no_row() -> None:
    found = run("gateway_soak.py", "--seconds", "8", "--rate", "30", "--reload", "1.5")
    assert found["failed"] == 0, found["first_failures"]
    assert found["requests"] == found["rows"] == found["counted"] == 240
    assert found["reloads"]["done"] >= 1
    assert found["reloads"]["refused"] >= 1
    assert found["stopped_with"] == 0
