"""The window encoder: static, and windows of three tokens, for those who want word order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded, moments
from router_model.training.encoders.distilled import Distilled
from router_model.training.encoders.encoder import Exported
from router_model.training.encoders.static import bag_groups
from router_model.training.encoders.window_graph import graphs
from router_model.training.encoders.window_network import WindowNetwork
from router_model.training.export import export

SLOWER = 0.25  # of the learning rate: faster, the windows learn the training rows by heart


@dataclass(frozen=True)
class Window(Distilled):
    """``WindowNetwork``; its graph reads the tokens in their order, and no bag."""

    name: ClassVar[str] = "window"
    pairs: ClassVar[None] = None

    def new_network(self, features: NDArray[np.float32], tiers: int, config: TrainConfig) -> WindowNetwork:
        """A network over the base's table."""
        return WindowNetwork(self.base, *moments(features), tiers, config.dropout)

    def parameter_groups(self, network: WindowNetwork, config: TrainConfig) -> list[dict[str, Any]]:
        """The bag as the static encoder's, the windows at a quarter of the dense layers' rate."""
        windows = [network.places.weight, network.places_bias, network.window_head.weight]
        rates = {"lr": SLOWER * config.learning_rate, "weight_decay": config.weight_decay}
        return [*bag_groups(network, config, apart=windows), {"params": windows, **rates}]

    def export(
        self,
        network: WindowNetwork,
        calibration: Calibration,
        encoded: Encoded,
        ranked: Sequence[tuple[int, int]],
    ) -> Exported:
        """In int8, or float32 where int8 lost too much."""
        return export(*graphs(network, calibration), network, calibration, encoded, ranked)
