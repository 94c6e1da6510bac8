"""``router-model evaluate``."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from router_model.cli.options import FILE, FOLDER, ROUTER, json_option, skip_bad_option
from router_model.terminal import echo_json

if TYPE_CHECKING:
    from router_model.training.evaluation.leaks import OnLeaks


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
@click.argument("data", nargs=-1, required=True, type=FILE)
@click.option(
    "--ladder",
    "ladder_path",
    type=FILE,
    help="Models of the data for all or some of the tiers; the router's own by default.",
)
@click.option("--resamples", type=int, default=2000, show_default=True, help="Of each bootstrap interval.")
@click.option("--trained-on", multiple=True, type=FILE, help="Training data, to look for leaks; repeatable.")
@click.option(
    "--leaks",
    "on_leaks",
    type=click.Choice(["refuse", "drop", "keep"]),
    default="refuse",
    show_default=True,
    help="What to do with near-duplicates of training prompts.",
)
@click.option("--report", type=FOLDER, help="Folder for a page with plots and the worst misses.")
@click.option("--flips", "with_flips", is_flag=True, help="Also count tiers that edits of the text change.")
@skip_bad_option
@json_option
def evaluate(
    router_path: Path,
    data: tuple[Path, ...],
    ladder_path: Path | None,
    resamples: int,
    trained_on: tuple[Path, ...],
    on_leaks: "OnLeaks",
    report: Path | None,
    with_flips: bool,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Measure ROUTER on the labelled records of DATA."""
    from router_model.data.readers import Reading
    from router_model.ladder import Ladder
    from router_model.router import Router
    from router_model.training.config import TrainConfig
    from router_model.training.evaluation.comparison_table import render_comparison
    from router_model.training.evaluation.evaluate import evaluate as run
    from router_model.training.evaluation.flips import flips
    from router_model.training.evaluation.table import render, render_flips
    from router_model.training.prepare import read_all

    ladder = Ladder.read(ladder_path) if ladder_path else None
    router = Router.load(router_path)
    found = run(
        router,
        data,
        ladder,
        TrainConfig(resamples=resamples),
        trained_on=trained_on,
        on_leaks=on_leaks,
        report=report,
        skip_bad=skip_bad,
    )
    flipped = None
    if with_flips:
        records = read_all(data, Reading(skip_bad=skip_bad))
        flipped = flips(router, [record.request for record in records])
    guard = router.artifact.manifest.guard
    if as_json:
        rest: dict[str, Any] = {"comparison": dataclasses.asdict(found.comparison), "guard": guard}
        rest |= {"leaks": dataclasses.asdict(found.leaks), "report": found.report}
        rest |= {"flips": dataclasses.asdict(flipped)} if flipped else {}
        return echo_json({**dataclasses.asdict(found.evaluation), **rest})
    click.echo(render(found.evaluation))
    click.echo(f"\n{render_comparison(found.comparison)}")
    if flipped:
        click.echo(f"\n{render_flips(flipped)}")
    click.echo(f"\nguard: {guard['message']}")
    click.echo(f"leaks: {found.leaks.message}")
    return click.echo(f"report: {found.report}") if found.report else None
