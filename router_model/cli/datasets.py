"""``router-model datasets``."""

from pathlib import Path

import click

from router_model.cli.options import FOLDER, json_option
from router_model.terminal import echo_json


@click.group()
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
