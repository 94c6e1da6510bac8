"""``router-model replay``."""

import dataclasses
from pathlib import Path

import click

from router_model.cli.options import (
    FILE,
    ROUTER,
    budget_option,
    json_option,
    quality_option,
    skip_bad_option,
)
from router_model.terminal import echo_json, progress


@click.command()
@click.argument("router_path", metavar="ROUTER", type=ROUTER)
@click.argument("logs", nargs=-1, required=True, type=FILE)
@quality_option
@budget_option
@click.option(
    "--router-usd-per-million-requests",
    type=float,
    default=0.0,
    show_default=True,
    help="What the router itself costs.",
)
@click.option(
    "--largest-weight", type=float, help="Cut of inverse propensities; a tenth of the requests by default."
)
@click.option("--worth-usd", type=float, help="What an answer that suffices is worth, in place of a dial.")
@click.option("--usd", type=float, help="A budget over time in place of a dial (docs/pacing.md).")
@click.option(
    "--per", default="day", show_default=True, help='Of --usd: day, month, or as in "1000 requests".'
)
@click.option("--zone", default="UTC", show_default=True, help="Whose days and months they are.")
@click.option("--sessions", is_flag=True, help="Conversations stay on their tier (docs/sessions.md).")
@click.option(
    "--cached",
    type=float,
    default=0.1,
    show_default=True,
    help="Price of an input token read from a cache, a plain one being 1.",
)
@click.option(
    "--written",
    type=float,
    default=1.25,
    show_default=True,
    help="Price of one written to it.",
)
@click.option("--cache-seconds", type=float, default=300.0, show_default=True, help="For which it is kept.")
@skip_bad_option
@json_option
def replay(
    router_path: Path,
    logs: tuple[Path, ...],
    quality: float | None,
    budget: float | None,
    router_usd_per_million_requests: float,
    largest_weight: float | None,
    worth_usd: float | None,
    usd: float | None,
    per: str,
    zone: str,
    sessions: bool,
    cached: float,
    written: float,
    cache_seconds: float,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Tell what the traffic of LOGS would have cost and kept, had ROUTER decided.

    It decides by a dial, by what a good answer is worth, or by a budget over time; or for conversations.
    """
    from router_model.router import Router
    from router_model.training.conversations import Caches
    from router_model.training.evaluation.replay_table import render_replay
    from router_model.training.policies import policy_of
    from router_model.training.replay import replay as run

    router = Router.load(router_path)
    policy = policy_of(
        router,
        quality=quality,
        budget=budget,
        worth_usd=worth_usd,
        usd=usd,
        per=per,
        zone=zone,
        caches=Caches(cached, written, cache_seconds) if sessions else None,
    )
    with progress("replaying") as stage_done:
        found = run(
            router,
            logs,
            quality=quality,
            budget=budget,
            policy=policy,
            router_usd_per_million_requests=router_usd_per_million_requests,
            largest_weight=largest_weight,
            skip_bad=skip_bad,
            stage_done=stage_done,
        )
    if as_json:
        return echo_json(dataclasses.asdict(found))
    return click.echo(render_replay(found))
