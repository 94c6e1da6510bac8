"""The command line: each command a thin call of a public function.

Results go to standard output, as one JSON object with ``--json``; everything else to standard error. Exit
status: 0 done, 1 the work failed, 2 the request for it was wrong.
"""

import dataclasses
import errno
import io
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from router_model.errors import RouterModelError
from router_model.terminal import echo_json, progress

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on standard output."
)
skip_bad_option = click.option(
    "--skip-bad", is_flag=True, help="Count bad rows and go on, instead of stopping."
)
quality_option = click.option(
    "--quality", type=float, help="Keep this share of the strongest tier's quality."
)
budget_option = click.option(
    "--budget", type=float, help="Spend at most this share of the strongest tier's cost."
)
ladder_option = click.option("--ladder", "ladder_path", required=True, type=FILE, help="Tiers, YAML or JSON.")


class Commands(click.Group):
    """Commands whose expected errors end in one line on standard error and their exit status."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except RouterModelError as error:
            click.echo(f"router-model: {error}", err=True)
            context.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("router-model: interrupted", err=True)
            context.exit(1)
        except OSError as error:
            if error.errno == errno.EPIPE:  # a reader like head has seen enough; click ends quietly
                raise
            click.echo(f"router-model: standard output: {error.strerror or error}", err=True)
            context.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("router-model"), prog_name="router-model")
@click.option("--verbose", "-v", is_flag=True, help="Log what is going on to standard error.")
def main(verbose: bool) -> None:
    """Train, inspect and use learned routers for language models."""
    level = logging.INFO if verbose else logging.WARNING
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a prompt in another script must not end the run
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(message)s")


def train_options(command: Callable[..., None]) -> Callable[..., None]:
    """The settings of ``TrainConfig`` that both training commands take."""
    options = [
        click.option(
            "--seed", type=int, default=0, show_default=True, help="The same seed gives the same router."
        ),
        click.option(
            "--bar", type=float, default=0.5, show_default=True, help="Outcome from which an answer suffices."
        ),
        click.option(
            "--margin", type=float, help="Instead: suffices within this of the strongest tier's outcome."
        ),
        click.option(
            "--epochs", type=int, default=12, show_default=True, help="Passes over the data at most."
        ),
        click.option("--batch-size", type=int, default=128, show_default=True, help="Prompts per step."),
        click.option(
            "--learning-rate", type=float, default=2e-3, show_default=True, help="Of the dense layers."
        ),
        click.option(
            "--max-tokens", type=int, default=512, show_default=True, help="Window of tokens per prompt."
        ),
        click.option(
            "--resamples", type=int, default=2000, show_default=True, help="Of each bootstrap interval."
        ),
        click.option("--base", "base_path", type=FILE, help="Base encoder; the one that ships by default."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.argument("data", nargs=-1, required=True, type=FILE)
@ladder_option
@click.option("--out", required=True, type=FILE, help="The artifact to write.")
@click.option("--quality", type=float, default=0.95, show_default=True, help="The artifact's default dial.")
@click.option("--report", type=FOLDER, help="Folder for a page with plots.")
@train_options
@skip_bad_option
@json_option
def train(
    data: tuple[Path, ...],
    ladder_path: Path,
    out: Path,
    report: Path | None,
    base_path: Path | None,
    skip_bad: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a router on the records of DATA and write one ONNX file."""
    from router_model.base import Base
    from router_model.ladder import Ladder
    from router_model.training.config import TrainConfig

    config, ladder = TrainConfig(**settings), Ladder.read(ladder_path)
    base = Base.read(base_path) if base_path else None

    # Below the checks, for these bring torch: a wrong request is to be refused at once.
    from router_model.training.evaluation.table import render
    from router_model.training.train import train as run

    with progress("training") as stage_done:
        trained = run(
            data, ladder, out, config, base=base, report=report, skip_bad=skip_bad, stage_done=stage_done
        )
    if as_json:
        return echo_json(dataclasses.asdict(trained))
    click.echo(render(trained.evaluation))
    click.echo(f"\nguard: {trained.guard['message']}")
    click.echo(
        f"{trained.out}: {trained.bytes / 1e6:.1f} MB, {trained.precision}, from {trained.rows} rows "
        f"in {trained.groups} groups, {trained.seconds:.0f} s"
    )
    if trained.report:
        click.echo(f"report: {trained.report}")
    return None


