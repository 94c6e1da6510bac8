"""The static encoder: a weighted bag of token embeddings, the fastest and the default."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from router_model.bag import PAIR_IDS, PAIRED_HEAD, Pairs
from router_model.network import CONSTANT, Network
from router_model.prompt import Prompt
from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded, encode, moments
from router_model.training.encoders.distilled import Distilled
from router_model.training.encoders.encoder import Exported
from router_model.training.encoders.static_graph import float_graph, fold, int8_graph
from router_model.training.export import export


@dataclass(frozen=True)
class Static(Distilled):
    """``router_model.network.Network``, and its fold into one table."""

    name: ClassVar[str] = "static"

    @property
    def pairs(self) -> Pairs:
        """Ids behind the vocabulary."""
        return Pairs(len(self.base.table), PAIR_IDS, PAIRED_HEAD)

    def encode(self, prompts: Sequence[Prompt]) -> Encoded:
        """Their tokens and pairs."""
        return encode(prompts, self.tokenizer_json, self.max_tokens, self.pairs)

    def new_network(self, features: NDArray[np.float32], tiers: int, config: TrainConfig) -> Network:
        """A network over the base's table."""
        mean, deviation = moments(features)  # [F], [F]
        if self.learned:  # its weights are of features in its own units, where it saw them vary
            known = torch.from_numpy(self.learned.feature_deviation) > CONSTANT  # [F]
            mean = torch.where(known, torch.from_numpy(self.learned.feature_mean), mean)
            deviation = torch.where(known, torch.from_numpy(self.learned.feature_deviation), deviation)
        return Network(self.base, mean, deviation, tiers, config.dropout)

    def parameter_groups(self, network: Network, config: TrainConfig) -> list[dict[str, Any]]:
        """Those of the bag are all."""
        return bag_groups(network, config)

    def export(
        self,
        network: Network,
        calibration: Calibration,
        encoded: Encoded,
        ranked: Sequence[tuple[int, int]],
    ) -> Exported:
        """In int8, or float32 where int8 lost too much."""
        folded = fold(network, calibration)
        return export(float_graph(folded), int8_graph(folded), network, calibration, encoded, ranked)


def bag_groups(network: Network, config: TrainConfig, apart: Sequence[Tensor] = ()) -> list[dict[str, Any]]:
    """Parameter groups of all but ``apart``: the token tables learn faster, since each row is seen seldom."""
    tables = [network.token.weight, network.wide.weight]
    named = {id(parameter) for parameter in (*tables, *apart)}
    dense = [parameter for parameter in network.parameters() if id(parameter) not in named]
    return [
        {"params": [network.token.weight], "lr": config.token_learning_rate, "weight_decay": 0.0},
        {
            "params": [network.wide.weight],
            "lr": config.wide_learning_rate,
            "weight_decay": config.wide_weight_decay,
        },
        {"params": dense, "lr": config.learning_rate, "weight_decay": config.weight_decay},
    ]
