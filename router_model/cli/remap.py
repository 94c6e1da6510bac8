"""``router-model remap``."""

from pathlib import Path

import click

from router_model.cli.options import FILE, ROUTER, json_option, ladder_option
from router_model.terminal import echo_json


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
@ladder_option
@click.option("--out", required=True, type=FILE, help="The artifact to write.")
@json_option
def remap(router_path: Path, ladder_path: Path, out: Path, as_json: bool) -> None:
    """Give ROUTER's tiers other models or prices, without data, and say what is thereby assumed."""
    from router_model.artifact import seal, write
    from router_model.ladder import Ladder
    from router_model.repricing import assumed, repriced
    from router_model.router import Router

    ladder = Ladder.read(ladder_path)
    artifact = Router.load(router_path).artifact
    manifest = repriced(artifact.manifest, ladder)
    said = assumed(artifact.manifest, ladder)
    write(out, seal(artifact.graph, manifest))
    if as_json:
        return echo_json({"out": str(out), "tiers": ladder.names, "assumed": said})
    for sentence in said or ["nothing: models and prices are as they were"]:
        click.echo(f"assumed: {sentence}", err=True)
    return click.echo(f"{out}: {', '.join(f'{t.name} is {t.models[0]}' for t in ladder.tiers)}")
