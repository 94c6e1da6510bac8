"""What training asks of an encoder; whatever gives it can be trained, measured and exported.

N: prompts, B: a batch of them, T: tokens, F: features, K: tiers, D: columns of an embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from router_model.bag import Pairs
from router_model.frame import Frame
from router_model.learned import Learned
from router_model.prompt import Prompt
from router_model.providers import CPU
from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded


@dataclass(frozen=True)
class Exported:
    """A checked graph.

    Attributes:
        graph: the ONNX model's bytes, without metadata.
        precision: of its weights, such as "int8", or "float32" where int8 lost too much.
        checks: the largest differences that were found.
        providers: of ONNX Runtime that the graph is meant for, best first.
    """

    graph: bytes
    precision: str
    checks: dict[str, float]
    providers: tuple[str, ...] = (CPU,)


class Encoder(Protocol):
    """One kind of network over one tokenizer, before it has learnt anything of a ladder.

    A network is a module that gives logits float32 [B, K] of what ``Encoded.block`` gives, ids int64 [B, T]
    and features float32 [B, F]; ``network`` in these methods is one of the encoder's own. An encoder whose
    lower part learns nothing may compute it once, in ``encode``, and have its ``Encoded`` give that.
    """

    @property
    def name(self) -> str:
        """As ``--encoder`` calls it and the manifest records it."""

    @property
    def source(self) -> str:
        """The model that its first weights come from, for people."""

    @property
    def tokenizer_json(self) -> str:
        """The tokenizer file, whole."""

    @property
    def max_tokens(self) -> int:
        """The window of tokens per prompt that it reads: as asked for, or less where it can read no more."""

    @property
    def pairs(self) -> Pairs | None:
        """The ids of pairs of tokens, where its graph reads bags of both; None where it reads the tokens."""

    @property
    def frame(self) -> Frame | None:
        """What stands around a text's tokens in its graph's input; None where nothing does."""

    @property
    def learned(self) -> Learned | None:
        """What a router learnt, where training goes on from there."""

    @property
    def fingerprint(self) -> str:
        """What tells its weights from all others', so that no run goes on from another's state."""

    def encode(self, prompts: Sequence[Prompt]) -> Encoded:
        """Tokenise and measure ``prompts`` as serving does."""

    def embeddings(self, encoded: Encoded) -> NDArray[np.float64]:
        """A vector of each row that no label has touched, float64 [N, D]."""

    def new_network(self, features: NDArray[np.float32], tiers: int, config: TrainConfig) -> nn.Module:
        """An untrained network whose features are standardised by those of its training rows, [N, F]."""

    def parameter_groups(self, network: Any, config: TrainConfig) -> list[dict[str, Any]]:
        """What AdamW is to optimise, with the rates of each part."""

    def export(
        self,
        network: Any,
        calibration: Calibration,
        encoded: Encoded,
        ranked: Sequence[tuple[int, int]],
    ) -> Exported:
        """The network and its calibration as a graph, checked on up to 2,000 rows of ``encoded``.

        The graph has the contract of ``router_model.session``: inputs token_ids int32 [B, T], 0 where none
        is, and features float32 [B, F]; outputs sufficiency float32 [B, K] and embedding float32 [B, D].

        Args:
            ranked: pairs of tiers whose ordering of prompts less precise weights must keep.

        Raises:
            ExportError: the graph differs from the network by more than 1e-4.
        """
