"""Label prompt logs: which tier each request needs, beside its own columns."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from router_model.artifact import Artifact
from router_model.errors import ConfigError, RecordError, RouterModelError
from router_model.serving.batch.columns import Columns, label_schema, refuse_labels, unified
from router_model.serving.batch.inputs import STANDARD, Source, sources
from router_model.serving.batch.labeller import Done, Labeller, Settings
from router_model.serving.batch.parts import Part, ordered, parts
from router_model.serving.batch.run import Run
from router_model.serving.batch.summary import Labelled
from router_model.serving.batch.target import Target
from router_model.workers import as_done, in_order

SMALL = 16 << 20  # bytes of logs for which starting processes does not pay

Engine = Literal["local", "ray"]
Progress = Callable[[Run], None]
Streams = dict[str, Iterator[Part]]  # of what can be read but once
Share = Callable[[Labeller, list[Source], Run, int | None], Generator[Done, None, None]]


def label(
    router: str | Path,
    inputs: Sequence[str | Path],
    output: str | Path,
    settings: Settings | None = None,
    *,
    format: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    engine: Engine = "local",
    progress: Progress | None = None,
) -> Labelled:
    """Label every row of the files that ``inputs`` name, with the decisions of ``Router.route``.

    Args:
        router: an artifact's path.
        inputs: Parquet, JSON Lines and CSV: paths, patterns, folders, URIs, "-" for standard input.
        output: a file by whose name its form is told, a folder, or "-" for standard output. A file appears
            when all is done; a folder gets a file for each part of the log. Run again after an
            interrupt, both go on from the parts that are done.
        settings: dial, columns, and what to do with what is bad.
        format: of a folder's files or of standard output; Parquet and JSON Lines where not given.
        workers: processes that label; as many as there are cores where not given.
        overwrite: replace what a folder holds of other settings.
        engine: "local", processes of this machine; or "ray", those of the Ray cluster that was joined, that
            ``RAY_ADDRESS`` names, or that is started here. All its machines must reach inputs and output.
        progress: called after each part.

    Raises:
        ConfigError: what is asked for does not go together; DialError among them.
        FileError: a file cannot be read or written; one of the log is left where errors are skipped.
        RecordError: a row is bad, and errors are not skipped.
        ArtifactError: ``router`` is not a usable artifact.
        MissingExtraError: Ray is not installed.
    """
    settings = settings or Settings()
    artifact = Artifact.read(router)
    point = artifact.manifest.policy().point(settings.quality, settings.budget)
    target = Target.of(str(output), format)
    target.check(inputs)
    if target.folder and not target.one:
        target.folder.check()
    found = sources(inputs)
    streams: Streams = {source.path: parts(source) for source in found if source.path == STANDARD}
    share = _engine(engine, streams, output)
    run = Run.of(artifact.manifest.ladder.names, settings, sum(source.size for source in found))
    columns = _columns(artifact, found, streams, settings, target, run)
    labeller = Labeller(artifact.content, settings, target.form, columns, target.folder, target.one)
    with target.folder.locked() if target.folder else nullcontext():
        if target.folder:
            run.resume(target.folder.begin(_identity(labeller, found), found, overwrite or target.one))
        target.start(columns)
        try:
            # Closed before what was done is removed, so that no process writes there any more.
            with closing(share(labeller, found, run, workers)) as several:
                for done in several:
                    run.add(done)
                    target.write(done.content)
                    if progress:
                        progress(run)
        except (RecordError, ConfigError):
            if not run.finished:
                target.discard()
            raise
        target.finish(ordered(run.finished, found), columns)
    return Labelled(
        out=str(output),
        rows=run.tally.records,
        bad_rows=sum(reason.count for reason in run.tally.refused.values()),
        tally=run.tally,
        failed=run.failed,
        counts=run.counts,
        seconds=time.monotonic() - run.began,
        router=artifact.fingerprint,
        dial=f"{point.dial}={point.value:g}",
        resumed_rows=run.resumed,
    )


def _engine(engine: Engine, streams: Streams, output: str | Path) -> Share:
    if engine == "local":
        return partial(_here, streams)
    if streams or str(output) == STANDARD:
        raise ConfigError("--engine ray: its processes reach no standard input or output; name files")
    from router_model.serving.batch.ray import labelled  # it needs an extra

    return labelled


def _here(
    streams: Streams, labeller: Labeller, found: list[Source], run: Run, workers: int | None
) -> Generator[Done, None, None]:
    share = as_done if labeller.folder else in_order
    with closing(_tasks(found, streams, run)) as tasks:
        yield from share(labeller, tasks, _processes(found, workers))


def _columns(
    artifact: Artifact, found: list[Source], streams: Streams, settings: Settings, target: Target, run: Run
) -> Columns:
    """The columns of the output, by the first rows of each source where a table needs them."""
    tiers, kept = artifact.manifest.ladder.names, settings.columns
    whole: pa.Schema | None = None
    if target.form.tabular:
        whole = unified(_schemas(found, streams, target.one, run), run.fail)
        if kept is None:
            refuse_labels(whole.names, label_schema(tiers), str(found[0].path))
        elif missing := [name for name in kept if name not in whole.names]:
            raise ConfigError(f"--columns {missing[0]}: no such column; there are {', '.join(whole.names)}")
        else:
            whole = pa.schema([whole.field(name) for name in kept])
    return Columns(tuple(tiers), artifact.fingerprint, kept, whole)


def _schemas(found: list[Source], streams: Streams, one: bool, run: Run) -> Iterator[tuple[str, pa.Schema]]:
    for source in found:
        try:
            if source.path in streams:
                first = next(streams[source.path], None)
                streams[source.path] = chain([first] if first else [], streams[source.path])
            else:
                with closing(parts(source)) as several:
                    first = next(several, None)
            schema = first.content.schema() if first else pa.schema([])
        except RouterModelError as error:
            run.fail(source.path, error)
            continue
        keys = [pa.field(key, pa.string()) for key in source.keys if one and key not in schema.names]
        yield source.path, pa.schema([*schema, *keys])


def _identity(labeller: Labeller, found: list[Source]) -> dict[str, Any]:
    """What labels depend on, beside the log; of one file, the log too."""
    settings, columns = labeller.settings, labeller.columns
    return {
        "router": columns.fingerprint,
        "settings": {name: wish for name, wish in asdict(settings).items() if name != "on_error"},
        "format": labeller.form.name,
        "columns": None if columns.read is None else [str(field) for field in columns.read],
        "log": [asdict(source) for source in found] if labeller.joined else None,
    }


def _tasks(found: list[Source], streams: Streams, run: Run) -> Generator[Part, None, None]:
    """The parts that have no labels yet."""
    for source in found:
        if run.left(source.path):
            continue
        try:
            for part in streams.get(source.path) or parts(source):
                if part.name not in run.finished:
                    yield part
        except RouterModelError as error:
            run.fail(source.path, error)


def _processes(found: list[Source], workers: int | None) -> int:
    if workers is not None:
        return workers
    if all("://" not in source.path for source in found) and sum(source.size for source in found) < SMALL:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
