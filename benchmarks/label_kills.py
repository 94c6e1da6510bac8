"""Whether labelling that is killed and started again gives the rows of an unbroken run.

Labels the same rows once unbroken, and then over and over: ended by ``kill -9``, with its workers or without,
at a random moment of its time, and started again. Prints one JSON object.

    python benchmarks/label_kills.py ROUTER PROMPTS... --folder FOLDER > kills.json
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.dataset as dataset
from label_input import make, read_sources

KILLS = 10


def command(router: str, source: Path, output: Path) -> list[str]:
    """The command line."""
    label = [sys.executable, "-m", "router_model.cli", "label", router, str(source)]
    return [*label, "--output", str(output), "--workers", "2", "--json"]


def rows(folder: Path) -> pa.Table:
    """All rows, in the order of their ids: as sets they are equal where these are."""
    return dataset.dataset(folder).to_table().sort_by("id")


def killed(whole: list[str], after: float, workers_too: bool) -> bool:
    """Run a command and kill it after so many seconds; whether it was still at work."""
    with subprocess.Popen(
        whole, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL) if workers_too else process.kill()
            return True
        return False


def main() -> None:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("router")
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--row-group", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    source = make(arguments.folder, read_sources(arguments.prompts), arguments.rows, arguments.row_group)
    chance = random.Random(arguments.seed)  # noqa: S311  # no secret
    trials = []
    with TemporaryDirectory(dir=arguments.folder) as folder:
        began = time.monotonic()
        subprocess.run(
            command(arguments.router, source, Path(folder, "whole")), check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.monotonic() - began
        expected = rows(Path(folder, "whole"))
        for number in range(KILLS):
            output, after = Path(folder, str(number)), chance.uniform(0.2, seconds)
            whole = command(arguments.router, source, output)
            cut = killed(whole, after, workers_too=number % 2 == 0)
            done = json.loads(subprocess.run(whole, check=True, stdout=subprocess.PIPE).stdout)
            partial = [str(path) for path in output.rglob("*.partial")]
            equal = rows(output).equals(expected) and not partial
            trials.append(
                {
                    "after_s": round(after, 2),
                    "killed": cut,
                    "resumed_rows": done["resumed_rows"],
                    "equal": equal,
                }
            )
            print(trials[-1], file=sys.stderr)
    result = {"rows": expected.num_rows, "seconds": round(seconds, 2), "trials": trials}
    json.dump(result | {"all_equal": all(trial["equal"] for trial in trials)}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
