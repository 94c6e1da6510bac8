"""``router-model ingest``."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from router_model.cli.options import FILE, FOLDER, json_option, on_error_option
from router_model.terminal import echo_json, progress

if TYPE_CHECKING:
    from router_model.data.convert import Step
    from router_model.data.ingest import OnError


@click.command()
@click.argument("logs", nargs=-1, required=True)
@click.option(
    "--out", required=True, type=FILE, help="Record set: .parquet, .jsonl, .jsonl.gz or .jsonl.zst."
)
@click.option(
    "--format", "name", metavar="NAME", help="Format of the logs; told by their first rows otherwise."
)
@on_error_option
@click.option(
    "--redact",
    "redacted",
    is_flag=True,
    help="Replace e-mail addresses, telephone numbers, keys and the like before anything is written.",
)
@click.option(
    "--feedback", type=FOLDER, help="Of a gateway's traffic log: the outcomes that clients told afterwards."
)
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Processes; as many as there are cores otherwise."
)
@json_option
def ingest(
    logs: tuple[str, ...],
    out: Path,
    name: str | None,
    on_error: "OnError",
    redacted: bool,
    feedback: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Convert LOGS, paths or URIs, to the records of one file that `train` reads."""
    from router_model.data.ingest import ingest as run
    from router_model.data.privacy.redaction import redact
    from router_model.data.told import Told

    steps: list[Step] = [redact] if redacted else []
    if feedback:
        steps.insert(0, Told.read(feedback))  # before the names it goes by are redacted
    with progress("reading", of=None) as stage_done:
        done = run(
            logs,
            out,
            format=name,
            on_error=on_error,
            steps=steps,
            workers=workers,
            rows_done=lambda rows: stage_done(f"{rows} rows", 0.0),
        )
    if as_json:
        return echo_json(dataclasses.asdict(done))
    for path, known in done.formats.items():
        click.echo(f"{path}: {known or 'no rows'}")
    for what, reasons in (("dropped", done.tally.dropped), ("refused", done.tally.refused)):
        for reason, of in reasons.items():
            click.echo(f"{what} {of.count}: {reason} (first: {', '.join(of.examples)})")
    return click.echo(f"{done.out}: {done.tally.records} records of {done.tally.rows} rows")
