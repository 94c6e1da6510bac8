"""``router-model train``."""

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
@click.option("--out", required=True, type=FILE, help="The artifact to write.")
@click.option("--quality", type=float, default=0.95, show_default=True, help="The artifact's default dial.")
@click.option("--report", type=FOLDER, help="Folder for a page with plots and the worst misses.")
@click.option("--learned", type=FILE, help="Also write what was learnt, for --base to go on from.")
@click.option("--keep-dominated", is_flag=True, help="Keep tiers that are dearer and worse than another.")
@train_options
@skip_bad_option
@json_option
def train(
    data: tuple[Path, ...],
    ladder_path: Path,
    out: Path,
    report: Path | None,
    learned: Path | None,
    keep_dominated: bool,
    base_name: str | None,
    skip_bad: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a router on the records of DATA and write one ONNX file."""
    config, ladder, base = training_inputs(ladder_path, base_name, settings)

    # Below the checks, for these bring torch: a wrong request is to be refused at once.
    from router_model.training.evaluation.table import render
    from router_model.training.train import train as run

    with progress("training") as stage_done:
        trained = run(
            data,
            ladder,
            out,
            config,
            base=base,
            report=report,
            learned=learned,
            skip_bad=skip_bad,
            keep_dominated=keep_dominated,
            stage_done=stage_done,
        )
    if as_json:
        return echo_json(dataclasses.asdict(trained))
    click.echo(render(trained.evaluation))
    click.echo(f"\nguard: {trained.guard['message']}")
    for tier in trained.dropped_tiers:
        click.echo(f"dropped: {tier}")
    click.echo(
        f"{trained.out}: {trained.bytes / 1e6:.1f} MB, {trained.precision}, from {trained.rows} rows "
        f"in {trained.groups} groups, {trained.seconds:.0f} s"
    )
    if trained.report:
        click.echo(f"report: {trained.report}")
    return None
