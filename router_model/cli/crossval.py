"""``router-model crossval``."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from router_model.cli.options import (
    FILE,
    json_option,
    ladder_option,
    skip_bad_option,
    train_options,
    training_inputs,
)
from router_model.terminal import echo_json, progress


@click.command()
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
    config, ladder, base = training_inputs(ladder_path, base_path, settings)

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
