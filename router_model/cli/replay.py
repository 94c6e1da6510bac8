"""``router-model replay``."""

import dataclasses
from pathlib import Path

import click

from router_model.cli.options import (
    FILE,
    ROUTER,
    budget_option,
    json_option,
    quality_option,
    skip_bad_option,
)
from router_model.terminal import echo_json, progress


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
@click.argument("logs", nargs=-1, required=True, type=FILE)
@quality_option
@budget_option
@click.option(
    "--router-usd-per-million-requests",
    type=float,
    default=0.0,
    show_default=True,
    help="What the router itself costs.",
)
@click.option(
    "--largest-weight", type=float, help="Cut of inverse propensities; a tenth of the requests by default."
)
@skip_bad_option
@json_option
def replay(
    router_path: Path,
    logs: tuple[Path, ...],
    quality: float | None,
    budget: float | None,
    router_usd_per_million_requests: float,
    largest_weight: float | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Tell what the traffic of LOGS would have cost and kept, had ROUTER decided."""
    from router_model.router import Router
    from router_model.training.evaluation.replay_table import render_replay
    from router_model.training.replay import replay as run

    router = Router.load(router_path)
    with progress("replaying") as stage_done:
        found = run(
            router,
            logs,
            quality=quality,
            budget=budget,
            router_usd_per_million_requests=router_usd_per_million_requests,
            largest_weight=largest_weight,
            skip_bad=skip_bad,
            stage_done=stage_done,
        )
    if as_json:
        return echo_json(dataclasses.asdict(found))
    return click.echo(render_replay(found))
