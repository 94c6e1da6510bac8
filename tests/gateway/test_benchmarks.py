"""The gateway's benchmarks, cut short: what they count has to come out right, however long it takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
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


def test_the_benchmark_of_pacing_measures_days_of_whatever_prompts_it_is_given(tmp_path: Path) -> None:
    chance, kept = np.random.default_rng(0), {}
    for name, dear in (("mmlu_pro", 1e-3), ("mixed_tasks", 5e-4)):
        probabilities = np.sort(chance.random((500, 3)), axis=1)
        usd = np.array([0.0, 1e-4, dear]) * chance.lognormal(0, 0.3, (500, 1))
        outcomes = (chance.random((500, 3)) < probabilities).astype(float)
        kept |= {f"{name}_probabilities": probabilities, f"{name}_outcomes": outcomes}
        kept |= {f"{name}_paid": usd, f"{name}_expected": usd}
    np.savez(tmp_path / "kept.npz", **kept)
    flags = ["--kept", str(tmp_path / "kept.npz"), "--requests", "2500", "--seeds", "1", "--first-seed", "7"]
    found = run("pacing.py", str(tmp_path), *flags, "--scenarios", "usual")
    for share in ("0.1", "0.3", "0.5"):
        paced = found["scenarios"]["usual_2500"][share]
        assert paced["binds"]
        assert abs(paced["spend_percent_worst"]) < 3
        assert abs(found["lots"].get(share, paced)["spend_percent_worst"]) < 3
        assert paced["points_worst"] > found["unpaced"]["until_spent"][share]["points_worst"]
    hours = [step["hour"] for step in found["day"]["series"]]
    assert hours == sorted(hours)
    assert len(hours) > 100
