"""``router-model adapt``."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from router_model.cli.options import FILE, ROUTER, json_option, skip_bad_option
from router_model.terminal import echo_json

if TYPE_CHECKING:
    from router_model.data.records import Record


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
@click.option("--suggest", type=int, metavar="N", help="Instead of adapting: name the N prompts to label.")
@click.option("--add-model", metavar="NAME", help="The new model, as the outcomes call it.")
@click.option("--tier", metavar="NAME", help="Its tier's name; the model's by default.")
@click.option("--replace", metavar="TIER", help="The new model takes the place of this tier.")
@click.option("--input-usd-per-million", type=float, help="Its price of input tokens.")
@click.option("--output-usd-per-million", type=float, help="Its price of output tokens.")
@click.option(
    "--ladder", "ladder_path", type=FILE, help="Instead: the whole ladder, with new tiers or without."
)
@click.option(
    "--outcomes", multiple=True, type=FILE, help="Records with the new model's outcomes; repeatable."
)
@click.option(
    "--prompts",
    multiple=True,
    type=FILE,
    help="Records to suggest from, or to expect the curve on; repeatable.",
)
@click.option("--out", type=FILE, help="The artifact to write, or the suggested prompts.")
@click.option(
    "--bar", type=float, default=0.5, show_default=True, help="Outcome from which an answer suffices."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the resamples.")
@click.option("--resamples", type=int, default=2000, show_default=True, help="Of each interval.")
@skip_bad_option
@json_option
def adapt(
    router_path: Path,
    suggest: int | None,
    add_model: str | None,
    tier: str | None,
    replace: str | None,
    input_usd_per_million: float | None,
    output_usd_per_million: float | None,
    ladder_path: Path | None,
    outcomes: tuple[Path, ...],
    prompts: tuple[Path, ...],
    out: Path | None,
    bar: float,
    seed: int,
    resamples: int,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Place a new model, or another ladder, on the trained ROUTER from few labels."""
    prices = input_usd_per_million, output_usd_per_million
    if suggest is not None:
        if add_model or ladder_path or outcomes or not prompts:
            raise click.UsageError("--suggest takes --prompts, and neither a model, a ladder nor outcomes")
        return _suggest(router_path, suggest, prompts, out, skip_bad, as_json)
    named = (tier, replace, *prices) != (None,) * 4
    _refuse(
        ((add_model is None) == (ladder_path is None), "give --add-model with its prices, or --ladder"),
        (bool(ladder_path) and named, "--ladder has names and prices; leave out those of --add-model"),
        (bool(add_model) and None in prices, "give --input-usd-per-million and --output-usd-per-million"),
        (not (outcomes or prompts), "give records by --outcomes or --prompts"),
    )
    if out is None:
        raise click.UsageError("give --out")

    from router_model.ladder import Ladder, Tier
    from router_model.router import Router
    from router_model.training.adapt import adapt as run
    from router_model.training.config import TrainConfig
    from router_model.training.place import with_model

    config = TrainConfig(bar=bar, seed=seed, resamples=resamples)
    artifact = Router.load(router_path).artifact
    if ladder_path:
        ladder = Ladder.read(ladder_path)
    else:
        new = Tier(tier or str(add_model), (str(add_model),), *prices)  # type: ignore[arg-type]  # both given
        ladder = with_model(artifact.manifest.ladder, new, replace)
    done = run(artifact, ladder, _read(outcomes, skip_bad), _read(prompts, skip_bad), out, config)
    if as_json:
        return echo_json(dataclasses.asdict(done))
    for sentence in done.assumed:
        click.echo(f"assumed: {sentence}", err=True)
    for added in done.added:
        click.echo(f"{added.tier}: {added.labels} labels, sufficient for {added.sufficient:.0%} of them")
    click.echo(f"guard: {done.guard['message']}")
    return click.echo(f"{out}: {done.bytes / 1e6:.1f} MB, {', '.join(done.tiers)}, on {done.prompts} prompts")


def _refuse(*faults: tuple[bool, str]) -> None:
    for found, message in faults:
        if found:
            raise click.UsageError(message)


def _suggest(
    router_path: Path, count: int, prompts: Sequence[Path], out: Path | None, skip_bad: bool, as_json: bool
) -> None:
    from router_model.files import replace_file
    from router_model.router import Router
    from router_model.training.adapt import suggested

    records = suggested(Router.load(router_path).artifact, _read(prompts, skip_bad), count)
    rows = [_row(record) for record in records]
    if out:
        replace_file(out, "".join(json.dumps(row) + "\n" for row in rows).encode())
    if as_json:
        return echo_json({"suggested": len(rows), "out": str(out) if out else None, "prompts": rows})
    if out:
        return click.echo(f"{out}: {len(rows)} prompts to label, the most telling first")
    for row in rows:
        click.echo(json.dumps(row))
    return None


def _row(record: "Record") -> dict[str, Any]:
    """What a row of a log needs to be found again, to be answered, and to be read back with its outcomes."""
    asked = {"prompt": record.request} if isinstance(record.request, str) else {"messages": record.request}
    return {"id": record.id, **asked, "outcomes": dict(record.outcomes)}


def _read(paths: Sequence[Path], skip_bad: bool) -> "list[Record]":
    from router_model.data.readers import Reading
    from router_model.training.prepare import read_all

    return read_all(paths, Reading(skip_bad=skip_bad))
