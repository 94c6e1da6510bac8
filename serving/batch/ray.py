"""Labelling on Ray: actors of Ray Data call the labeller, on this machine or on a cluster.

Actors read the log and write the labels, so through the driver go names and counts only.
"""

import logging
import os
from collections.abc import Generator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.errors import ConfigError, DataError, MissingExtraError, RouterModelError, one_line
from router_model.serving.batch.counts import Counts
from router_model.serving.batch.inputs import Source
from router_model.serving.batch.labeller import Done, Labeller
from router_model.serving.batch.parts import Part, parts
from router_model.serving.batch.run import Run
from router_model.sources import Kind, kind

if "RAY_ADDRESS" not in os.environ:
    # Ray reads it when it is imported. It keeps a Ray that is started here off other interfaces than the
    # loopback's, on any system: whoever reaches its ports runs what he likes.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
try:
    import ray
    import ray.data
    from ray.exceptions import RayError
except ModuleNotFoundError:
    raise MissingExtraError("--engine ray needs Ray: pip install 'router-model[ray]'") from None

QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}
PASSED_ON = ("ARROW_DEFAULT_MEMORY_POOL", "ORT_DISABLE_TELEMETRY")  # to the processes of a cluster


@dataclass(frozen=True)
class Rest:
    """A source but for the parts that have labels, read by the actor that labels it.

    Attributes:
        source: which.
        done: names of those parts.
    """

    source: Source
    done: frozenset[str] = frozenset()

    def parts(self) -> Iterator[Part]:
        """The others; raises as ``parts`` of a source does."""
        return (part for part in parts(self.source) if part.name not in self.done)


Piece = Part | Rest


def labelled(
    labeller: Labeller, found: Sequence[Source], run: Run, workers: int | None
) -> Generator[Done, None, None]:
    """What became of each part that has no labels yet, as it is done.

    The Ray that the caller has joined is used, or else the cluster at ``RAY_ADDRESS``; without either, Ray is
    started on this machine, and ended.

    Args:
        labeller: what to call; it has a folder.
        found: the sources.
        run: knows which parts are finished, and is told of sources that cannot be read.
        workers: actors, each on one core; as many as there are cores where not given.

    Raises:
        ConfigError: there is no cluster at ``RAY_ADDRESS``.
        DataError: Ray gave the work up.
    """
    pieces = [piece for source in found for piece in _pieces(source, run)]
    if not pieces:
        return
    with start(os.environ.get("RAY_ADDRESS"), workers):
        actors = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        try:
            yield from _shared(labeller, pieces, min(actors, len(pieces)))
        except RayError as error:
            raise DataError(f"Ray gave the work up: {one_line(error)}; its logs tell more") from error


def _pieces(source: Source, run: Run) -> Iterator[Piece]:
    """What is small to send: parts of Parquet, which are but descriptions, and other files whole."""
    if run.left(source.path):
        return
    try:
        if kind(source.path) is Kind.PARQUET:
            yield from Rest(source, frozenset(run.finished)).parts()
        else:
            yield Rest(source, frozenset(_of(source, run.finished)))
    except RouterModelError as error:
        run.fail(source.path, error)


def _of(source: Source, names: AbstractSet[str]) -> Iterator[str]:
    return (name for name in names if name.rpartition("-")[0] == source.name)


def _shared(labeller: Labeller, pieces: Sequence[Piece], actors: int) -> Iterator[Done]:
    """By actors that Ray Data starts again when they die, with the piece that they had: it is done again."""
    numbers = ray.data.from_items([{"piece": n} for n in range(len(pieces))], override_num_blocks=len(pieces))
    numbers.context.enable_progress_bars = False
    numbers.context.print_on_execution_start = False
    numbers.context.target_max_block_size = 1  # each result at once, not when the actor's piece is done
    results = numbers.map_batches(
        Actor,
        fn_constructor_args=(ray.put((labeller, pieces)), os.getcwd()),
        batch_size=1,
        # One piece at a time: a second would wait behind a long one while another actor has nothing to do.
        compute=ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=1),
        num_cpus=1,
    )
    for batch in results.iter_batches(batch_size=None, prefetch_batches=0):
        yield from batch["done"]


class Actor:
    """One process: it loads the router once, and labels one piece after another."""

    def __init__(self, work: Any, folder: str) -> None:
        """``work`` refers to the labeller and all pieces; relative paths begin at the driver's ``folder``."""
        with suppress(OSError):  # there need be no such folder where paths are absolute
            os.chdir(folder)
        self.labeller: Labeller
        self.pieces: Sequence[Piece]
        self.labeller, self.pieces = ray.get(work)

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Label the pieces whose numbers are in ``batch["piece"]``; each part gives a ``Done``."""
        for number in batch["piece"]:
            for done in self._done(self.pieces[number]):
                yield {"done": _column(done)}

    def _done(self, piece: Piece) -> Iterator[Done]:
        settings, tiers = self.labeller.settings, self.labeller.columns.tiers
        try:
            for part in [piece] if isinstance(piece, Part) else piece.parts():
                done = self.labeller(part)
                yield done
                if done.error and settings.on_error == "stop":
                    return
        except RouterModelError as error:
            source = piece.source
            yield Done(source.name, source.path, 0, Counts.empty(tiers, settings.by), error=error)


def _column(value: Any) -> NDArray[np.object_]:
    column = np.empty(1, object)
    column[0] = value
    return column


@contextmanager
def start(address: str | None, workers: int | None) -> Iterator[None]:
    """Join a cluster, or start a Ray of so many cores, or all, on this machine, until the block ends.

    Raises:
        ConfigError: there is no cluster at ``address``.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        if address:
            passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
            ray.init(address, runtime_env={"env_vars": passed_on}, **QUIET)
        else:
            here = {"num_cpus": workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            ray.init("local", **here, **QUIET)
    except (RayError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"Ray at {address or 'this machine'}: {one_line(error)}; name a running cluster with --address, "
            "or leave out both it and RAY_ADDRESS to start Ray here"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()
