"""``router-model label``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from router_model.cli.options import (
    FOLDER,
    ROUTER,
    budget_option,
    json_option,
    on_error_option,
    quality_option,
)
from router_model.terminal import echo_json, progress

if TYPE_CHECKING:
    from router_model.serving.batch.label import Engine
    from router_model.serving.batch.labeller import OnError


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "--output",
    "-o",
    default="-",
    help="A file, by whose name its form is told, or a folder; standard output otherwise.",
)
@quality_option
@budget_option
@click.option(
    "--format",
    "form",
    help="Of a folder or standard output: parquet, jsonl, csv; .gz or .zst behind the latter.",
)
@click.option("--columns", help="Columns of the input to keep, with commas between; all otherwise.")
@click.option("--prompt-column", metavar="NAME", help="What to route; 'prompt' or 'messages' otherwise.")
@click.option("--by", help="Columns to count by, with commas between, beside task, tenant and day.")
@on_error_option
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes here, or those of a Ray cluster.",
)
@click.option("--address", help="Of a Ray cluster; RAY_ADDRESS otherwise, or Ray is started here.")
@click.option(
    "--workers", type=click.IntRange(1, 4096), help="Processes; as many as there are cores otherwise."
)
@click.option("--overwrite", is_flag=True, help="Replace what a folder holds of other settings.")
@click.option("--report", type=FOLDER, help="Write a page about cost and tiers to this folder.")
@json_option
def label(
    router_path: Path,
    inputs: tuple[str, ...],
    output: str,
    quality: float | None,
    budget: float | None,
    form: str | None,
    columns: str | None,
    prompt_column: str | None,
    by: str | None,
    on_error: "OnError",
    engine: "Engine",
    address: str | None,
    workers: int | None,
    overwrite: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Label the rows of each INPUT with the tier they need: Parquet, JSON Lines or CSV, of any size.

    An INPUT is a file, a pattern, a folder, a URI such as s3://bucket/logs, or - for standard input.
    """
    # Arrow's own allocators keep what was freed: a third more memory, and no faster.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from router_model.files import make_report_folder
    from router_model.serving.batch.label import label as run
    from router_model.serving.batch.labeller import Settings
    from router_model.serving.batch.report import write_report
    from router_model.serving.batch.summary import table

    if as_json and output == "-":
        raise click.UsageError("--json and rows both want standard output; name a file with --output")
    if address:
        if engine != "ray":
            raise click.UsageError("--address is of a Ray cluster; add --engine ray")
        os.environ["RAY_ADDRESS"] = address
    if report:
        make_report_folder(report)
    settings = Settings(quality, budget, _names(columns), prompt_column, _names(by), on_error)
    with progress("labelling") as stage_done:
        done = run(
            router_path,
            inputs,
            output,
            settings,
            format=form,
            workers=workers,
            engine=engine,
            overwrite=overwrite,
            progress=lambda so_far: stage_done(so_far.said(), so_far.share()),
        )
    if report:
        write_report(done, report)
    if as_json:
        return echo_json(done.to_dict())
    return click.echo(table(done), err=output == "-")


def _names(listed: str | None) -> tuple[str, ...] | None:
    return None if listed is None else tuple(name.strip() for name in listed.split(",") if name.strip())
