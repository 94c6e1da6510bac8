"""Work shared out to processes.

A process holds one task at a time. When the one that started it is gone, by a kill too, it ends at once, so
that it does not write what the next run writes.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

from router_model.errors import DataError

ENDED = "a worker process was ended from outside; give more memory or fewer --workers"
Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task], processes: int) -> Iterator[Result]:
    """``work`` of each task, as ``map`` does it; here where there is one process.

    ``work``, tasks and results are sent between processes, so they must pickle. Memory holds a task and a
    result a process.

    Raises:
        DataError: a process was ended from outside, as by a lack of memory.
    """
    return _shared(work, tasks, processes, lambda busy: busy[0])


def as_done(work: Callable[[Task], Result], tasks: Iterable[Task], processes: int) -> Iterator[Result]:
    """As ``in_order``, but each result as soon as it is there, so that no process waits for a slower one."""
    return _shared(work, tasks, processes, lambda busy: cast(Connection, wait(busy)[0]))


def _shared(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    processes: int,
    next_of: Callable[[Sequence[Connection]], Connection],
) -> Iterator[Result]:
    """``next_of`` says which of the busy processes is heard next."""
    if processes <= 1:
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may stand still
    started: list[BaseProcess] = []
    idle: list[Connection] = []
    busy: list[Connection] = []
    try:
        for _ in range(processes):
            ours, theirs = context.Pipe()
            started.append(context.Process(target=_serve, args=(theirs,), daemon=True))
            started[-1].start()
            theirs.close()
            idle.append(ours)
        for pipe in idle:  # not as an argument: one that ends before it has read that is waited for in vain
            _send(pipe, work)
        for task in tasks:
            done: list[Result] = []
            if not idle:
                idle.append(next_of(busy))
                busy.remove(idle[0])
                done.append(_receive(idle[0]))
            _send(idle[0], task)
            busy.append(idle.pop(0))
            yield from done
        while busy:
            pipe = next_of(busy)
            busy.remove(pipe)
            idle.append(pipe)
            yield _receive(pipe)
    finally:
        for pipe in (*idle, *busy):
            pipe.close()
        for process in started:
            process.terminate()
            process.join()


def _send(pipe: Connection, task: Any) -> None:
    try:
        pipe.send(task)
    except OSError:
        raise DataError(ENDED) from None


def _receive(pipe: Connection) -> Any:
    try:
        result = pipe.recv()
    except (EOFError, OSError):
        raise DataError(ENDED) from None
    if isinstance(result, Exception):
        raise result
    return result


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started this ends it
    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        work = pipe.recv()
        while True:
            task = pipe.recv()
            try:
                result: Any = work(task)
            except Exception as error:
                result = error
            pipe.send(result)


def end_with_parent() -> None:
    """End this process when the one that started it is gone; waits for that."""
    parent = multiprocessing.parent_process()
    if parent:
        wait([parent.sentinel])
        os._exit(1)
