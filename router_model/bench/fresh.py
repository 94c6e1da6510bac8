"""Import, load and memory, each in a process of its own, and what the machine is."""

import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("onnxruntime", "numpy", "nanotoken", "tokenizers")
LOADS = 5
SCRIPT = """
import json, random, resource, sys, time

def resident():
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
    except OSError:  # macOS tells the highest so far, in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

started = time.perf_counter()
from router_model import Router
imported = time.perf_counter()
router = Router.load(sys.argv[1])
loaded = time.perf_counter()
router.route("ready")
result = {
    "import_ms": (imported - started) * 1000, "load_ms": (loaded - imported) * 1000, "ready_mb": resident()
}
chance = random.Random(0)
for _ in range(int(sys.argv[2])):
    router.route("%x %x" % (chance.getrandbits(chance.randrange(8, 400)), chance.getrandbits(64)))
result["after_junk_mb"] = resident()
print(json.dumps(result))
"""


def measure(router_path: Path, junk: int) -> dict[str, Any]:
    """Import and load time in milliseconds, resident memory in MB when ready and after junk prompts.

    Times are medians of five processes. Where the system has no ``/proc``, memory is the highest until then.
    """
    runs = [_run(router_path, 0) for _ in range(LOADS)]
    median = {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0]}
    result: dict[str, Any] = {
        "import_ms": median["import_ms"],
        "load_ms": median["load_ms"],
        "import_and_load_ms": round(median["import_ms"] + median["load_ms"], 1),
        "ready_mb": median["ready_mb"],
    }
    if junk:
        result |= {"junk_prompts": junk, "after_junk_mb": round(_run(router_path, junk)["after_junk_mb"], 1)}
    return result


def _run(router_path: Path, junk: int) -> dict[str, float]:
    command = [sys.executable, "-c", SCRIPT, str(router_path), str(junk)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603  # our own script
    result: dict[str, float] = json.loads(output)
    return result


def machine() -> dict[str, Any]:
    """The processor, its vector instructions, and the versions that decide the speed."""
    return {
        "processor": _processor("model name") or platform.processor() or platform.machine(),
        "vnni": not {"avx512_vnni", "avx_vnni"}.isdisjoint(_processor("flags").split()),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
