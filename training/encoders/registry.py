"""Encoders by the name that ``--encoder`` takes."""

from collections.abc import Callable
from pathlib import Path

import torch

from router_model.base import Base
from router_model.errors import ConfigError, one_line
from router_model.training.config import TrainConfig
from router_model.training.devices import device_of
from router_model.training.distill import MINILM
from router_model.training.encoders.encoder import Encoder
from router_model.training.encoders.sentence import SentenceModel
from router_model.training.encoders.sentence import load as load_sentence_model
from router_model.training.encoders.static import Static
from router_model.training.encoders.transformer import Transformer
from router_model.training.encoders.tuned import Tuned
from router_model.training.encoders.window import Window

ENCODERS: dict[str, Callable[[Base, int], Encoder]] = {Static.name: Static, Window.name: Window}


def load(config: TrainConfig, base: Base | None = None) -> Encoder:
    """The encoder that ``config`` names: one over ``base``, or the base that ships, or a transformer.

    Raises:
        ConfigError: no encoder has the name, or a setting is not for it or for this machine.
        RouterModelError: a sentence-transformers model does not load, or cannot be taken over.
    """
    name, device = config.encoder, device_of(config)
    make = ENCODERS.get(name)
    if make is None:
        return _transformer(name, config, base, device)
    if config.fine_tune:
        raise ConfigError(f"--fine-tune: is for sentence-transformers models; {name} learns whole anyway")
    if config.precision != "auto":
        raise ConfigError(f"--precision {config.precision}: is for transformers; {name} finds its own")
    if base and base.learned and make is not Static:
        raise ConfigError(f"--base: what a router learnt is for --encoder {Static.name}, not for {name}")
    return make(base or Base.default(), config.max_tokens)


def _transformer(name: str, config: TrainConfig, base: Base | None, device: str) -> Transformer:
    if not ("/" in name or Path(name).is_dir() or MINILM.endswith(f"/{name}")):
        raise ConfigError(
            f"--encoder {name!r:.60}: give one of {', '.join(ENCODERS)}, or a sentence-transformers model as "
            "organisation/name or a folder"
        )
    if base:
        raise ConfigError(f"--base is for {', '.join(ENCODERS)}; --encoder {name} has its own")
    model = load_sentence_model(name)
    precision = "float32" if config.precision == "auto" else config.precision
    max_tokens = min(config.max_tokens, model.max_tokens)
    _try_longest(name, model, max_tokens)
    return (Tuned if config.fine_tune else Transformer)(model, max_tokens, precision, device)


def _try_longest(name: str, model: SentenceModel, max_tokens: int) -> None:
    """Some models say that they read more than they have positions for."""
    ids = torch.ones(1, max_tokens + len(model.frame.start) + len(model.frame.end), dtype=torch.long)
    try:
        with torch.inference_mode():
            model.network(ids)
    except (IndexError, RuntimeError) as error:
        raise ConfigError(
            f"--max-tokens {max_tokens}: --encoder {name} reads no such texts, lower it: {one_line(error)}"
        ) from None
