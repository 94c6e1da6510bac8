"""``router-model simulate``."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from router_model.cli.options import FILE, json_option, ladder_option, skip_bad_option
from router_model.terminal import echo_json

SHARE = click.FloatRange(0, 1)


@click.command()
@click.argument("data", metavar="RECORDS...", nargs=-1, required=True, type=FILE)
@ladder_option
@click.option("--out", required=True, type=FILE, help="The log to write, JSON Lines; .gz compresses it.")
@click.option(
    "--policy", default="length", show_default=True, help="Who answers: length, random or constant:TIER."
)
@click.option(
    "--exploration", type=SHARE, default=0.1, show_default=True, help="Share of tiers drawn uniformly."
)
@click.option("--feedback", type=SHARE, default=1.0, show_default=True, help="Share of outcomes known.")
@click.option("--noise", type=SHARE, default=0.0, show_default=True, help="Share of outcomes flipped.")
@click.option("--hide-propensity", is_flag=True, help="Leave out how probable each choice was.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same log.")
@skip_bad_option
@json_option
def simulate(
    data: tuple[Path, ...], ladder_path: Path, out: Path, skip_bad: bool, as_json: bool, **settings: Any
) -> None:
    """Turn RECORDS that tell how every tier did into the log that traffic would have left."""
    from router_model.data.readers import Reading, read_records
    from router_model.data.simulate import Logging
    from router_model.data.simulate import simulate as run
    from router_model.ladder import Ladder

    how, ladder, reading = Logging(**settings), Ladder.read(ladder_path), Reading(skip_bad=skip_bad)
    done = run([record for path in data for record in read_records(path, reading)], ladder, out, how)
    if as_json:
        return echo_json({**dataclasses.asdict(done), "bad_rows": reading.bad})
    answered = ", ".join(f"{name} {rows}" for name, rows in done.tiers.items())
    left_out = f", {done.left_out} records left out that lack a tier's outcome" if done.left_out else ""
    return click.echo(f"{done.out}: {done.rows} requests, {done.marked} with outcome ({answered}){left_out}")
