"""Encoders by the name that ``--encoder`` takes."""

from collections.abc import Callable

from router_model.base import Base
from router_model.errors import ConfigError
from router_model.training.config import TrainConfig
from router_model.training.encoders.encoder import Encoder
from router_model.training.encoders.static import Static

ENCODERS: dict[str, Callable[[Base, int], Encoder]] = {Static.name: Static}


def load(config: TrainConfig, base: Base | None = None) -> Encoder:
    """The encoder that ``config`` names, over ``base``, or the base that ships.

    Raises:
        ConfigError: no encoder has the name.
    """
    make = ENCODERS.get(config.encoder)
    if make is None:
        raise ConfigError(f"--encoder {config.encoder!r}: give one of {', '.join(ENCODERS)}")
    return make(base or Base.default(), config.max_tokens)
