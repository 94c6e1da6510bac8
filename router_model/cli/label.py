"""``router-model label``."""

import dataclasses
from pathlib import Path

import click

from router_model.cli.options import FILE, budget_option, json_option, quality_option, skip_bad_option
from router_model.terminal import echo_json, progress


@click.command()
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
    from router_model.serving.batch.label import label as run

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
