"""``router-model judge``."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import click

from router_model.cli.options import FILE, json_option, skip_bad_option
from router_model.terminal import echo_json, progress


@click.command()
@click.argument("source", metavar="RECORDS", type=FILE)
@click.option("--model", required=True, help="The judge, as its endpoint knows it.")
@click.option("--base-url", required=True, help="OpenAI-compatible, such as https://api.openai.com/v1.")
@click.option("--out", required=True, type=FILE, help="Records with marks, JSON Lines; .gz compresses.")
@click.option(
    "--key-env", default="OPENAI_API_KEY", show_default=True, help="Environment variable that holds the key."
)
@click.option("--pairs", is_flag=True, help="Compare the two answers of a record instead of scoring each.")
@click.option("--max-usd", type=float, help="Spend no more than this on OUT, all runs together.")
@click.option("--input-usd-per-million", type=float, help="Price of the judge's input tokens.")
@click.option("--output-usd-per-million", type=float, help="Price of the judge's output tokens.")
@click.option("--max-tokens", type=int, default=512, show_default=True, help="Of one reply.")
@click.option("--reasoning", is_flag=True, help="Send max_completion_tokens and no temperature.")
@click.option("--concurrency", type=int, default=8, show_default=True, help="Calls in flight at most.")
@click.option("--timeout", "timeout_seconds", type=float, default=60, show_default=True, help="Of one call.")
@click.option("--retries", type=int, default=5, show_default=True, help="Of a call that was not answered.")
@click.option("--sample", type=float, default=1.0, show_default=True, help="Share of the records to judge.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@skip_bad_option
@json_option
def judge(source: Path, out: Path, skip_bad: bool, as_json: bool, **settings: Any) -> None:
    """Score the answers in RECORDS with a language model; go on where an earlier run ended."""
    from router_model.data.judge.config import JudgeConfig
    from router_model.data.judge.run import judge as run

    config = JudgeConfig(**settings)
    if config.max_usd is None:
        click.echo("no --max-usd: what this may spend has no bound", err=True)
    started = time.monotonic()
    with progress("judging") as stage_done:

        def show(cases: int, of: int, usd: float) -> None:
            rate = cases / max(time.monotonic() - started, 1e-3)
            dollars = f", ${usd:.4f}" if config.priced else ""
            stage_done(f"{cases} of {of} marks{dollars}, {rate:.1f}/s", cases / of)

        done = run(source, out, config, skip_bad=skip_bad, progress=show)
    if as_json:
        return echo_json(dataclasses.asdict(done))
    for reason, count in {**done.unmarked, **done.left_out}.items():
        click.echo(f"{count:>9}  without a mark: {reason}")
    if done.capped:
        click.echo(f"stopped at the cap of ${config.max_usd:g}; a higher --max-usd goes on from there")
    dollars = "" if done.usd is None else f", ${done.usd:.4f} spent in all"
    return click.echo(
        f"{done.out}: {done.rows} rows, {done.marks} marks, {done.new_marks} of them new "
        f"by {done.calls} calls{dollars}, {done.bad_rows} skipped"
    )
