"""The group of commands: what they share is logging and how they end."""

import errno
import io
import logging
import sys
from importlib.metadata import version
from typing import Any

import click

from router_model.cli.adapt import adapt
from router_model.cli.bench import bench
from router_model.cli.certify import certify
from router_model.cli.crossval import crossval
from router_model.cli.datasets import datasets
from router_model.cli.distill import distill
from router_model.cli.evaluate import evaluate
from router_model.cli.forget import forget
from router_model.cli.ingest import ingest
from router_model.cli.inspect import inspect
from router_model.cli.judge import judge
from router_model.cli.key import key
from router_model.cli.label import label
from router_model.cli.outcomes import outcomes
from router_model.cli.redact import redact
from router_model.cli.remap import remap
from router_model.cli.replay import replay
from router_model.cli.route import route
from router_model.cli.serve import serve
from router_model.cli.simulate import simulate
from router_model.cli.train import train
from router_model.cli.turns import turns
from router_model.errors import RouterModelError


class Commands(click.Group):
    """Commands whose expected errors end in one line on standard error and their exit status."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except RouterModelError as error:
            click.echo(f"router-model: {error}", err=True)
            context.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("router-model: interrupted", err=True)
            context.exit(1)
        except OSError as error:
            if error.errno == errno.EPIPE:  # a reader like head has seen enough; click ends quietly
                raise
            click.echo(f"router-model: standard output: {error.strerror or error}", err=True)
            context.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("router-model"), prog_name="router-model")
@click.option("--verbose", "-v", is_flag=True, help="Log what is going on to standard error.")
def main(verbose: bool) -> None:
    """Train, inspect and use learned routers for language models."""
    level = logging.INFO if verbose else logging.WARNING
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a prompt in another script must not end the run
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(message)s")


for command in (
    train, evaluate, crossval, certify, distill, adapt, remap,
    route, label, inspect, bench, datasets,
    serve, key, turns,
    ingest, outcomes, judge, simulate, replay, redact, forget,
):  # fmt: skip
    main.add_command(command)
