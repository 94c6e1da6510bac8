"""A folder, local or of a store that ``pyarrow.fs`` opens, in which a file is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, cast

import pyarrow
from pyarrow import fs

from router_model.errors import OutputError, one_line

# Their objects appear when a writer is closed, and moving one would copy it.
OBJECT_STORES = ("s3", "gcs", "abfs")
PARTIAL = ".partial"


@dataclass(frozen=True)
class Store:
    """One folder.

    Attributes:
        place: a local path, or a URI that ``pyarrow.fs`` opens.
    """

    place: str

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file below the folder, which takes its place when the block ends well.

        Raises:
            OutputError: it cannot be written; nothing stands under its name that was not there before.
        """
        with self._named(name):
            system, root = self._opened()
            path = f"{root}/{name}"
            system.create_dir(path.rpartition("/")[0], recursive=True)
            direct = system.type_name in OBJECT_STORES
            partial = path if direct else _partial(path)
            try:
                with open(partial, "wb") if _local(system) else system.open_output_stream(partial) as file:
                    yield cast(BinaryIO, file)
                    file.flush()
                    if _local(system):
                        os.fsync(file.fileno())
                if not direct:
                    system.move(partial, path)
            except BaseException:
                with suppress(OSError):
                    system.delete_file(partial)
                raise

    def write(self, name: str, content: bytes) -> None:
        """A whole file; raises as ``writing`` does."""
        with self.writing(name) as file:
            file.write(content)

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None where there is none; raises OutputError."""
        with self._named(name):
            system, root = self._opened()
            if system.get_file_info(f"{root}/{name}").type != fs.FileType.File:
                return None
            with system.open_input_stream(f"{root}/{name}") as file:
                return cast(bytes, file.read())

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """A file, open; raises OutputError."""
        with self._named(name):
            system, root = self._opened()
            with system.open_input_file(f"{root}/{name}") as file:
                yield cast(BinaryIO, file)

    def names(self) -> list[str]:
        """The files, sorted, those half written too; raises OutputError."""
        with self._named(""):
            system, root = self._opened()
            chosen = fs.FileSelector(root, allow_not_found=True, recursive=True)
            files = [info.path for info in system.get_file_info(chosen) if info.type == fs.FileType.File]
        return sorted(path[len(root) :].lstrip("/") for path in files)

    def sweep(self) -> None:
        """Remove what was left half written; raises OutputError."""
        for name in self.names():
            if name.endswith(PARTIAL):
                self.delete(name)

    def delete(self, name: str) -> None:
        """Remove a file; raises OutputError."""
        with self._named(name):
            system, root = self._opened()
            system.delete_file(f"{root}/{name}")

    def remove(self) -> None:
        """Remove the folder and all that is in it; raises OutputError."""
        with self._named(""):
            system, root = self._opened()
            system.delete_dir(root)

    def uri(self, name: str) -> str:
        """The place of a file below the folder."""
        return f"{self.place.rstrip('/')}/{name}"

    def _opened(self) -> tuple[Any, str]:
        """The file system, and the folder's path in it."""
        if "://" in self.place:
            try:
                system, path = fs.FileSystem.from_uri(self.place)
            except (pyarrow.ArrowException, ValueError) as error:
                raise OutputError(
                    f"{self.place}: {one_line(error)}; give a URI that pyarrow.fs opens"
                ) from None
            return system, path.rstrip("/")
        return fs.LocalFileSystem(), str(Path(self.place).absolute())

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = getattr(error, "strerror", None) or one_line(error)
            raise OutputError(f"{self.uri(name)}: {reason}; give a place that can be written") from None


def _local(system: Any) -> bool:
    return bool(system.type_name == "local")


def _partial(path: str) -> str:
    """A hidden name beside it, of its own: who was taken for dead may still be writing."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.{token_hex(4)}{PARTIAL}"