@main.command()
@click.argument("router_path", metavar="ROUTER", type=FILE)
@click.argument("data", nargs=-1, required=True, type=FILE)
@click.option(
    "--ladder", "ladder_path", type=FILE, help="Models of the data per tier; the router's own by default."
)
@click.option("--resamples", type=int, default=2000, show_default=True, help="Of each bootstrap interval.")
@skip_bad_option
@json_option
def evaluate(
    router_path: Path,
    data: tuple[Path, ...],
    ladder_path: Path | None,
    resamples: int,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Measure ROUTER on the labelled records of DATA."""
    from router_model.ladder import Ladder
    from router_model.router import Router
    from router_model.training.config import TrainConfig
    from router_model.training.evaluation.evaluate import evaluate as run
    from router_model.training.evaluation.table import render

    ladder = Ladder.read(ladder_path) if ladder_path else None
    router = Router.load(router_path)
    found = run(router, data, ladder, TrainConfig(resamples=resamples), skip_bad=skip_bad)
    guard = router.artifact.manifest.guard
    if as_json:
        return echo_json({**dataclasses.asdict(found), "guard": guard})
    click.echo(render(found))
    return click.echo(f"\nguard: {guard['message']}")


@main.command()
@click.argument("data", nargs=-1, required=True, type=FILE)
@ladder_option
@click.option(
    "--folds", "count", type=click.IntRange(2, 20), default=5, show_default=True, help="Parts, by group."
)
@click.option("--predictions", type=FILE, help="Write each row's held-out prediction, JSON Lines.")
@train_options
@skip_bad_option
@json_option
def crossval(
    data: tuple[Path, ...],
    ladder_path: Path,
    count: int,
    predictions: Path | None,
    base_path: Path | None,
    skip_bad: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Cross-validate the whole of training on the records of DATA."""
    from router_model.base import Base
    from router_model.ladder import Ladder
    from router_model.training.config import TrainConfig

    config, ladder = TrainConfig(**settings), Ladder.read(ladder_path)
    base = Base.read(base_path) if base_path else None

    from router_model.training.evaluation.crossval import crossval as run
    from router_model.training.evaluation.crossval import write_predictions
    from router_model.training.evaluation.table import render

    with progress("cross-validating") as stage_done:
        found = run(data, ladder, count, config, base=base, skip_bad=skip_bad, stage_done=stage_done)
    if predictions:
        write_predictions(predictions, found.predictions)
    return (
        echo_json(dataclasses.asdict(found.evaluation)) if as_json else click.echo(render(found.evaluation))
    )


@main.command()
@click.argument("router_path", metavar="ROUTER", type=FILE)
@click.argument("prompts", nargs=-1)
@click.option("--input", "source", type=FILE, help="File of prompts; standard input where none is given.")
@click.option("--lines", is_flag=True, help="Each line of the input is a prompt, instead of the whole.")
@quality_option
@budget_option
@json_option
def route(
    router_path: Path,
    prompts: tuple[str, ...],
    source: Path | None,
    lines: bool,
    quality: float | None,
    budget: float | None,
    as_json: bool,
) -> None:
    """Choose a tier for PROMPTS, for a file, or for standard input."""
    from router_model import table
    from router_model.router import Router

    router = Router.load(router_path)
    texts = list(prompts) or read_prompts(source, lines)
    router.route(texts[0], quality=quality, budget=budget)  # the first call of a process pays for its warm-up
    decisions, seconds = [], []
    for text in texts:
        started = time.perf_counter()
        decisions.append(router.route(text, quality=quality, budget=budget))
        seconds.append(time.perf_counter() - started)
    microseconds = statistics.median(seconds) * 1e6
    if as_json:
        rows = [
            {"prompt": text, **decision.to_dict(), "why": decision.why}
            for text, decision in zip(texts, decisions, strict=True)
        ]
        return echo_json({"decisions": rows, "median_microseconds": round(microseconds, 1)})
    click.echo(table.decisions(texts, decisions))
    size = router_path.stat().st_size / 1e6
    click.echo(
        f"\n{len(texts)} prompts, {microseconds:.0f} microseconds each (median); {router_path}: {size:.1f} MB"
    )
    return None


@main.command()
@click.argument("router_path", metavar="ROUTER", type=FILE)
@click.argument("source", metavar="INPUT", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--output", "-o", default="-", type=click.Path(dir_okay=False, allow_dash=True), help="JSON Lines."
)
@quality_option
@budget_option
@skip_bad_option
@json_option
def label(
    router_path: Path,
    source: str,
    output: str,
    quality: float | None,
    budget: float | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Route every row of INPUT, JSON Lines, in bounded memory."""
    from router_model.router import Router
    from router_model.serving.batch import label as run

    if as_json and output == "-":
        raise click.UsageError("--json and rows both want standard output; name a file with --output")
    router = Router.load(router_path)
    with progress("labelling", of=None) as stage_done:
        done = run(
            router,
            source,
            output,
            quality=quality,
            budget=budget,
            skip_bad=skip_bad,
            rows_done=lambda rows: stage_done(f"{rows} rows", 0.0),
        )
    if as_json:
        return echo_json(dataclasses.asdict(done))
    shares = ", ".join(f"{name} {rows}" for name, rows in done.tiers.items())
    return click.echo(f"{done.rows} rows labelled, {done.bad_rows} skipped: {shares}", err=True)


@main.command()
@click.argument("router_path", metavar="ROUTER", type=FILE)
@json_option
def inspect(router_path: Path, as_json: bool) -> None:
    """Show what an artifact holds: tiers, guard, operating curve, figures, versions."""
    from router_model import table
    from router_model.router import Router

    artifact = Router.load(router_path).artifact
    if not as_json:
        return click.echo(table.artifact(artifact))
    manifest = json.loads(artifact.manifest.to_json())
    manifest["tokenizer"] = f"{len(manifest['tokenizer'])} characters"
    return echo_json({"fingerprint": artifact.fingerprint, "bytes": len(artifact.content), **manifest})


@main.command()
@click.argument("router_path", metavar="ROUTER", type=FILE)
@click.option(
    "--prompts", "paths", multiple=True, type=FILE, help="Records to time; the starter corpus else."
)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Of each figure.")
@click.option(
    "--count", type=click.IntRange(10, 100_000), default=1000, show_default=True, help="Prompts of a kind."
)
@click.option(
    "--junk",
    type=click.IntRange(0),
    default=1_000_000,
    show_default=True,
    help="Prompts before memory is read.",
)
@click.option(
    "--yardsticks/--no-yardsticks", default=True, show_default=True, help="Compare; needs [distill]."
)
@json_option
def bench(
    router_path: Path,
    paths: tuple[Path, ...],
    rounds: int,
    count: int,
    junk: int,
    yardsticks: bool,
    as_json: bool,
) -> None:
    """Time decisions of ROUTER here: per length, hostile requests, stages, throughput, load, memory."""
    from router_model import table
    from router_model.bench.bench import bench as run
    from router_model.bench.requests import real
    from router_model.data.corpus import starter_paths
    from router_model.router import Router

    calls, missing = compared(Router.load(router_path)) if yardsticks else ({}, {})
    with progress("timing") as stage_done:
        result = run(
            router_path,
            {"real mix": real(paths or starter_paths(), count)},
            calls,
            rounds=rounds,
            count=count,
            junk=junk,
            done=stage_done,
        )
    result["yardsticks_missing"] = missing
    return echo_json(result) if as_json else click.echo(table.bench(result))


@main.command()
@click.option(
    "--model", default="sentence-transformers/all-MiniLM-L6-v2", show_default=True, help="Name or folder."
)
@click.option("--dimension", type=int, default=192, show_default=True, help="Columns of the table.")
@click.option("--out", required=True, type=FILE, help="The base encoder to write, .npz.")
@json_option
def distill(model: str, dimension: int, out: Path, as_json: bool) -> None:
    """Distil a sentence-transformers model to a base encoder that training starts from."""
    from router_model.training.distill import distill as run

    with progress("distilling") as stage_done:
        base = run(model, dimension, lambda done, of: stage_done("vocabulary", done / of))
    base.write(out)
    size, shape = out.stat().st_size, list(base.table.shape)
    if as_json:
        return echo_json({"out": str(out), "bytes": size, "source": base.source, "shape": shape})
    return click.echo(f"{out}: {size / 1e6:.1f} MB, {shape[0]} tokens by {shape[1]}, from {base.source}")


@main.group()
def datasets() -> None:
    """Data that ships with the package."""


@datasets.command()
@click.option("--out", required=True, type=FOLDER, help="Folder for train.jsonl, test.jsonl and ladder.json.")
@click.option(
    "--test", "share", type=click.FloatRange(0.05, 0.5), default=0.2, show_default=True, help="Held out."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split.")
@json_option
def starter(out: Path, share: float, seed: int, as_json: bool) -> None:
    """Write the starter corpus, split by group: prompts labelled by judgement, not measured outcomes."""
    from router_model.data.corpus import write_starter

    rows = write_starter(out, share, seed)
    if as_json:
        return echo_json({"out": str(out), **rows})
    return click.echo(f"{out}: {rows['train']} rows to train on, {rows['test']} held out")


def compared(router: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The yardsticks that can be run here, and why the others cannot."""
    try:
        from router_model.training import yardsticks
    except (ImportError, RouterModelError) as error:
        return {}, {"all": str(error)}
    makers = {
        "hugging_face_float32": lambda: yardsticks.hugging_face_float32(router),
        "numpy": lambda: yardsticks.numpy_floor(router),
        "minilm_int8": yardsticks.minilm_int8,
    }
    calls, missing = {}, {}
    for name, make in makers.items():
        try:
            calls[name] = make()
        except (ImportError, RouterModelError) as error:
            missing[name] = str(error)
    return calls, missing


def read_prompts(source: Path | None, lines: bool) -> list[str]:
    """Prompts of a file or of standard input; undecodable bytes are replaced."""
    from router_model.errors import FileError, PromptError
    from router_model.files import read_file

    if not (source or sys.stdin):
        raise FileError("standard input is closed; give prompts or --input")
    raw = read_file(source, 64 << 20) if source else sys.stdin.buffer.read()
    text = raw.decode("utf-8", "replace")
    prompts = [line for line in text.splitlines() if line.strip()] if lines else [text]
    if not prompts:
        raise PromptError("the input holds no prompt; give at least one line")
    return prompts


if __name__ == "__main__":
    main()
