"""The head that learns on a frozen embedding: one hidden layer beside a straight one.

B: prompts, D: columns of the embedding, F: features, H: hidden units, K: tiers.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from router_model.network import CONSTANT, REACH

HIDDEN = 128


class Head(nn.Module):
    """Sufficiency logits of an embedding and features.

    Args:
        columns: D.
        feature_mean: float32 [F]; features are standardised with it.
        feature_deviation: float32 [F], standard deviations, 0 or more.
        tiers: K, 2 to 16.
        dropout: probability that a column or a hidden unit is dropped in training.
    """

    def __init__(
        self, columns: int, feature_mean: Tensor, feature_deviation: Tensor, tiers: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.register_buffer("feature_mean", feature_mean, persistent=False)  # [F]
        varies = feature_deviation > CONSTANT  # [F]
        scale = torch.where(varies, feature_deviation, torch.ones_like(feature_deviation))  # [F]
        self.register_buffer("feature_scale", scale, persistent=False)  # [F]
        self.register_buffer("feature_reach", REACH * varies, persistent=False)  # [F]
        self.spread = math.sqrt(columns)  # of a vector of length 1, columns with a deviation of about 1
        joined = columns + len(feature_mean)
        self.hidden = nn.Linear(joined, HIDDEN)
        self.head = nn.Linear(HIDDEN, tiers)
        self.straight = nn.Linear(joined, tiers)
        nn.init.zeros_(self.straight.weight)
        self.dropout = nn.Dropout(dropout)

    feature_mean: Tensor
    feature_scale: Tensor
    feature_reach: Tensor

    def forward(self, embedding: Tensor, features: Tensor) -> Tensor:
        """Logits [B, K] of float32 [B, D], of length 1 or so, and [B, F]."""
        known = (features - self.feature_mean) / self.feature_scale  # [B, F]
        known = torch.minimum(torch.maximum(known, -self.feature_reach), self.feature_reach)  # [B, F]
        joined = torch.cat([self.dropout(embedding * self.spread), known], dim=1)  # [B, D + F]
        hidden = self.dropout(F.relu(self.hidden(joined)))  # [B, H]
        logits: Tensor = self.head(hidden) + self.straight(joined)  # [B, K]
        return logits
