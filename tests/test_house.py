"""The house itself: who imports whom, and what the wheel holds."""

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
FOLDERS = {"router_model": "router_model", "training": "router_model.training"} | {
    name: f"router_model.{name}" for name in ("serving", "data")
}
MAY_IMPORT = {
    "router_model": {"router_model"},
    "data": {"router_model", "data"},
    "serving": {"router_model", "serving"},
    "training": {"router_model", "data", "training"},
}
COMMANDS = REPOSITORY / "router_model" / "cli"
TORCH_FILES = {"router_model/network.py"}


def sources(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(name: str) -> str | None:
    """The folder that an imported name lives in."""
    parts = name.split(".")
    if parts[0] != "router_model":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS else "router_model"


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_each_folder_imports_only_what_it_may(folder: str) -> None:
    for path in sources(folder):
        if path.parent == COMMANDS:
            continue
        rooms = {room(name) for name in imported(path)} - {None}
        assert rooms <= MAY_IMPORT[folder], f"{path} imports {sorted(map(str, rooms - MAY_IMPORT[folder]))}"


@pytest.mark.parametrize("path", sorted(COMMANDS.glob("*.py")), ids=lambda path: path.stem)
def test_the_command_line_imports_the_other_folders_lazily(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    top = {node.module or "" for node in body if isinstance(node, ast.ImportFrom)}
    ours = {name for name in top if name.startswith("router_model") and "router_model.cli" not in name}
    assert ours <= {"router_model.errors", "router_model.terminal"}


def test_torch_is_imported_by_the_network_and_training_only() -> None:
    for folder in ("router_model", "serving", "data"):
        for path in sources(folder):
            uses = any(name.split(".")[0] in ("torch", "lightning") for name in imported(path))
            assert not uses or str(path.relative_to(REPOSITORY)) in TORCH_FILES, path


def test_the_wheel_holds_every_tracked_file_of_the_four_folders_and_nothing_else(tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode != 0 or not listed.stdout:
        pytest.skip("not a git checkout, so the tracked files are unknown")
    expected, checkout = (
        set(),
        tmp_path / "checkout",
    )  # a copy: an old build folder must not get into the wheel
    for name in filter(lambda name: (REPOSITORY / name).is_file(), listed.stdout.splitlines()):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, checkout / name)
        folder, _, rest = name.partition("/")
        if folder in FOLDERS:
            expected.add(f"{FOLDERS[folder].replace('.', '/')}/{rest}")
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(checkout),
    ]
    subprocess.run(build, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == expected


def test_the_package_data_stays_small() -> None:
    package = REPOSITORY / "router_model"
    assert (package / "minilm.npz").stat().st_size <= 8_000_000
    assert sum((package / f"default.{kind}").stat().st_size for kind in ("onnx", "npz")) <= 6_000_000


def test_the_repository_holds_no_code_that_unpickles_or_evaluates() -> None:
    banned = {"pickle", "dill", "marshal", "shelve", "cloudpickle", "joblib"}
    for folder in FOLDERS:
        for path in sources(folder):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert not {name.split(".")[0] for name in imported(path)} & banned, path
            calls = {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert not calls & {"eval", "exec"}, path
            assert "allow_pickle=True" not in path.read_text(encoding="utf-8")
            assert "weights_only=False" not in path.read_text(encoding="utf-8")
