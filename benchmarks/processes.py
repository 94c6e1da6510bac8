"""A command's time and memory, over all of its processes. It needs Linux."""

import os
import resource
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

SAMPLE_S = 0.1


@dataclass(frozen=True)
class Run:
    """What a command took.

    Attributes:
        seconds: from its start to its end.
        cpu_seconds: of all its processes, which a busy machine does not stretch.
        peak_rss_mb: the highest sum of resident memory, ten times a second; a page that processes share
            counts in each of them, so this is an upper bound.
        peak_pss_mb: the same with shared pages counted once (proportional set size).
        watching_cpu_seconds: what taking the samples cost, on the same cores.
        output: its standard output.
    """

    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    peak_pss_mb: float
    watching_cpu_seconds: float
    output: str


def run(command: Sequence[str]) -> Run:
    """Run a command and watch it.

    Raises:
        CalledProcessError: it ended with another status than 0; its standard error has been seen.
    """
    before, watched, began = _cpu_seconds(), time.process_time(), time.perf_counter()
    peak_rss = peak_pss = 0
    # To a file: a pipe that nobody reads until the end would stop a command that says much.
    with TemporaryFile("w+") as said, subprocess.Popen(command, stdout=said) as process:
        ended = os.pidfd_open(process.pid)  # waiting for it costs nothing, unlike ``Popen.wait`` with a limit
        while not select.select([ended], [], [], SAMPLE_S)[0]:
            rss, pss = memory(process.pid)
            peak_rss, peak_pss = max(peak_rss, rss), max(peak_pss, pss)
        seconds = time.perf_counter() - began
        os.close(ended)
        said.seek(0)
        output = said.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    cpu, watching = _cpu_seconds() - before, time.process_time() - watched
    return Run(seconds, cpu, peak_rss / 1e6, peak_pss / 1e6, watching, output)


def memory(root: int) -> tuple[int, int]:
    """Bytes of a process and all below it: resident, and proportional."""
    rss = pss = 0
    for process in _tree(root):
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            rss += int(rollup.split("Rss:")[1].split()[0]) * 1024
            pss += int(rollup.split("Pss:")[1].split()[0]) * 1024
        except (OSError, IndexError):  # it has ended
            continue
    return rss, pss


def _tree(root: int) -> Iterator[int]:
    waiting = [root]
    while waiting:
        process = waiting.pop()
        yield process
        for children in Path(f"/proc/{process}/task").glob("*/children"):  # a thread may have started some
            try:
                waiting += map(int, children.read_text().split())
            except OSError:  # it has ended
                continue


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
