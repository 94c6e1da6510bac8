"""One fit by several processes, a process for each device, which Lightning's DDP holds together.

They are started here and not by Lightning: its ``ddp`` runs the whole command again in each process, which
reads the data and writes the files as often; ``ddp_fork`` copies a process that has threads, which may stand
still, and cannot use CUDA; ``ddp_spawn`` returns when all is done, so that nobody sees how far it is, and
shares the network's memory between processes. Where one fails, the others wait for it: so all are ended.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from router_model.errors import ProcessError, RouterModelError, one_line
from router_model.workers import end_with_parent

logger = logging.getLogger(__name__)

Say = Callable[..., None]
Work = Callable[[int, Say], None]  # the process's rank, and what sends words to the one that started it
DONE = "done"
SECONDS = 2.0  # in which the failure of one process has made all others fail that it will


@dataclass(frozen=True)
class _Failure:
    """Why a process ends, and when, by the clock that all share."""

    at: float
    error: RouterModelError


def together(work: Work, count: int, backend: str, heard: Say | None = None) -> None:
    """Run ``work`` in ``count`` processes that torch.distributed joins; ``heard`` is given what they say.

    ``work`` is sent to them, and returns nothing: what it finds is left in a file. It should hold arrays and
    no tensors, which torch would put in shared memory, of which containers have little.

    Raises:
        RouterModelError: the first that one of them raised.
        ProcessError: one of them raised another error, or was ended from outside.
    """
    context = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = []
    pipes: list[Connection] = []
    with TemporaryDirectory() as folder:
        try:
            for rank in range(count):
                ours, theirs = context.Pipe()
                task = (theirs, rank, count, backend, str(Path(folder, "ranks")))
                processes.append(context.Process(target=_serve, args=task, daemon=True))
                processes[-1].start()
                theirs.close()
                pipes.append(ours)
            for (
                pipe
            ) in pipes:  # not as an argument: one that ends before it has read that is waited for in vain
                _send(pipe, work)
            _listen(processes, pipes, heard)
        finally:
            for process in processes:
                process.kill()  # one that waits for another within torch hears nothing milder
                process.join()
            for pipe in pipes:
                pipe.close()


def _send(pipe: Connection, work: Work) -> None:
    try:
        pipe.send(work)
    except OSError:
        logger.debug("a process ended before it had its work")  # _listen says so, and why


def _listen(processes: list[BaseProcess], pipes: list[Connection], heard: Say | None) -> None:
    """Until all are done; raises what made the first of them fail."""
    busy = list(pipes)
    while busy:
        for pipe in cast(list[Connection], wait(busy)):
            said = _receive(pipe)
            if said == DONE:
                busy.remove(pipe)
            elif isinstance(said, tuple):
                if heard:
                    heard(*said)
            else:
                busy.remove(pipe)
                failed = {pipes.index(pipe): said} | _failures(busy, pipes)
                raise _cause(failed, processes)


def _receive(pipe: Connection) -> Any:
    """A message; None where the process is gone."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _failures(busy: list[Connection], pipes: list[Connection]) -> dict[int, Any]:
    """What the others say last, by rank, where one has failed."""
    last = {}
    while busy and (ready := cast(list[Connection], wait(busy, SECONDS))):
        for pipe in ready:
            said = _receive(pipe)
            if not isinstance(said, tuple):
                busy.remove(pipe)
                last[pipes.index(pipe)] = said
    return last


def _cause(failed: dict[int, Any], processes: list[BaseProcess]) -> Exception:
    """Of all failures the one that came of itself: the other processes only lost touch with it."""
    failures = [said for said in failed.values() if isinstance(said, _Failure)]
    errors = [failure.error for failure in sorted(failures, key=lambda failure: failure.at)]
    gone = [_ended(rank, processes) for rank, said in failed.items() if said is None]
    raised = [error for error in errors if not isinstance(error, ProcessError)]
    return (raised + gone + errors)[0]


def _ended(rank: int, processes: list[BaseProcess]) -> ProcessError:
    process = processes[rank]
    process.join(SECONDS)
    status = process.exitcode or 0
    what = f"process {rank + 1} of {len(processes)}"
    if status < 0:
        return ProcessError(
            f"{what} was ended by {signal.Signals(-status).name}, for lack of memory perhaps; give fewer "
            "--devices or a smaller --batch-size, or start the same run again, which goes on from here"
        )
    return ProcessError(
        f"{what} ended with status {status}, for the reason that it printed; a script that trains on several "
        'devices has to do so below: if __name__ == "__main__":'
    )


def _serve(pipe: Connection, rank: int, count: int, backend: str, meeting: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started this ends it
    threading.Thread(target=end_with_parent, daemon=True).start()
    # Read by Lightning, which then starts no processes of its own, and knows who this is.
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(count)}
    if rank:  # one speaks for all
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
    name = f"process {rank + 1} of {count}"
    try:
        work: Work = pipe.recv()
        _join(rank, count, backend, meeting)
        work(rank, partial(_say, pipe))
        _leave()
        pipe.send(DONE)
    except RouterModelError as error:
        pipe.send(_Failure(time.monotonic(), error))
    except Exception as error:
        failure = ProcessError(f"{name} failed: {type(error).__name__}: {one_line(error)}")
        failure.add_note(traceback.format_exc())
        pipe.send(_Failure(time.monotonic(), failure))


def _say(pipe: Connection, *words: Any) -> None:
    pipe.send(words)


def _join(rank: int, count: int, backend: str, meeting: str) -> None:
    """Meet the others by a file, for a port may be taken by the time that it is used."""
    import torch

    if backend == "nccl":
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        backend, init_method=f"file://{meeting}", rank=rank, world_size=count
    )


def _leave() -> None:
    import torch

    torch.distributed.destroy_process_group()
