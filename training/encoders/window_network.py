"""The window network: the static one, and windows of three tokens that see which word follows which.

The static bag, its pairs of neighbours among it, stays as it is. Beside it a convolution over three tokens of
the frozen table, a ReLU and a weighted mean (Kim 2014) add to the logits; what they add starts from nothing,
so that few rows leave it near the static network. The convolution is linear in each token, so that export
folds it into a table for each place of the window.

B: prompts, T: tokens, P: pairs, V: vocabulary, C: columns of the base that windows read, U: units,
F: features, K: tiers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from router_model.bag import MULTIPLIER, PAIR_IDS, PAIRED_HEAD
from router_model.base import Base
from router_model.network import EMPTY, PAD, Network

PLACES = 3  # tokens of a window
UNITS = 32
COLUMNS = 64  # the first of the base's, whose columns are in order of variance


class WindowNetwork(Network):
    """Sufficiency logits of token ids in their order, and features; arguments as of ``Network``."""

    def __init__(
        self, base: Base, feature_mean: Tensor, feature_deviation: Tensor, tiers: int, dropout: float = 0.0
    ) -> None:
        super().__init__(base, feature_mean, feature_deviation, tiers, dropout)
        read = self.table[:, :COLUMNS].clone()  # [V, C]
        read[PAD] = 0.0
        self.register_buffer("read", read, persistent=False)
        self.places = nn.Linear(read.shape[1], PLACES * UNITS, bias=False)
        self.places_bias = nn.Parameter(torch.zeros(UNITS))
        self.window_head = nn.Linear(UNITS, tiers, bias=False)
        nn.init.zeros_(self.window_head.weight)

    read: Tensor

    def forward(self, token_ids: Tensor, features: Tensor) -> Tensor:
        """Logits [B, K] of ``token_ids`` int [B, T], 0 where none is, and ``features`` float32 [B, F]."""
        windows = self.dropout(self.windows(token_ids))  # [B, U]
        logits: Tensor = super().forward(self.bag(token_ids), features) + self.window_head(windows)  # [B, K]
        return logits

    def bag(self, token_ids: Tensor) -> Tensor:
        """Tokens and pairs, each once, as ``Pairs.bags`` gives them: int64 [B, T] -> [B, T + P]."""
        left = token_ids[:, : min(token_ids.shape[1], PAIRED_HEAD) - 1]  # [B, P]
        right = token_ids[:, 1:PAIRED_HEAD]  # [B, P]
        pairs = (left * MULTIPLIER + right) % PAIR_IDS + self.vocabulary  # [B, P]
        every = torch.cat([token_ids, pairs * (right != PAD)], dim=1).sort(dim=1).values  # [B, T + P]
        repeated = every.diff(dim=1, prepend=torch.full_like(every[:, :1], PAD)) == 0  # [B, T + P]
        return every.masked_fill(repeated, PAD)

    def windows(self, token_ids: Tensor) -> Tensor:
        """Mean over the windows, weighted by their first tokens, float32 [B, U]."""
        first, second, third = self.place_tables()  # [V, U] each
        longer = F.pad(token_ids, (0, PLACES - 1), value=PAD)  # [B, T + 2]
        line = F.embedding(token_ids, first) + F.embedding(longer[:, 1:-1], second)  # [B, T, U]
        hidden = F.relu(line + F.embedding(longer[:, 2:], third))  # [B, T, U]
        weight = self.token(token_ids).exp() * (token_ids != PAD).unsqueeze(2)  # [B, T, 1]
        mean: Tensor = (weight * hidden).sum(dim=1) / weight.sum(dim=1).clamp_min(EMPTY)  # [B, U]
        return mean

    def place_tables(self) -> tuple[Tensor, ...]:
        """What a token adds to the units at each place of a window, float32 [V, U] each."""
        first, *others = self.places(self.read).chunk(PLACES, dim=1)
        return first + self.places_bias, *others
