"""A sentence-transformers model, frozen, and a head that learns on its embedding and the features.

``tuned.py`` has the one that learns whole.

B: prompts, T: ids, D: columns of the embedding, F: features, H: hidden units, K: tiers.
"""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from router_model import tokens
from router_model.features import featurize
from router_model.frame import Frame, FramedTokenizer
from router_model.prompt import Prompt
from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded, moments, spans_of_ids
from router_model.training.encoders.encoder import Exported
from router_model.training.encoders.head import Head
from router_model.training.encoders.sentence import Sentence, SentenceModel
from router_model.training.encoders.transformer_graph import export

logger = logging.getLogger(__name__)

# Hundreds of columns over thousands of rows are learnt by heart soon, hence slower, and with more left out,
# than the static encoder's.
HEAD_RATE = 0.1  # of the learning rate
HEAD_DECAY = 0.3  # of AdamW
HEAD_DROPOUT = 0.5

_rows: dict[tuple[str, bytes], NDArray[np.float32]] = {}  # a pass takes tens of milliseconds a prompt


@dataclass(frozen=True)
class Transformer:
    """An encoder that reads prompts as ``model`` does, of each at most ``max_tokens`` tokens.

    Attributes:
        precision: of the graph, "float32", "float16" or "int8".
        device: of torch, that embeds prompts.
    """

    model: SentenceModel
    max_tokens: int
    precision: str = "float32"
    device: str = "cpu"
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
        encoded = self.read(prompts)
        return dataclasses.replace(encoded, embeddings=self._embed(encoded.ids))

    def read(self, prompts: Sequence[Prompt]) -> Encoded:
        """Their tokens."""
        tokenizer = FramedTokenizer(tokens.load(self.tokenizer_json), self.frame)
        return Encoded(
            ids=tokenizer.encode_batch([prompt.text for prompt in prompts]).window(self.max_tokens),
            features=np.array([featurize(prompt) for prompt in prompts], np.float32),
            frame=self.frame,
        )

    def _embed(self, ids: tokens.Ragged) -> NDArray[np.float32]:
        """float32 [N, D]; each row of ids is embedded once a process."""
        keys = [(self.model.fingerprint, row.tobytes()) for row in ids.rows()]
        fresh = np.array([n for n, key in enumerate(keys) if key not in _rows], np.int64)
        if fresh.size:
            logger.info("%s embeds %d prompts; this takes longest", self.source, fresh.size)
            found = embed(self.model.network, self.frame, ids.take(fresh), self.device)
            _rows.update(zip((keys[row] for row in fresh), found, strict=True))
        return np.stack([_rows[key] for key in keys])

    def embeddings(self, encoded: Encoded) -> NDArray[np.float64]:
        """The model's embedding of each row, float64 [N, D]."""
        return self._embed(encoded.ids).astype(np.float64)

    def new_network(self, features: NDArray[np.float32], tiers: int, config: TrainConfig) -> nn.Module:
        """A head over the model's embedding."""
        return self.head(features, tiers)

    def head(self, features: NDArray[np.float32], tiers: int) -> Head:
        """One that has learnt nothing."""
        return Head(self.model.columns, *moments(features), tiers, HEAD_DROPOUT)

    def parameter_groups(self, network: Any, config: TrainConfig) -> list[dict[str, Any]]:
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
        network: Any,
        calibration: Calibration,
        encoded: Encoded,
        ranked: Sequence[tuple[int, int]],
    ) -> Exported:
        """The model, the head and the calibration as one graph."""
        return export(self.model.network, network, calibration, encoded, self.precision)


@torch.inference_mode()
def embed(network: Sentence, frame: Frame, ids: tokens.Ragged, device: str) -> NDArray[np.float32]:
    """A model's embedding of each row of ids, float32 [N, D]; it is on the CPU before and after."""
    spans = spans_of_ids(ids.lengths + len(frame.start) + len(frame.end))
    network.to(device)
    blocks = []
    for rows in spans:
        framed = torch.from_numpy(frame.block(*ids.block(rows)).astype(np.int64))  # [B, S + T + E]
        blocks.append(network(framed.to(device)).cpu().numpy())  # [B, D]
    network.cpu()
    found: NDArray[np.float32] = np.concatenate(blocks)[np.argsort(np.concatenate(spans))]
    return found
