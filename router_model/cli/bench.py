"""``router-model bench``."""

from pathlib import Path
from typing import Any

import click

from router_model.cli.options import FILE, ROUTER, json_option
from router_model.errors import RouterModelError
from router_model.terminal import echo_json, progress


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
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
            real(paths or starter_paths(), count),
            calls,
            rounds=rounds,
            count=count,
            junk=junk,
            done=stage_done,
        )
    result["yardsticks_missing"] = missing
    return echo_json(result) if as_json else click.echo(table.bench(result))


def compared(router: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The yardsticks that can be run here, and why the others cannot."""
    try:
        from router_model.training.yardsticks import YARDSTICKS
    except (ImportError, RouterModelError) as error:
        return {}, {"all": str(error)}
    calls, missing = {}, {}
    for name, make in YARDSTICKS.items():
        try:
            calls[name] = make(router)
        except (ImportError, RouterModelError) as error:
            missing[name] = str(error)
    return calls, missing
