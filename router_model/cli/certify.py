"""``router-model certify``."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from router_model.cli.options import FILE, ROUTER, json_option, skip_bad_option
from router_model.terminal import echo_json

if TYPE_CHECKING:
    from router_model.training.bounds import Test
    from router_model.training.evaluation.leaks import OnLeaks


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
@click.argument("data", nargs=-1, required=True, type=FILE)
@click.option(
    "--max-loss",
    type=float,
    default=0.02,
    show_default=True,
    help="How far the mean outcome may be below the strongest tier's.",
)
@click.option(
    "--relative", is_flag=True, help="The loss is a share of the strongest tier's mean outcome instead."
)
@click.option("--confidence", type=float, default=0.95, show_default=True, help="That it is not more.")
@click.option("--out", type=FILE, help="Where to write the artifact with its certificate.")
@click.option(
    "--test",
    type=click.Choice(["hedged-bet", "hoeffding-bentkus", "clopper-pearson"]),
    default="hedged-bet",
    show_default=True,
    help="What shows it.",
)
@click.option("--trained-on", multiple=True, type=FILE, help="Training data, to look for leaks; repeatable.")
@click.option(
    "--leaks",
    "on_leaks",
    type=click.Choice(["refuse", "drop", "keep"]),
    default="refuse",
    show_default=True,
    help="What to do with near-duplicates of training prompts.",
)
@click.option("--date", help="Of the certificate, YYYY-MM-DD; today's (UTC) unless given.")
@skip_bad_option
@json_option
def certify(
    router_path: Path,
    data: tuple[Path, ...],
    max_loss: float,
    relative: bool,
    confidence: float,
    out: Path | None,
    test: "Test",
    trained_on: tuple[Path, ...],
    on_leaks: "OnLeaks",
    date: str | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Promise that ROUTER loses little: the cheapest point that DATA, unseen by training, shows to do so."""
    from datetime import UTC, datetime

    from router_model import table
    from router_model.router import Router
    from router_model.training.certify import certify as run
    from router_model.training.promise import Promise

    promise = Promise(max_loss, confidence, relative, test)
    router = Router.load(router_path)
    today = date or f"{datetime.now(UTC):%Y-%m-%d}"
    found = run(
        router,
        data,
        promise,
        today,
        out=out,
        trained_on=trained_on,
        on_leaks=on_leaks,
        skip_bad=skip_bad,
    )
    if as_json:
        return echo_json(dataclasses.asdict(found))
    click.echo(table.certificate(found.certificate, router.ladder))
    return click.echo(f"written: {found.out}" if found.out else "not written: give --out")
