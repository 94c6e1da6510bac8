"""A part of a log to a file of labels: what every process does, whoever started it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa

from router_model import prompt as prompts
from router_model.artifact import Artifact
from router_model.errors import DataError, PromptError, RecordError, RouterModelError, one_line
from router_model.prompt import Prompt
from router_model.router import Router
from router_model.serving.batch.blocks import Block, Objects, Table, requests
from router_model.serving.batch.columns import Columns, refuse_labels
from router_model.serving.batch.counts import MODEL, Counts, wanted
from router_model.serving.batch.folder import Folder
from router_model.serving.batch.forms import Form, Write
from router_model.serving.batch.logged import groups, input_tokens
from router_model.serving.batch.parts import Part
from router_model.tally import Tally

OnError = Literal["stop", "skip"]
REQUEST = ("prompt", "messages")
TOKENS = "input_tokens"


@dataclass(frozen=True)
class Settings:
    """What a caller wishes.

    Attributes:
        quality: the dial, as ``Router.route``.
        budget: the dial.
        columns: names of the input's columns to keep; all where None.
        prompt_column: the field that is routed; "prompt" or "messages" where None.
        by: columns that counts are also given by, beside tenant, task and day.
        on_error: "stop" at what is bad, or "skip" it.
    """

    quality: float | None = None
    budget: float | None = None
    columns: tuple[str, ...] | None = None
    prompt_column: str | None = None
    by: tuple[str, ...] | None = None
    on_error: OnError = "stop"


@dataclass
class Done:
    """What became of a part.

    Attributes:
        part: its name.
        path: its source.
        size: bytes of the source that it stands for.
        counts: over the rows that were labelled.
        tally: rows read, and refused by reason.
        error: why it has no labels.
        content: the labels, where there is no folder.
    """

    part: str
    path: str
    size: int
    counts: Counts
    tally: Tally = field(default_factory=Tally)
    error: RouterModelError | None = None
    content: bytes = b""


@dataclass(frozen=True)
class Labeller:
    """Called with a part, in any process, it writes its labels; it pickles, and so do parts and results.

    Attributes:
        artifact: the router's bytes.
        settings: what the caller wishes.
        form: of the labels.
        columns: of the labels.
        folder: where they are written; handed back where None.
        joined: the files become one: keys of the source's folders are columns, and CSV has no header.
    """

    artifact: bytes
    settings: Settings
    form: Form
    columns: Columns
    folder: Folder | None
    joined: bool

    def __call__(self, part: Part) -> Done:
        """Label one part."""
        counts = Counts.empty(self.columns.tiers, self.settings.by)
        done = Done(part.name, part.source.path, part.size, counts)
        try:
            with (
                self._file(part, done) as file,
                self.form.writing(file, self.columns, not self.joined) as write,
            ):
                for block in part.content.blocks(self._needed()):
                    self._label(block, part, write, done)
        except RouterModelError as error:
            done.error = error
        except pa.ArrowException as error:
            where = part.source.path
            done.error = DataError(f"{where}: cannot be labelled: {one_line(error)}; convert its columns")
        return done

    @contextmanager
    def _file(self, part: Part, done: Done) -> Iterator[BinaryIO]:
        if self.folder:
            with self.folder.writing(part, done) as file:
                yield file
            return
        buffer = BytesIO()
        yield buffer
        done.content = buffer.getvalue()

    def _needed(self) -> list[str] | None:
        """Columns to read of a table; all where None."""
        if self.settings.columns is None:
            return None
        field = self.settings.prompt_column
        return [*dict.fromkeys([*self.settings.columns, *([field] if field else REQUEST), *self._counted()])]

    def _counted(self) -> tuple[str, ...]:
        return (*wanted(self.settings.by), TOKENS)

    def _label(self, block: Block | RecordError, part: Part, write: Write, done: Done) -> None:
        if isinstance(block, RecordError):
            done.tally.rows += 1
            return self._refuse(block, str(block).partition(": ")[0], done)
        done.tally.rows += len(block)
        if isinstance(block, Table) and self.columns.kept is None:
            refuse_labels(block.batch.schema.names, self.columns.labels, part.source.path)
        read, kept = self._read(block, done)
        if len(kept) < len(block):
            block = block.take(np.array(kept, np.int64))
        if not read:
            return None
        settings = self.settings
        keyed = _with_keys(block, part.source.keys)
        decisions = _router(self.artifact).route_prompts(
            read, quality=settings.quality, budget=settings.budget, input_tokens=_input_tokens(keyed)
        )
        done.counts.add(decisions, {name: keyed.column(name) for name in self._counted()})
        done.tally.records += len(read)
        return write(keyed if self.joined else block, decisions)

    def _read(self, block: Block, done: Done) -> tuple[list[Prompt], list[int]]:
        """The prompts of the rows that can be labelled, and which they are."""
        read: list[Prompt] = []
        kept: list[int] = []
        for position, request in enumerate(requests(block, self.settings.prompt_column)):
            try:
                if isinstance(request, RecordError):
                    raise request
                prompt = prompts.read(request)
                if isinstance(block, Objects):
                    self.columns.check(block.rows[position], block.place(position))
            except PromptError as error:
                self._refuse(RecordError(f"{block.place(position)}: {error}"), block.place(position), done)
            except RecordError as error:
                self._refuse(error, block.place(position), done)
            else:
                read.append(prompt)
                kept.append(position)
        return read, kept

    def _refuse(self, error: RecordError, where: str, done: Done) -> None:
        if not str(error).startswith(where):
            error = RecordError(f"{where}: {error}")
        if self.settings.on_error == "stop":
            raise error
        done.tally.refuse(str(error), where)


def _input_tokens(block: Block) -> list[float | None] | None:
    """Of each row's request, as the log has them; None where it has none, or 0, as where nobody counted."""
    column = block.column(TOKENS)
    if column is None:
        return None
    told = input_tokens(column, groups(block.column(MODEL), len(block)))
    return [count if count > 0 else None for count in told.tolist()]


def _with_keys(block: Block, keys: dict[str, str]) -> Block:
    """Rows with what their source's folders say of them."""
    if not keys:
        return block
    if isinstance(block, Objects):
        return Objects(block.places, [{**keys, **row} for row in block.rows])
    batch = block.batch
    for name, value in keys.items():
        if name not in batch.schema.names:
            batch = batch.append_column(name, pa.repeat(value, len(block)))
    return Table(block.path, block.first, batch, block.numbers)


@lru_cache(maxsize=1)
def _router(artifact: bytes) -> Router:
    return Router(Artifact.parse(artifact))
