"""``router-model key``."""

import json

import click

from router_model.cli.options import json_option
from router_model.terminal import echo_json

SCOPES = ("call", "route", "feedback", "metrics")


@click.command()
@click.option("--name", required=True, help="What accounts and logs call the key.")
@click.option("--tenant", default="default", show_default=True, help="Whose requests these are.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    default=SCOPES[:3],
    show_default=True,
    help="What it may do; repeatable.",
)
@json_option
def key(name: str, tenant: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a key for a client of the gateway.

    The key is printed once and kept nowhere; the line below it goes under 'keys' in the gateway's file.
    """
    import msgspec

    from router_model.serving.gateway.config.key import Key
    from router_model.serving.gateway.keys import fresh_key

    fresh, sha256 = fresh_key()
    entry = {"name": name, "sha256": sha256, "tenant": tenant, "scopes": list(scopes)}
    try:
        msgspec.convert(entry, Key)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"--name or --tenant: {error}") from None
    if as_json:
        return echo_json({"key": fresh, "entry": entry})
    click.echo(fresh)
    return click.echo(f"- {json.dumps(entry)}")  # JSON is YAML
