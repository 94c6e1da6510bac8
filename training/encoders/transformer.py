"""A sentence-transformers model, frozen, and a head that learns on its embedding and the features.

B: prompts, T: ids, D: columns of the embedding, F: features, H: hidden units, K: tiers.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from router_model import tokens
from router_model.features import featurize
from router_model.frame import Frame, FramedTokenizer
from router_model.prompt import Prompt
from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded, moments
from router_model.training.encoders.encoder import Exported
from router_model.training.encoders.head import Head
from router_model.training.encoders.sentence import SentenceModel
from router_model.training.encoders.transformer_graph import export

logger = logging.getLogger(__name__)

# Hundreds of columns over thousands of rows are learnt by heart soon, hence slower, and with more left out,
# than the static encoder's.
HEAD_RATE = 0.1  # of the learning rate
HEAD_DECAY = 0.3  # of AdamW
HEAD_DROPOUT = 0.5
BLOCK_IDS = 4096  # of prompts that are embedded at once

_rows: dict[tuple[str, bytes], NDArray[np.float32]] = {}  # a pass takes tens of milliseconds a prompt


@dataclass(frozen=True)
class Transformer:
    """An encoder that reads prompts as ``model`` does, of each at most ``max_tokens`` tokens.

    Attributes:
        precision: of the graph, "float32", "float16" or "int8".
    """

    model: SentenceModel
    max_tokens: int
    precision: str = "float32"
    pairs: ClassVar[None] = None
    learned: ClassVar[None] = None

    @property
    def name(self) -> str:
        """That of the model."""
        return self.model.source

    @property
    def source(self) -> str:
        """That of the model."""
        return self.model.source

    @property
    def tokenizer_json(self) -> str:
        """The model's own."""
        return self.model.tokenizer_json

    @property
    def frame(self) -> Frame:
        """What the model's tokenizer puts around a text."""
        return self.model.frame

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model's weights, and the precision."""
        return f"{self.model.fingerprint} {self.precision}"

    def encode(self, prompts: Sequence[Prompt]) -> Encoded:
        """Their tokens, and the model's embedding of each, which no training changes."""
        tokenizer = FramedTokenizer(tokens.load(self.tokenizer_json), self.frame)
        ids = tokenizer.encode_batch([prompt.text for prompt in prompts]).window(self.max_tokens)
        return Encoded(
            ids=ids,
            features=np.array([featurize(prompt) for prompt in prompts], np.float32),
            frame=self.frame,
            embeddings=self._embed(ids),
        )

    def _embed(self, ids: tokens.Ragged) -> NDArray[np.float32]:
        """float32 [N, D]; each row of ids is embedded once a process."""
        keys = [(self.model.fingerprint, row.tobytes()) for row in ids.rows()]
        fresh = np.array([n for n, key in enumerate(keys) if key not in _rows], np.int64)
        if fresh.size:
            logger.info("%s embeds %d prompts; this takes longest", self.source, fresh.size)
        order, start = fresh[np.argsort(-ids.lengths[fresh], kind="stable")], 0
        while start < len(order):
            longest = int(ids.lengths[order[start]]) + len(self.frame.start) + len(self.frame.end)
            rows = order[start : start + max(1, BLOCK_IDS // longest)]
            start += len(rows)
            framed = torch.from_numpy(self.frame.block(*ids.block(rows)).astype(np.int64))  # [B, S + T + E]
            with torch.inference_mode():
                found = self.model.network(framed).numpy()  # [B, D]
            _rows.update(zip((keys[row] for row in rows), found, strict=True))
        return np.stack([_rows[key] for key in keys])

    def embeddings(self, encoded: Encoded) -> NDArray[np.float64]:
        """The model's embedding of each row, float64 [N, D]."""
        return self._embed(encoded.ids).astype(np.float64)

    def new_network(self, features: NDArray[np.float32], tiers: int, config: TrainConfig) -> Head:
        """A head over the model's embedding."""
        return Head(self.model.columns, *moments(features), tiers, HEAD_DROPOUT)

    def parameter_groups(self, network: Head, config: TrainConfig) -> list[dict[str, Any]]:
        """One: all layers are dense."""
        return [
            {
                "params": list(network.parameters()),
                "lr": HEAD_RATE * config.learning_rate,
                "weight_decay": HEAD_DECAY,
            }
        ]

    def export(
        self,
        network: Head,
        calibration: Calibration,
        encoded: Encoded,
        ranked: Sequence[tuple[int, int]],
    ) -> Exported:
        """The model, the head and the calibration as one graph."""
        return export(self.model.network, network, calibration, encoded, self.precision)
