"""``router-model route``."""

import re
import statistics
import sys
import time
from pathlib import Path

import click

from router_model.cli.options import FILE, ROUTER, budget_option, json_option, quality_option
from router_model.terminal import echo_json


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
@click.argument("prompts", nargs=-1)
@click.option("--input", "source", type=FILE, help="File of prompts; standard input where none is given.")
@click.option("--lines", is_flag=True, help="Each line of the input is a prompt, instead of the whole.")
@quality_option
@budget_option
@json_option
def route(
    router_path: Path,
    prompts: tuple[str, ...],
    source: Path | None,
    lines: bool,
    quality: float | None,
    budget: float | None,
    as_json: bool,
) -> None:
    """Choose a tier for PROMPTS, for a file, or for standard input."""
    from router_model import table
    from router_model.router import Router

    router = Router.load(router_path)
    texts = list(prompts) or read_prompts(source, lines)
    router.route(texts[0], quality=quality, budget=budget)  # the first call of a process pays for its warm-up
    decisions, seconds = [], []
    for text in texts:
        started = time.perf_counter()
        decisions.append(router.route(text, quality=quality, budget=budget))
        seconds.append(time.perf_counter() - started)
    microseconds = statistics.median(seconds) * 1e6
    if as_json:
        rows = [
            {"prompt": text, **decision.to_dict(), "why": decision.why}
            for text, decision in zip(texts, decisions, strict=True)
        ]
        return echo_json({"decisions": rows, "median_microseconds": round(microseconds, 1)})
    click.echo(table.decisions(texts, decisions))
    size = router_path.stat().st_size / 1e6
    click.echo(
        f"\n{len(texts)} prompts, {microseconds:.0f} microseconds each (median); {router_path}: {size:.1f} MB"
    )
    return None


def read_prompts(source: Path | None, lines: bool) -> list[str]:
    """Prompts of a file or of standard input; undecodable bytes are replaced."""
    from router_model.errors import FileError, PromptError
    from router_model.files import read_file

    if not (source or sys.stdin):
        raise FileError("standard input is closed; give prompts or --input")
    raw = read_file(source, 64 << 20) if source else sys.stdin.buffer.read()
    text = raw.decode("utf-8", "replace")
    # Not str.splitlines: a prompt may hold a line separator of Unicode, such as U+2028.
    prompts = [line for line in re.split("\r?\n", text) if line.strip()] if lines else [text]
    if not prompts:
        raise PromptError("the input holds no prompt; give at least one line")
    return prompts
