"""What importing the package gives, what it costs, and what it leaves alone."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import router_model
from router_model import errors
from router_model.errors import RouterModelError

HEAVY = [
    "torch", "transformers", "lightning", "pandas", "pydantic", "aiohttp", "onnx", "sklearn", "matplotlib",
]  # fmt: skip
MOST_KIB = 120 << 10


def python(code: str, *arguments: str, cwd: Path) -> str:
    """What a fresh Python writes to standard output, in a folder that is its home too."""
    environment = {
        "HOME": str(cwd),
        "TMPDIR": str(cwd),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_public_names_are_these() -> None:
    assert router_model.__all__ == ["Decision", "Decisions", "Ladder", "Router", "RouterModelError", "Tier"]
    assert all(inspect.isclass(getattr(router_model, name)) for name in router_model.__all__)


def test_every_error_derives_from_one_root_and_has_an_exit_status() -> None:
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert len(found) > 10
    for kind in found:
        assert issubclass(kind, RouterModelError)
        assert kind.exit_code in (1, 2)
    assert errors.DialError.exit_code == errors.LadderError.exit_code == 2
    assert errors.ArtifactError.exit_code == errors.PromptError.exit_code == 1


def test_a_librarys_message_is_quoted_on_one_short_line() -> None:
    assert errors.one_line(ValueError("a\n b\t\r\nc")) == "a b c"
    assert len(errors.one_line(ValueError("word " * 1000))) == 200


WATCH = """
import json, os, sys
events = []


def watch(event, arguments):
    if event.startswith("socket.") or event in ("os.mkdir", "os.rename", "os.remove", "subprocess.Popen"):
        events.append([event, repr(arguments)])
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & writes:
        events.append([event, repr(arguments)])


sys.addaudithook(watch)
"""
IMPORT = """
import router_model
print(json.dumps({"events": events, "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""
ROUTE = """
router = router_model.Router.load(sys.argv[1])
router.route("hello")
router.route_batch(["hello", [{"role": "user", "content": "hello"}]])
"""


@pytest.mark.parametrize("uses", ["import", "route"])
def test_nothing_heavy_is_imported_no_socket_opened_and_no_file_written(
    uses: str, artifact_path: Path, tmp_path: Path
) -> None:
    work = IMPORT if uses == "import" else IMPORT.replace("\nprint", f"{ROUTE}print")
    found = json.loads(python(WATCH + work, str(artifact_path), cwd=tmp_path))
    assert found["events"] == []
    assert "router_model" in found["modules"]
    assert set(found["modules"]) & set(HEAVY) == set()
    assert list(tmp_path.rglob("*")) == []  # what native code wrote, ONNX Runtime's telemetry above all


MEMORY = """
import random, sys
from router_model import Router

router = Router.load(sys.argv[1])
chance = random.Random(0)
words = sys.argv[2].split()
for number in range(1000):
    router.route(" ".join(chance.choices(words, k=chance.randrange(600))) + f" {number}")
with open("/proc/self/status") as file:
    status = file.read()
print(status.split("VmHWM:")[1].split()[0])
"""


# VmHWM rather than getrusage: the latter starts from the peak of the process that was forked.
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from Linux's /proc")
def test_a_process_that_routes_a_thousand_prompts_stays_small(artifact_path: Path, tmp_path: Path) -> None:
    words = "prove the theorem of unbelievable antidisestablishmentarianism in 数学 and физика 12345"
    peak_kib = int(python(MEMORY, str(artifact_path), words, cwd=tmp_path))
    assert 10_000 < peak_kib < MOST_KIB


OWN = """
import data, serving, training
import router_model, router_model.data, router_model.serving, router_model.training
from router_model.data.records import Record

assert (data.MARK, serving.MARK, training.MARK) == ("own data", "own serving", "own training")
assert not hasattr(router_model.data, "MARK") and not hasattr(router_model.training, "MARK")
router_model.Router.load(__import__("sys").argv[1]).route("hello")
print("no clash")
"""


def test_packages_of_your_own_named_as_its_folders_do_not_clash(artifact_path: Path, tmp_path: Path) -> None:
    for name in ("data", "serving", "training"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"MARK = 'own {name}'\n")
    assert python(OWN, str(artifact_path), cwd=tmp_path) == "no clash\n"
