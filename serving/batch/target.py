"""Where labels go: a folder of files, one file, or standard output."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from router_model.errors import ConfigError, FileError
from router_model.serving.batch.columns import Columns
from router_model.serving.batch.folder import Folder
from router_model.serving.batch.forms import Form
from router_model.serving.batch.inputs import STANDARD
from router_model.serving.batch.store import Store


@dataclass(frozen=True)
class Target:
    """A place for labels.

    Attributes:
        place: a path or URI; "-" for standard output.
        form: of the labels.
        folder: where a file for each part goes; None for standard output.
        one: the parts' files become one, and the folder that held them goes.
    """

    place: str
    form: Form
    folder: Folder | None
    one: bool

    @classmethod
    def of(cls, output: str, format: str | None) -> "Target":
        """What an output's name says; raises ConfigError where it does not go with ``format``."""
        if output == STANDARD:
            form = Form.of_name(format or "jsonl")
            if form.name == "parquet":
                raise ConfigError("--format parquet: cannot be written to a pipe; name a file with --output")
            if sys.stdout is None:
                raise FileError("standard output is closed; name a file with --output")
            return cls(output, form, None, True)
        told = None if os.path.isdir(output) else Form.of_file(output)
        if told is None:
            form = Form.of_name(format or "parquet")
            return cls(output, form, Folder(Store(output), form.name), False)
        if format not in (None, told.name):
            raise ConfigError(f"--format {format}: the name {output} tells {told.name}; leave --format out")
        parent, _, name = output.rpartition("/")
        store = Store(f"{parent or ('.' if '/' not in output else '')}/.{name}.labels")
        return cls(output, told, Folder(store, told.name), True)

    def check(self, inputs: Sequence[str | Path]) -> None:
        """Raise ConfigError where labels would be read as a log."""
        for given in map(str, inputs):
            if given == STANDARD or self.place == STANDARD or not os.path.isdir(given):
                continue
            if Path(self.place).resolve().is_relative_to(Path(given).resolve()):
                raise ConfigError(f"--output {self.place}: lies in the folder {given}; give a place outside")

    def start(self, columns: Columns) -> None:
        """Write what stands before the first row, to standard output."""
        if self.folder is None:
            self.write(self.form.head(columns))

    def write(self, content: bytes) -> None:
        """Add to standard output."""
        if content:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()

    def finish(self, parts: Iterable[str], columns: Columns) -> None:
        """Make one file of those of ``parts``, in their order."""
        if self.folder is None or not self.one:
            return
        folder = self.folder
        parent, _, name = self.place.rpartition("/")
        out = Store(parent or ("." if "/" not in self.place else "/"))
        with out.writing(name) as file:
            self.form.join(_opened(folder, parts), file, columns)
        folder.remove()

    def discard(self) -> None:
        """Remove what was done of one file."""
        if self.folder and self.one:
            self.folder.remove()


def _opened(folder: Folder, parts: Iterable[str]) -> Iterator[BinaryIO]:
    for part in parts:
        with folder.store.reading(folder.file(part)) as file:
            yield file
