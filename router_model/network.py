"""The network: a weighted bag of token embeddings and the features, and a head that gives sufficiency.

Two ways lead to the logits. The deep one pools a frozen table by learned token weights, joins the features
and passes one hidden layer. The wide one gives every token, and every pair of neighbours, a learned addend
per tier (Cheng et al. 2016), which finds the words that a distilled table does not tell apart. Both pool
linearly, so that export folds them into one table.

B: prompts, T: ids of the bag, V: vocabulary, P: ids of pairs, D: base columns, F: features, H: hidden units,
K: tiers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from router_model.bag import PAIR_IDS
from router_model.base import Base
from router_model.learned import Learned

PAD = 0
# Columns of the folded table: H hidden units, two for each tier and the total of the weights. As int8 a row
# is one line of a processor's cache.
WIDTH = 64
REACH = 4.0  # standard deviations: beyond, a feature is as good as at the edge of what training saw
CONSTANT = 1e-3  # a feature that varies less was constant in training, and has no say
EMPTY = 1e-6  # weight of a text without tokens, so that its mean is zero and not 0/0


def hidden_units(tiers: int) -> int:
    """H, such that the hidden units, the wide part and the total fill the folded table's columns."""
    return WIDTH - 2 * tiers - 1


class Network(nn.Module):
    """Sufficiency logits of token ids and features.

    Args:
        base: the frozen table, and the token weights to start from, or all that a router learnt on it.
        feature_mean: float32 [F]; features are standardised with it.
        feature_deviation: float32 [F], standard deviations, 0 or more.
        tiers: K, 2 to 16.
        dropout: probability that a pooled column or a hidden unit is dropped in training.
    """

    def __init__(
        self, base: Base, feature_mean: Tensor, feature_deviation: Tensor, tiers: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.vocabulary, columns = base.table.shape
        ids = self.vocabulary + PAIR_IDS
        features, hidden = len(feature_mean), hidden_units(tiers)
        # Not persistent: checkpoints hold what was learned, and the base is at hand wherever one is read.
        self.register_buffer("table", torch.from_numpy(base.embeddings()), persistent=False)  # [V, D]
        self.register_buffer("feature_mean", feature_mean, persistent=False)  # [F]
        varies = feature_deviation > CONSTANT  # [F]
        scale = torch.where(varies, feature_deviation, torch.ones_like(feature_deviation))  # [F]
        self.register_buffer("feature_scale", scale, persistent=False)  # [F]
        self.register_buffer("feature_reach", REACH * varies, persistent=False)  # [F]
        self.token = nn.Embedding(ids, 1)  # [V + P, 1], log weights
        log_weight = torch.from_numpy(base.log_weight)  # [V]
        of_pairs = log_weight.median().expand(PAIR_IDS)  # [P]
        self.token.weight.data = torch.cat([log_weight, of_pairs]).unsqueeze(1)
        self.wide = nn.Embedding(ids, tiers)  # [V + P, K]
        nn.init.zeros_(self.wide.weight)
        self.wide_features = nn.Linear(features, tiers)
        self.hidden = nn.Linear(columns + features, hidden)
        self.head = nn.Linear(hidden, tiers)
        self.dropout = nn.Dropout(dropout)
        if base.learned:
            self._start_from(base.learned.for_tiers(tiers))

    table: Tensor
    feature_mean: Tensor
    feature_scale: Tensor
    feature_reach: Tensor

    @torch.no_grad()
    def _start_from(self, learned: Learned) -> None:
        """Take over what a router of as many tiers learnt; a unit that it did not have says nothing yet."""
        units = min(self.hidden.out_features, len(learned.hidden))
        self.token.weight[:, 0] = torch.from_numpy(learned.token)
        self.wide.weight[:] = torch.from_numpy(learned.wide)
        self.wide_features.weight[:] = torch.from_numpy(learned.wide_features)
        self.wide_features.bias.zero_()
        self.hidden.weight[:units] = torch.from_numpy(learned.hidden[:units])
        self.hidden.bias[:units] = torch.from_numpy(learned.hidden_bias[:units])
        self.head.weight.zero_()
        self.head.weight[:, :units] = torch.from_numpy(learned.head[:, :units])
        self.head.bias[:] = torch.from_numpy(learned.bias)

    def forward(self, token_ids: Tensor, features: Tensor) -> Tensor:
        """Logits [B, K] of ``token_ids`` int [B, T], 0 where none is, and ``features`` float32 [B, F]."""
        weight = self.token(token_ids).squeeze(2).exp() * (token_ids != PAD)  # [B, T]
        tokens = token_ids * (token_ids < self.vocabulary)  # [B, T], the pairs as padding
        total = (weight * (tokens != PAD)).sum(dim=1, keepdim=True).clamp_min(EMPTY)  # [B, 1]
        pooled = self._bag(tokens, self.table, weight) / total  # [B, D]
        wide = self._bag(token_ids, self.wide.weight, weight) / total  # [B, K]
        known = (features - self.feature_mean) / self.feature_scale  # [B, F]
        known = known.clamp(-self.feature_reach, self.feature_reach)  # [B, F]
        joined = torch.cat([self.dropout(pooled), known], dim=1)  # [B, D + F]
        hidden = self.dropout(F.relu(self.hidden(joined)))  # [B, H]
        logits: Tensor = self.head(hidden) + wide + self.wide_features(known)  # [B, K]
        return logits

    @staticmethod
    def _bag(token_ids: Tensor, table: Tensor, weight: Tensor) -> Tensor:
        """Weighted sum of rows: [B, T], [V, N], [B, T] -> [B, N]."""
        return F.embedding_bag(token_ids, table, per_sample_weights=weight, mode="sum", padding_idx=PAD)
