"""A sentence-transformers model that learns with its head, at a rate of its own.

B: prompts, T: ids, D: columns of the embedding, F: features, K: tiers.
"""

import dataclasses
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from router_model.prompt import Prompt
from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded
from router_model.training.encoders.encoder import Exported
from router_model.training.encoders.head import Head
from router_model.training.encoders.sentence import Sentence
from router_model.training.encoders.transformer import Transformer, embed
from router_model.training.encoders.transformer_graph import checked_rows, export


class TunedNetwork(nn.Module):
    """Sufficiency logits of token ids and features, by a model and a head that learn."""

    def __init__(self, sentence: Sentence, head: Head) -> None:
        super().__init__()
        self.sentence = sentence
        self.head = head

    def forward(self, token_ids: Tensor, features: Tensor) -> Tensor:
        """Logits [B, K] of int [B, T] in their frame, 0 where none is, and float32 [B, F]."""
        logits: Tensor = self.head(self.sentence(token_ids), features)  # [B, K]
        return logits


@dataclass(frozen=True)
class Tuned(Transformer):
    """``Transformer``, with all of the model in training."""

    @property
    def source(self) -> str:
        """The model's name."""
        return f"{self.model.source}, fine-tuned"

    def encode(self, prompts: Sequence[Prompt]) -> Encoded:
        """Their tokens: what the model makes of them changes at each step."""
        return self.read(prompts)

    def new_network(self, features: NDArray[np.float32], tiers: int, config: TrainConfig) -> TunedNetwork:
        """A head over a copy of the model, in training mode: it was loaded in the other."""
        network = TunedNetwork(deepcopy(self.model.network), self.head(features, tiers)).train()
        frame = torch.tensor([[*self.frame.start, *self.frame.end]])  # [1, S + E]
        freeze_idle(network, frame, torch.from_numpy(features[:1]))
        return network

    def parameter_groups(self, network: TunedNetwork, config: TrainConfig) -> list[dict[str, Any]]:
        """The head's, and the model's at its own rate, whose biases and norms do not decay."""
        learning = [parameter for parameter in network.sentence.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in learning if parameter.ndim > 1]
        vectors = [parameter for parameter in learning if parameter.ndim <= 1]
        rate = {"lr": config.encoder_learning_rate}
        return [
            *super().parameter_groups(network.head, config),
            {"params": matrices, "weight_decay": config.weight_decay, **rate},
            {"params": vectors, "weight_decay": 0.0, **rate},
        ]

    def export(
        self,
        network: TunedNetwork,
        calibration: Calibration,
        encoded: Encoded,
        ranked: Sequence[tuple[int, int]],
    ) -> Exported:
        """The model as it is by now, the head and the calibration as one graph."""
        seen = encoded.take(checked_rows(encoded))
        found = embed(network.sentence, self.frame, seen.ids, self.device)
        seen = dataclasses.replace(seen, embeddings=found)
        return export(network.sentence, network.head, calibration, seen, self.precision)


def freeze_idle(network: nn.Module, token_ids: Tensor, features: Tensor) -> None:
    """Take parameters out of training that logits do not come from, such as BERT's pooler.

    Processes that train together wait for the gradient of each that is in training.
    """
    network(token_ids, features).sum().backward()
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
