"""The GPU's benchmark ends well on a machine without one, and says what it could not run."""

import json
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from router_model.providers import CPU, CUDA

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "gpu.py"


def test_without_a_gpu_it_measures_the_cpu_and_names_the_rest(artifact_path: Path) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("ONNX Runtime has CUDA here")
    flags = ["--seconds", "0.01", "--batch", "2"]
    command = [sys.executable, str(BENCHMARK), str(artifact_path), *flags]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    rows = found["routers"][artifact_path.name][CPU]
    assert [row["tokens"] for row in rows] == [16, 128, 512]
    assert any(f"on {CUDA}" in reason for reason in found["could_not_run"])
