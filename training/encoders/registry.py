"""Encoders by the name that ``--encoder`` takes."""

from collections.abc import Callable
from pathlib import Path

from router_model.base import Base
from router_model.errors import ConfigError
from router_model.training.config import TrainConfig
from router_model.training.distill import MINILM
from router_model.training.encoders.encoder import Encoder
from router_model.training.encoders.sentence import load as load_sentence_model
from router_model.training.encoders.static import Static
from router_model.training.encoders.transformer import Transformer
from router_model.training.encoders.window import Window

ENCODERS: dict[str, Callable[[Base, int], Encoder]] = {Static.name: Static, Window.name: Window}


def load(config: TrainConfig, base: Base | None = None) -> Encoder:
    """The encoder that ``config`` names: one over ``base``, or the base that ships, or a transformer.

    Raises:
        ConfigError: no encoder has the name, or a setting is not for it.
        RouterModelError: a sentence-transformers model does not load, or cannot be taken over.
    """
    name = config.encoder
    make = ENCODERS.get(name)
    if make is None:
        return _transformer(name, config, base)
    if config.precision != "auto":
        raise ConfigError(f"--precision {config.precision}: is for transformers; {name} finds its own")
    return make(base or Base.default(), config.max_tokens)


def _transformer(name: str, config: TrainConfig, base: Base | None) -> Transformer:
    if not ("/" in name or Path(name).is_dir() or MINILM.endswith(f"/{name}")):
        raise ConfigError(
            f"--encoder {name!r:.60}: give one of {', '.join(ENCODERS)}, or a sentence-transformers model as "
            "organisation/name or a folder"
        )
    if base:
        raise ConfigError(f"--base is for {', '.join(ENCODERS)}; --encoder {name} has its own")
    model = load_sentence_model(name)
    precision = "float32" if config.precision == "auto" else config.precision
    return Transformer(model, min(config.max_tokens, model.max_tokens), precision)
