"""Speed and memory of ``router-model label`` on a Parquet file of prompts, beside what a user would write.

    python benchmarks/label.py ROUTER.onnx PROMPTS.jsonl ... > label.json
    python benchmarks/label.py ROUTER.onnx PROMPTS.jsonl ... --times 10 --workers 2 --yardsticks '' > ten.json

The file holds the prompts of the logs given, over and over in other orders, each row with a salt of words of
its own. The command runs as a user starts it, once per number of workers and round; rounds alternate with the
yardsticks, so that a busy moment of the machine falls on all. Figures of the command are end to end, from the
start of the process to its end; those of the yardsticks leave import and load out. Times are medians of
rounds, memory is the highest of all. ``--times N`` also labels a file N times as long with the last number of
workers, once. Afterwards labels of rows drawn at random are compared with ``Router.route``.

A million rows take some 220 MB, and their labelled copy as much again; both are deleted, but the input where
``--folder`` keeps it for the next run. What was just written is read from the system's cache of files as far
as that goes. It needs Linux; leave the machine to it.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
from label_check import check
from label_input import Source, make, read_sources
from label_yardsticks import YARDSTICKS
from peers import progress
from processes import Run, run

from router_model.bench.fresh import machine

LABEL = (sys.executable, "-m", "router_model.cli", "label")
YARDSTICK = (sys.executable, str(Path(__file__).with_name("label_yardsticks.py")))


@dataclass
class Measured:
    """Runs of one command over the same rows."""

    rows: int
    runs: list[Run] = field(default_factory=list)
    output_rows: int = 0
    output_mb: float = 0.0

    @property
    def seconds(self) -> float:
        """Of the whole process, the median of runs."""
        return statistics.median(one.seconds for one in self.runs)

    @property
    def per_second(self) -> float:
        """Rows a second, end to end."""
        return self.rows / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """For the result."""
        return {
            "rows_per_second": round(self.per_second),
            "seconds": round(self.seconds, 2),
            "seconds_of_runs": [round(one.seconds, 2) for one in self.runs],
            "cpu_seconds": round(statistics.median(one.cpu_seconds for one in self.runs), 2),
            "watching_cpu_seconds": round(
                statistics.median(one.watching_cpu_seconds for one in self.runs), 2
            ),
            **peaks(self.runs),
            "missing_rows": self.rows - self.output_rows,
            "output_mb": round(self.output_mb, 1),
        }


def peaks(runs: Sequence[Run]) -> dict[str, float]:
    """The highest memory of all runs."""
    return {
        "peak_rss_mb": round(max(one.peak_rss_mb for one in runs), 1),
        "peak_pss_mb": round(max(one.peak_pss_mb for one in runs), 1),
    }


def label(router: str, source: Path, output: Path, workers: int, measured: Measured) -> None:
    """Run the command once more, into a folder that is emptied first."""
    shutil.rmtree(output, ignore_errors=True)
    os.sync()  # what is still to be written would be written during the run
    options = ["--output", str(output), "--workers", str(workers), "--json"]
    measured.runs.append(run([*LABEL, router, str(source), *options]))
    labels = ds.dataset(output, format="parquet")
    measured.output_rows = labels.count_rows()
    measured.output_mb = sum(Path(file).stat().st_size for file in labels.files) / 1e6
    progress(f"{measured.rows} rows, workers {workers}: {measured.runs[-1].seconds:.1f} s")


def label_yardstick(
    name: str, router: str, source: Path, folder: Path, rows: int
) -> tuple[Run, dict[str, Any]]:
    """Run a yardstick once, and what it says."""
    target = folder / "yardstick.parquet"
    done = run([*YARDSTICK, name, router, str(source), str(target), str(rows)])
    target.unlink(missing_ok=True)
    found: dict[str, Any] = json.loads(done.output)
    progress(f"{name}: {found.get('unavailable') or found['rows_per_second']}")
    return done, found


def yardstick_summary(
    name: str, runs: Sequence[tuple[Run, dict[str, Any]]], labels: dict[int, Measured]
) -> dict[str, Any]:
    """Its figures, and how many times faster the command is."""
    last = runs[-1][1]
    if "unavailable" in last:
        return last
    rate = statistics.median(found["rows_per_second"] for _, found in runs)
    return {
        "does": YARDSTICKS[name].does,
        "rows": last["rows"],
        "rows_per_second": round(rate, 1),
        "import_and_load_s": round(statistics.median(found["import_and_load_s"] for _, found in runs), 2),
        **peaks([one for one, _ in runs]),
        "times_faster": {workers: round(one.per_second / rate, 1) for workers, one in labels.items()},
        "versions": last["versions"],
    }


def describe(path: Path) -> dict[str, Any]:
    """What the input is."""
    found = pq.read_metadata(path)
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    return {
        "rows": found.num_rows,
        "row_groups": found.num_row_groups,
        "mb": round(path.stat().st_size / 1e6, 1),
        "uncompressed_mb": round(sum(group.total_byte_size for group in groups) / 1e6, 1),
    }


def longer(router: str, source: Path, output: Path, workers: int, base: Measured) -> dict[str, Any]:
    """The command on a file many times as long, and what that is to the usual one."""
    measured = Measured(pq.read_metadata(source).num_rows)
    label(router, source, output, workers, measured)
    usual, long = peaks(base.runs), peaks(measured.runs)
    return {
        "workers": workers,
        "input": describe(source),
        **measured.to_dict(),
        "time_ratio": round(measured.seconds / base.seconds, 2),
        **{f"{name.removesuffix('_mb')}_ratio": round(long[name] / usual[name], 3) for name in usual},
    }


def measure(arguments: argparse.Namespace, folder: Path, scratch: Path) -> dict[str, Any]:
    """All of it; inputs are made in ``folder`` and outputs in ``scratch``."""
    router, sources, output = arguments.router, read_sources(arguments.prompts), scratch / "labels"
    source = made(folder, sources, arguments.rows, arguments.row_group)
    labels = {workers: Measured(arguments.rows) for workers in arguments.workers}
    beside: dict[str, list[tuple[Run, dict[str, Any]]]] = {name: [] for name in arguments.yardsticks}
    for _ in range(arguments.repeats):
        for name, rows in arguments.yardsticks.items():
            beside[name].append(label_yardstick(name, router, source, scratch, rows))
        for workers, measured in labels.items():
            label(router, source, output, workers, measured)
    result = {
        "machine": machine() | {"pyarrow": version("pyarrow"), "usable_cores": len(os.sched_getaffinity(0))},
        "repeats": arguments.repeats,
        "input": {"distinct_prompts": len(sources), **describe(source)},
        "workers": {workers: measured.to_dict() for workers, measured in labels.items()},
        "efficiency": efficiency(labels),
        "yardsticks": {name: yardstick_summary(name, runs, labels) for name, runs in beside.items()},
        "against_route": check(router, source, output, arguments.sample),
    }
    if arguments.times > 1:
        source = made(folder, sources, arguments.rows * arguments.times, arguments.row_group)
        result["longer"] = longer(router, source, output, workers, labels[workers])
    return result


def made(folder: Path, sources: Sequence[Source], rows: int, group: int) -> Path:
    """The input, and a word to who waits for it."""
    progress(f"making {rows} rows in {folder}")
    path = make(folder, sources, rows, group)
    progress(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB, and as much for the labelled copy")
    return path


def efficiency(labels: dict[int, Measured]) -> dict[int, float]:
    """Rate with W workers over W times the rate with one, where one was run."""
    if 1 not in labels:
        return {}
    one = labels[1].per_second
    return {workers: round(found.per_second / (workers * one), 3) for workers, found in labels.items()}


def yardstick_rows(text: str) -> dict[str, int]:
    """``loop:200000,minilm:2048`` to rows by name."""
    pairs = [part.split(":") for part in text.split(",") if part]
    if any(name not in YARDSTICKS for name, *_ in pairs):
        raise argparse.ArgumentTypeError(f"{text}: give NAME:ROWS of {', '.join(YARDSTICKS)}, or ''")
    return {name: int(rows) for name, rows in pairs}


def counts(text: str) -> list[int]:
    """``1,2`` to numbers."""
    return [int(part) for part in text.split(",")]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("router", metavar="ROUTER.onnx")
    add("prompts", nargs="+", metavar="PROMPTS.jsonl", help="logs whose prompts fill the input")
    add("--rows", type=int, default=2_000_000, help="of the input (2000000)")
    add("--row-group", type=int, default=131_072, metavar="ROWS", help="of a row group (131072)")
    add("--workers", type=counts, default=[1, 2], metavar="W,...", help="numbers of workers to run (1,2)")
    add("--repeats", type=int, default=3, help="rounds, of which times are medians (3)")
    add("--times", type=int, default=1, metavar="N", help="also label a file N times as long, once")
    add(
        "--yardsticks",
        type=yardstick_rows,
        default="loop:200000,minilm:2048",
        metavar="NAME:ROWS,...",
        help="what to run beside it, over the first rows (loop:200000,minilm:2048); '' for none",
    )
    add("--sample", type=int, default=10_000, metavar="ROWS", help="to compare with Router.route (10000)")
    add("--folder", type=Path, help="keep the input here and take it again; a temporary folder otherwise")
    return parser.parse_args()


def main() -> None:
    """Print one JSON object."""
    arguments = parse()
    if arguments.folder:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        try:
            result = measure(arguments, arguments.folder or Path(scratch), Path(scratch))
        except subprocess.CalledProcessError as error:
            sys.exit(f"{' '.join(error.cmd)}: ended with status {error.returncode}")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
