"""Records as the tensors that the network trains on.

N: records, B: a batch of them, T: its longest, F: features, K: tiers.
"""

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from router_model import tokens
from router_model.bag import Pairs
from router_model.features import featurize
from router_model.frame import Frame
from router_model.prompt import Prompt

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Encoded:
    """Prompts as the network reads them.

    Attributes:
        ids: of each prompt's tokens, within the window.
        features: float32 [N, F].
        pairs: of neighbouring tokens, which the graph reads beside them; none where None.
        frame: that the graph reads around them; none where None.
        embeddings: float32 [N, D], of an encoder whose lower part learns nothing: its network reads these.
    """

    ids: tokens.Ragged
    features: NDArray[np.float32]
    pairs: Pairs | None = None
    frame: Frame | None = None
    embeddings: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.features)

    def inputs(self, rows: NDArray[np.int64]) -> tuple[tokens.Ids, NDArray[np.float32]]:
        """Of some rows, what the graph reads: ids uint32 [B, T], 0 where none is, and features [B, F]."""
        ids, lengths = self.ids.block(rows)  # [B, T], [B]
        if self.pairs:
            ids = self.pairs.bags(ids, lengths)  # [B, T + H - 1]
        elif self.frame:
            ids = self.frame.block(ids, lengths)  # [B, S + T + E]
        return ids, self.features[rows]

    def block(self, rows: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Of some rows, what the network reads: ids int64 [B, T] or embeddings [B, D], features [B, F]."""
        rows = np.asarray(rows, np.int64)
        if self.embeddings is not None:
            return torch.from_numpy(self.embeddings[rows]), torch.from_numpy(self.features[rows])
        ids, features = self.inputs(rows)
        return torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(features)

    def take(self, rows: NDArray[np.int64]) -> "Encoded":
        """Some of the rows."""
        embeddings = None if self.embeddings is None else self.embeddings[rows]
        return Encoded(self.ids.take(rows), self.features[rows], self.pairs, self.frame, embeddings)


def encode(
    prompts: Sequence[Prompt], tokenizer_json: str, max_tokens: int, pairs: Pairs | None = None
) -> Encoded:
    """Tokenise and measure ``prompts`` as serving does."""
    tokenizer = tokens.load(tokenizer_json)
    return Encoded(
        ids=tokenizer.encode_batch([prompt.text for prompt in prompts]).window(max_tokens),
        features=np.array([featurize(prompt) for prompt in prompts], np.float32),
        pairs=pairs,
    )


def moments(features: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature, float32 [F] both, of [N, F]."""
    exact = features.astype(np.float64)
    return torch.from_numpy(exact.mean(axis=0)).float(), torch.from_numpy(exact.std(axis=0)).float()


class EpochShuffle(Sampler[int]):
    """The rows in an order drawn from seed and epoch alone, so that a resumed epoch is the same epoch."""

    def __init__(self, rows: NDArray[np.int64], seed: int) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        return iter(order.tolist())


class DataModule(lightning.LightningDataModule):
    """Training and validation batches: token ids [B, T], features [B, F], targets [B, K], NaN unknown."""

    def __init__(
        self,
        encoded: Encoded,
        targets: NDArray[np.float64],
        train_rows: NDArray[np.int64],
        validation_rows: NDArray[np.int64],
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.encoded = encoded
        self.targets = torch.from_numpy(targets.astype(np.float32))  # [N, K]
        self.train_rows = train_rows
        self.validation_rows = validation_rows
        self.batch_size = batch_size
        self.seed = seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled anew each epoch."""
        return self._loader(EpochShuffle(self.train_rows, self.seed))

    def val_dataloader(self) -> DataLoader[Batch]:
        """In order of length, which keeps padding small."""
        lengths = self.encoded.ids.lengths[self.validation_rows]
        return self._loader(self.validation_rows[np.argsort(lengths, kind="stable")].tolist())

    def _loader(self, sampler: Sized) -> DataLoader[Batch]:
        rows: Sequence[int] = range(len(self.encoded))
        return DataLoader(rows, self.batch_size, sampler=sampler, collate_fn=self._collate)  # type: ignore[arg-type]

    def _collate(self, rows: list[int]) -> Batch:
        return (*self.encoded.block(np.array(rows)), self.targets[rows])
