"""Options that several commands take, each written once."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from router_model.base import Base
    from router_model.ladder import Ladder
    from router_model.training.config import TrainConfig

FILE = click.Path(dir_okay=False, path_type=Path)


class RouterFile(click.Path):
    """An artifact's path; the word "default" is the router that ships, as it is for ``--base``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; raises click.BadParameter where it is a folder."""
        if value == "default":
            value = str(files("router_model").joinpath("default.onnx"))
        return super().convert(value, param, ctx)


ROUTER = RouterFile(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on standard output."
)
skip_bad_option = click.option(
    "--skip-bad", is_flag=True, help="Count bad rows and go on, instead of stopping."
)
on_error_option = click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do at a bad row, or at a file of a log to label that cannot be read.",
)
key_file_option = click.option(
    "--key-file", type=FILE, help="The key of hashes; otherwise ROUTER_MODEL_HASH_KEY is."
)
quality_option = click.option(
    "--quality", type=float, help="Keep this share of the strongest tier's quality."
)
budget_option = click.option(
    "--budget", type=float, help="Spend at most this share of the strongest tier's cost."
)
ladder_option = click.option("--ladder", "ladder_path", required=True, type=FILE, help="Tiers, YAML or JSON.")


def train_options(command: Callable[..., None]) -> Callable[..., None]:
    """The settings of ``TrainConfig`` that both training commands take."""
    options = [
        click.option(
            "--encoder",
            default="static",
            show_default=True,
            help="Kind of the network, or a sentence-transformers model by name or folder.",
        ),
        click.option(
            "--precision",
            default="auto",
            show_default=True,
            help="Of a transformer's graph: float32, float16 for a GPU, int8 for a CPU.",
        ),
        click.option(
            "--fine-tune",
            is_flag=True,
            help="Train a sentence-transformers model too, and not only the head on it.",
        ),
        click.option(
            "--encoder-learning-rate",
            type=float,
            default=3e-5,
            show_default=True,
            help="Of that model in --fine-tune.",
        ),
        click.option(
            "--accelerator",
            default="cpu",
            show_default=True,
            help="What trains: cpu, gpu, or auto, a GPU for a transformer where there is one.",
        ),
        click.option("--devices", type=int, default=1, show_default=True, help="Of these, a process each."),
        click.option(
            "--seed", type=int, default=0, show_default=True, help="The same seed gives the same router."
        ),
        click.option(
            "--bar", type=float, default=0.5, show_default=True, help="Outcome from which an answer suffices."
        ),
        click.option(
            "--margin", type=float, help="Instead: suffices within this of the strongest tier's outcome."
        ),
        click.option(
            "--epochs", type=int, default=12, show_default=True, help="Passes over the data at most."
        ),
        click.option("--batch-size", type=int, default=128, show_default=True, help="Prompts per step."),
        click.option(
            "--learning-rate", type=float, default=8e-3, show_default=True, help="Of the dense layers."
        ),
        click.option(
            "--max-tokens", type=int, default=512, show_default=True, help="Window of tokens per prompt."
        ),
        click.option(
            "--resamples", type=int, default=2000, show_default=True, help="Of each bootstrap interval."
        ),
        click.option(
            "--base",
            "base_name",
            metavar="FILE|default",
            help="Base encoder, or where to go on from: a file of --learned, or the router that ships.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def training_inputs(
    ladder_path: Path, base_name: str | None, settings: dict[str, Any]
) -> "tuple[TrainConfig, Ladder, Base | None]":
    """What ``train_options`` and the ladder name, checked: without torch, so refused at once."""
    from router_model.base import Base
    from router_model.ladder import Ladder
    from router_model.training.config import TrainConfig

    config, ladder = TrainConfig(**settings), Ladder.read(ladder_path)
    return config, ladder, Base.find(base_name) if base_name else None
