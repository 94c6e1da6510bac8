"""``router-model crossval``."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from router_model.cli.options import (
    FILE,
    FOLDER,
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
@click.option("--baselines", metavar="NAMES", help='Compare with these, by commas, or "all".')
@click.option(
    "--controls", is_flag=True, help="Also shuffle labels, judge by task, and leave out a task at a time."
)
@click.option("--report", type=FOLDER, help="Folder for a page with plots, baselines and the worst misses.")
@click.option("--keep-dominated", is_flag=True, help="Keep tiers that are dearer and worse than another.")
@click.option("--predictions", type=FILE, help="Write each row's held-out prediction, JSON Lines.")
@train_options
@skip_bad_option
@json_option
def crossval(
    data: tuple[Path, ...],
    ladder_path: Path,
    count: int,
    baselines: str | None,
    controls: bool,
    report: Path | None,
    keep_dominated: bool,
    predictions: Path | None,
    base_name: str | None,
    skip_bad: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Cross-validate the whole of training on the records of DATA."""
    config, ladder, base = training_inputs(ladder_path, base_name, settings)

    from router_model.training.evaluation.baselines import choose
    from router_model.training.evaluation.comparison_table import render_comparison, render_controls
    from router_model.training.evaluation.crossval import crossval as run
    from router_model.training.evaluation.crossval import write_predictions
    from router_model.training.evaluation.table import render

    names = choose(baselines) if baselines is not None else ()
    with progress("cross-validating") as stage_done:
        found = run(
            data,
            ladder,
            count,
            config,
            base=base,
            baselines=names,
            controls=controls,
            report=report,
            keep_dominated=keep_dominated,
            skip_bad=skip_bad,
            stage_done=stage_done,
        )
    if predictions:
        write_predictions(predictions, found.predictions)
    if as_json:
        whole = dataclasses.asdict(found)
        rest = {name: whole[name] for name in ("comparison", "controls", "report") if whole[name]}
        return echo_json({**whole["evaluation"], "dropped_tiers": whole["dropped_tiers"], **rest})
    click.echo(render(found.evaluation))
    if found.comparison:
        click.echo(f"\n{render_comparison(found.comparison)}")
    if found.controls:
        click.echo(f"\n{render_controls(found.controls)}")
    for tier in found.dropped_tiers:
        click.echo(f"dropped: {tier}")
    return click.echo(f"report: {found.report}") if found.report else None
