"""NumPy archives without pickles, as the package and training keep arrays: bounded, and read whole."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.errors import ArtifactCorruptError, ArtifactError, one_line
from router_model.files import replace_file

MAX_ARCHIVE_BYTES = 256 << 20


def unpack(raw: bytes, name: str, kind: str, cure: str) -> dict[str, NDArray[Any]]:
    """The arrays of an archive by name; messages call it ``name``, of the kind ``kind``.

    Raises:
        ArtifactError: it unpacks to more than 256 MiB.
        ArtifactCorruptError: it is no such archive, or holds what would be unpickled.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_ARCHIVE_BYTES:
                raise ArtifactError(f"{name}: unpacks to more than {MAX_ARCHIVE_BYTES} bytes; {cure}")
        with np.load(io.BytesIO(raw), allow_pickle=False) as members:
            return {member: members[member] for member in members.files}
    except ArtifactError:
        raise
    except Exception as error:  # NumPy, zipfile, zlib and tokenize each raise their own
        raise ArtifactCorruptError(
            f"{name}: not readable as {kind}: {one_line(error)}; copy the file again"
        ) from None


def pack(path: str | Path, members: dict[str, NDArray[Any]]) -> None:
    """Write arrays by name, whole or not at all; raises FileError."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **members)  # type: ignore[arg-type]  # a member might be called allow_pickle
    replace_file(path, buffer.getvalue())


def text(array: NDArray[Any], name: str) -> str:
    """What an array of UTF-8 bytes spells; raises ArtifactCorruptError, which names the file."""
    try:
        return array.tobytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactCorruptError(f"{name}: holds a text that is not UTF-8: {one_line(error)}") from None


def spelled(value: str) -> NDArray[np.uint8]:
    """The UTF-8 bytes of a text as an array."""
    return np.frombuffer(value.encode(), np.uint8)
