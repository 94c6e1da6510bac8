"""``router-model serve``."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from router_model.cli.options import FILE, json_option
from router_model.terminal import echo_json

if TYPE_CHECKING:
    from router_model.serving.gateway.state import Private


@click.command()
@click.option("--config", "config_path", type=FILE, help="The gateway's file, YAML or JSON.")
@click.option("--check", is_flag=True, help="Read the file, its router and its secrets, say so, and end.")
@click.option("--dry-run", "dry", is_flag=True, help="Decide, and call no provider.")
@click.option("--demo", is_flag=True, help="With pretend models on this machine: no key, no file.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="Of --demo.")
@json_option
def serve(config_path: Path | None, check: bool, dry: bool, demo: bool, port: int, as_json: bool) -> None:
    """Serve OpenAI's and Anthropic's protocols, with the router beside the dispatch to providers."""
    if demo == (config_path is not None):
        raise click.UsageError("give either --config FILE or --demo")
    # Arrow's own allocators keep what was freed, which the traffic log frees with every part.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from router_model.serving.gateway import demo as pretended
    from router_model.serving.gateway import server
    from router_model.serving.gateway.check import check as run_check

    if config_path is None:
        return pretended.run(port, listening=_say)
    if check:
        found = run_check(config_path)
        return echo_json(found.to_dict()) if as_json else click.echo(found.table())
    return server.serve(server.Service(config_path, _private(config_path), dry), listening=_say)


def _private(config_path: Path) -> "Private":
    """How the traffic log keeps prompts: without secrets, or as hashes by a key of this gateway."""
    from router_model.data.privacy.hashing import HASH_KEY, read_hash_key
    from router_model.data.privacy.redaction import redact
    from router_model.serving.gateway.config.config import GatewayConfig
    from router_model.serving.gateway.state import Private

    traffic = GatewayConfig.read(config_path).traffic
    if traffic is None or traffic.words != "hashed":
        return Private(redact)
    beside = None if os.environ.get(HASH_KEY) else Path(traffic.folder).with_suffix(".hash-key")
    return Private(redact, partial(_hashed, read_hash_key(beside, make=True)))


def _hashed(key: bytes, field: str, text: str) -> str:
    from router_model.data.privacy.hashing import hashed_name, hashed_prompt

    return hashed_prompt(key, text) if field == "prompt" else hashed_name(key, field, text)


def _say(url: str) -> None:
    click.echo(f"router-model: serving {url}/v1", err=True)
