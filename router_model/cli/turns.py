"""``router-model turns``."""

import dataclasses
from pathlib import Path

import click

from router_model.cli.options import FILE, json_option, skip_bad_option
from router_model.terminal import echo_json


@click.command()
@click.argument("logs", nargs=-1, required=True, type=FILE)
@click.option(
    "--seconds", type=float, default=300.0, show_default=True, help="That providers keep a prompt cached."
)
@click.option(
    "--idle-seconds",
    type=float,
    default=3600.0,
    show_default=True,
    help="A session that was silent for so long has ended.",
)
@click.option(
    "--discount", type=float, default=0.8, show_default=True, help="What a turn counts of the one before it."
)
@skip_bad_option
@json_option
def turns(
    logs: tuple[Path, ...],
    seconds: float,
    idle_seconds: float,
    discount: float,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Learn from the sessions of LOGS what a gateway's file says of conversations."""
    from router_model.data.readers import Reading, read_rows
    from router_model.training.turns import turns as run

    reading = Reading(skip_bad=skip_bad)
    rows = (row for path in logs for _, row in read_rows(path, reading.refuse))
    found = run(rows, seconds=seconds, idle_seconds=idle_seconds, discount=discount)
    if as_json:
        return echo_json(dataclasses.asdict(found))
    click.echo(
        f"{found.requests} requests of {found.sessions} sessions, {found.open} of them may go on; "
        f"{found.left_out} without a session or a time",
        err=True,
    )
    table = ", ".join(f"{number:g}" for number in found.turns_left)
    return click.echo(f"sessions:\n  turns_left: [{table}]\n  kept_share: {found.kept_share:.3f}")
