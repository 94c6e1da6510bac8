"""Files read with a bound, and written whole or not at all, even where the writer is killed."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from router_model.errors import FileError
from router_model.files import read_file, replace_file, replacing

HALF_WRITTEN = """
import sys
from router_model.files import replacing
with replacing(sys.argv[1]) as temporary:
    with open(temporary, "wb") as file:
        file.write(b"half of the new")
        file.flush()
        print("written", flush=True)
        sys.stdin.read()
"""
FOREVER = """
import sys
from router_model.files import replace_file
for turn in range(10**9):
    replace_file(sys.argv[1], (b"A", b"B")[turn % 2] * 300_000)
    if turn == 5:
        print("running", flush=True)
"""


def start(program: str, path: Path) -> subprocess.Popen[bytes]:
    """A process that has said that it is at work on ``path``."""
    command = [sys.executable, "-c", program, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() in (b"written", b"running")
    return process


def kill(process: subprocess.Popen[bytes], number: int) -> None:
    process.send_signal(number)
    process.communicate()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file that holds "old", alone in its folder."""
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    return path


def test_a_file_of_exactly_the_limit_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(FileError, match=r"file: larger than the 4 bytes"):
        read_file(path, 4)


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match="; give a file that can be read") as caught:
        read_file(tmp_path / name, 5)
    assert str(tmp_path) in str(caught.value)


def test_an_endless_file_is_read_no_further_than_the_limit() -> None:
    with pytest.raises(FileError, match="/dev/zero: larger than"):
        read_file("/dev/zero", 1000)


def test_replacing_writes_the_whole_content_and_leaves_no_other_file(old: Path) -> None:
    replace_file(old, b"new")
    assert old.read_bytes() == b"new"
    assert [path.name for path in old.parent.iterdir()] == ["file.bin"]


def test_a_relative_name_without_a_folder_is_written_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    replace_file("plain", b"new")
    assert (tmp_path / "plain").read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_keeps_the_old_file_and_leaves_no_temporary_one(
    old: Path, error: type[BaseException]
) -> None:
    def fail() -> None:
        with replacing(old) as temporary:
            temporary.write_bytes(b"half of the new")
            raise error("in the middle")

    with pytest.raises(error):
        fail()
    assert old.read_bytes() == b"old"
    assert [path.name for path in old.parent.iterdir()] == ["file.bin"]


def test_an_error_of_the_disk_is_a_file_error_that_says_that_the_old_file_stayed(old: Path) -> None:
    def fail() -> None:
        with replacing(old):
            raise OSError(28, "No space left on device")

    with pytest.raises(FileError, match=r"file\.bin: No space left on device; the file was left as it was"):
        fail()
    assert old.read_bytes() == b"old"
    assert [path.name for path in old.parent.iterdir()] == ["file.bin"]


def test_a_folder_that_is_not_there_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file or directory; give a place that can be written"):
        replace_file(tmp_path / "absent" / "file", b"new")


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="folder: a folder or a device"):
        replace_file(tmp_path / "folder", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="pipe: a folder or a device"):
        replace_file(tmp_path / "pipe", b"new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask_of_the_process(old: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        replace_file(old, b"new")
        assert os.umask(mask) == mask, "the umask was changed"
    finally:
        os.umask(before)
    assert stat.S_IMODE(old.stat().st_mode) == mode


def test_a_writer_killed_in_the_middle_leaves_the_old_file(old: Path) -> None:
    kill(start(HALF_WRITTEN, old), signal.SIGKILL)
    assert old.read_bytes() == b"old"


def test_an_interrupted_writer_leaves_the_old_file_and_cleans_up(old: Path) -> None:
    # A shell's background jobs ignore SIGINT, and what they start inherits that.
    listen = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler); "
    kill(
        start(listen + HALF_WRITTEN.lstrip().replace("sys.stdin.read()", "time.sleep(60)"), old),
        signal.SIGINT,
    )
    assert old.read_bytes() == b"old"
    assert [path.name for path in old.parent.iterdir()] == ["file.bin"]


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for _ in range(8):
        kill(start(FOREVER, path), signal.SIGKILL)
        content = path.read_bytes()
        assert content in (b"A" * 300_000, b"B" * 300_000)


def test_a_reader_during_a_replacement_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    process = start(FOREVER, path)
    try:
        seen = {path.read_bytes() for _ in range(300)}
    finally:
        kill(process, signal.SIGKILL)
    assert seen <= {b"A" * 300_000, b"B" * 300_000}
