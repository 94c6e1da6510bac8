"""``router-model distill``."""

from pathlib import Path

import click

from router_model.cli.options import FILE, json_option
from router_model.terminal import echo_json, progress


@click.command()
@click.option(
    "--model", default="sentence-transformers/all-MiniLM-L6-v2", show_default=True, help="Name or folder."
)
@click.option("--dimension", type=int, default=192, show_default=True, help="Columns of the table.")
@click.option("--out", required=True, type=FILE, help="The base encoder to write, .npz.")
@json_option
def distill(model: str, dimension: int, out: Path, as_json: bool) -> None:
    """Distil a sentence-transformers model to a base encoder that training starts from."""
    from router_model.training.distill import distill as run

    with progress("distilling") as stage_done:
        base = run(model, dimension, lambda done, of: stage_done("vocabulary", done / of))
    base.write(out)
    size, shape = out.stat().st_size, list(base.table.shape)
    if as_json:
        return echo_json({"out": str(out), "bytes": size, "source": base.source, "shape": shape})
    return click.echo(f"{out}: {size / 1e6:.1f} MB, {shape[0]} tokens by {shape[1]}, from {base.source}")
