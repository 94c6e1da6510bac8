"""A folder of labels: files by the part of the log that they label, and what says which are done.

``_label/run.json`` holds the settings of the run; ``_label/PART.json`` is written after the part's file and
says that it is whole, of which source it is, and what was counted. What is not said to be done is not.
"""

import dataclasses
import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from router_model.errors import ConfigError, FileError, OutputError
from router_model.serving.batch.counts import Counts
from router_model.serving.batch.inputs import STANDARD, Source
from router_model.serving.batch.parts import Part
from router_model.serving.batch.store import Store
from router_model.tally import Reason, Tally

if TYPE_CHECKING:
    from router_model.serving.batch.labeller import Done

NOTES = "_label"  # readers of folders pass over what begins with an underscore
RUN, LOCK = f"{NOTES}/run.json", f"{NOTES}/lock"
VERSION = 1  # of the notes, and of how sources are cut in parts


@dataclass(frozen=True)
class Finished:
    """A part that is done.

    Attributes:
        source: what it is of.
        size: bytes of the source that it stands for.
        counts: over its rows.
        tally: rows read, and refused by reason.
    """

    source: Source
    size: int
    counts: Counts
    tally: Tally


@dataclass(frozen=True)
class Folder:
    """One folder.

    Attributes:
        store: the place.
        ending: of its files of labels.
    """

    store: Store
    ending: str

    def file(self, part: str) -> str:
        """The file of a part's labels."""
        return f"{part}.{self.ending}"

    def check(self) -> None:
        """Raise ConfigError where the folder holds other files than labels; raises OutputError too."""
        if self.store.read(RUN) is None and any(
            not name.startswith(f"{NOTES}/") for name in self.store.names()
        ):
            raise ConfigError(f"{self.store.place}: holds files that are no labels; give an empty folder")

    def begin(
        self, settings: dict[str, Any], sources: Sequence[Source], overwrite: bool
    ) -> dict[str, Finished]:
        """The parts of ``sources`` that earlier runs with these settings finished, by name.

        Those of files that have changed go.

        Raises:
            ConfigError: the folder holds labels of other settings, and not to overwrite.
            FileError: it cannot be read or written.
        """
        ours = json.dumps({"version": VERSION, **settings}, sort_keys=True).encode()
        theirs = self.store.read(RUN)
        if theirs is not None:
            self.store.sweep()
        if theirs == ours:
            finished = dict(self._finished())
            for source in sources:
                self._forget(source, finished)
            names = {source.name for source in sources}
            return {part: done for part, done in finished.items() if done.source.name in names}
        if theirs is not None and not overwrite:
            raise ConfigError(
                f"{self.store.place}: holds labels of another router or other settings; "
                "give another folder, or --overwrite"
            )
        self.clear()
        self.store.write(RUN, ours)
        return {}

    def clear(self) -> None:
        """Remove all labels, what says that they are done first."""
        names = self.store.names()
        notes = [name for name in names if name.startswith(f"{NOTES}/") and name not in (RUN, LOCK)]
        for name in [*notes, *(name for name in names if not name.startswith(f"{NOTES}/"))]:
            self.store.delete(name)
        if RUN in names:
            self.store.delete(RUN)

    def remove(self) -> None:
        """Remove the folder."""
        self.clear()
        self.store.remove()

    def _forget(self, source: Source, finished: dict[str, Finished]) -> None:
        for name, done in list(finished.items()):
            same = done.source == source and source.path != STANDARD  # of which nobody knows what it held
            if done.source.name != source.name or same:
                continue
            if done.source.path != source.path:
                raise ConfigError(
                    f"{self.store.place}: holds labels of {done.source.path} where those of {source.path} "
                    "belong; give another folder, or --overwrite"
                )
            self.store.delete(f"{NOTES}/{name}.json")
            self.store.delete(self.file(name))
            del finished[name]

    @contextmanager
    def writing(self, part: Part, done: "Done") -> Iterator[BinaryIO]:
        """The part's file; it is said to be done when the block ends well."""
        with self.store.writing(self.file(part.name)) as stream:
            yield stream
        note = {
            "source": dataclasses.asdict(part.source),
            "size": part.size,
            "counts": done.counts.to_dict(),
            "tally": dataclasses.asdict(done.tally),
        }
        self.store.write(f"{NOTES}/{part.name}.json", json.dumps(note).encode())

    def _finished(self) -> Iterator[tuple[str, Finished]]:
        names = set(self.store.names())
        for name in sorted(names):
            part = name.removeprefix(f"{NOTES}/").removesuffix(".json")
            if f"{NOTES}/{part}.json" == name and self.file(part) in names:
                yield part, self._note(name)

    def _note(self, name: str) -> Finished:
        try:
            note = json.loads(self.store.read(name) or b"")
            source, counts = Source(**note["source"]), Counts.from_dict(note["counts"])
            return Finished(source, int(note["size"]), counts, _tally(note["tally"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, FileError):
            raise FileError(
                f"{self.store.uri(name)}: cannot be read; delete it, and its part is labelled again"
            ) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other process of this machine writes the folder until the block ends.

        Raises:
            FileError: one does.
        """
        if "://" in self.store.place:
            yield
            return
        path = Path(self.store.place) / LOCK
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.open("ab")
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror}; give a place that can be written") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    f"{self.store.place}: another process is writing it; wait or give another folder"
                ) from None
            yield


def _tally(value: dict[str, Any]) -> Tally:
    reasons = {
        key: {reason: Reason(int(of["count"]), list(of["examples"])) for reason, of in value[key].items()}
        for key in ("dropped", "refused")
    }
    return Tally(int(value["rows"]), int(value["records"]), **reasons)
