"""What a router's graph says of prompts, as it stands: probabilities and embeddings.

N: prompts, K: tiers, D: columns of the embedding.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_model import tokens
from router_model.artifact import Artifact
from router_model.features import featurize
from router_model.frame import FramedTokenizer
from router_model.prompt import Prompt
from router_model.session import Session
from router_model.training.dataset import Encoded, encode

BLOCK_ROWS = 128


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a graph says of N prompts.

    Attributes:
        sufficiency: float64 [N, K].
        embedding: float64 [N, D].
    """

    sufficiency: NDArray[np.float64]
    embedding: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64]) -> "Reading":
        """Of some of the prompts."""
        return Reading(self.sufficiency[rows], self.embedding[rows])


def encode_for(artifact: Artifact, prompts: Sequence[Prompt]) -> Encoded:
    """Prompts as the artifact's graph reads them; raises TokenizerError where no tokenizer reads its file."""
    manifest = artifact.manifest
    if not manifest.frame:
        return encode(prompts, manifest.tokenizer_json, manifest.max_tokens, manifest.pairs)
    tokenizer = FramedTokenizer(tokens.load(manifest.tokenizer_json), manifest.frame)
    ids = tokenizer.encode_batch([prompt.text for prompt in prompts]).window(manifest.max_tokens)
    features = np.array([featurize(prompt) for prompt in prompts], np.float32)
    return Encoded(ids, features, frame=manifest.frame)


def read_by(graph: bytes, encoded: Encoded) -> Reading:
    """What ``graph`` says of at least one prompt; raises ArtifactError where it does not load."""
    session = Session(graph)
    # A transformer's int8 steps are each prompt's own where a router takes prompts one by one.
    step = 1 if encoded.frame else BLOCK_ROWS
    starts = range(0, len(encoded), step)
    blocks = [
        session.outputs(*encoded.inputs(np.arange(start, min(start + step, len(encoded)))))
        for start in starts
    ]
    sufficiency, embedding = (np.concatenate(part).astype(np.float64) for part in zip(*blocks, strict=True))
    return Reading(sufficiency, embedding)
