"""Files read with a bound and written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from router_model.errors import FileError

PIECE = 4 << 20


def read_file(path: str | Path, limit: int) -> bytes:
    """The bytes of a file of at most ``limit`` bytes.

    Raises:
        FileError: the file is missing, unreadable or larger.
    """
    try:
        with Path(path).open("rb") as file:
            content = bytearray()  # in pieces: one read of the limit would ask for that much memory at once
            while len(content) <= limit and (piece := file.read(PIECE)):
                content += piece
    except (OSError, ValueError) as error:  # ValueError of a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path}: {reason}; give a file that can be read") from None
    if len(content) > limit:
        raise FileError(f"{path}: larger than the {limit} bytes that such a file may have")
    return bytes(content)


def make_report_folder(folder: Path) -> None:
    """Make the folder for a report, or raise FileError: a run should not find out at its end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"--report {folder}: {error.strerror or error}; give a folder that can be written"
        ) from None


def replace_file(path: str | Path, content: bytes) -> None:
    """Put ``content`` at ``path``; raises as ``replacing`` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` in one step, if the block ends well.

    An interrupt leaves the old file or the new one, whole.

    Raises:
        FileError: the place cannot be written; what was there stays.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"{path}: a folder or a device, which no file can replace; give a file's path")
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}; give a place that can be written") from None
    try:
        yield Path(name)
        os.fsync(descriptor)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}; the file was left as it was") from None
    finally:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
