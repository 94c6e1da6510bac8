"""``router-model inspect``."""

import json
from pathlib import Path

import click

from router_model.cli.options import ROUTER, json_option
from router_model.terminal import echo_json


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
@json_option
def inspect(router_path: Path, as_json: bool) -> None:
    """Show what an artifact holds: tiers, guard, operating curve, figures, versions."""
    from router_model import table
    from router_model.router import Router

    artifact = Router.load(router_path).artifact
    if not as_json:
        return click.echo(table.artifact(artifact))
    manifest = json.loads(artifact.manifest.to_json())
    manifest["tokenizer"] = f"{len(manifest['tokenizer'])} characters"
    return echo_json({"fingerprint": artifact.fingerprint, "bytes": len(artifact.content), **manifest})
