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
NOBODY = -1  # in the place of a row, where a process's share of a batch has none
BLOCK_ROWS = 256
BLOCK_IDS = 4096  # of prompts that a transformer reads at once


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

    def spans(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Places in ``rows``, in blocks that a network reads at once, of alike length: little is padded."""
        lengths = self.ids.lengths[rows]
        if self.frame and self.embeddings is None:
            return spans_of_ids(lengths + len(self.frame.start) + len(self.frame.end))
        order = np.argsort(lengths, kind="stable")
        return [order[start : start + BLOCK_ROWS] for start in range(0, len(order), BLOCK_ROWS)]

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


def spans_of_ids(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows in blocks of at most ``BLOCK_IDS`` ids, or one row; the longest first."""
    order, start, spans = np.argsort(-lengths, kind="stable"), 0, []
    while start < len(order):
        spans.append(order[start : start + max(1, BLOCK_IDS // int(lengths[order[start]]))])
        start += len(spans[-1])
    return spans


def moments(features: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature, float32 [F] both, of [N, F]."""
    exact = features.astype(np.float64)
    return torch.from_numpy(exact.mean(axis=0)).float(), torch.from_numpy(exact.std(axis=0)).float()


@dataclass(frozen=True)
class Share:
    """What one of several processes has of each batch.

    Attributes:
        batch_size: rows of a whole batch.
        rank: of this process, from 0.
        ranks: how many processes there are.
    """

    batch_size: int
    rank: int = 0
    ranks: int = 1

    @property
    def size(self) -> int:
        """Rows of this process's share, at most."""
        return -(-self.batch_size // self.ranks)

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Its rows, batch after batch; all shares of a batch are alike, with ``NOBODY`` where rows lack."""
        if self.ranks == 1:
            return rows
        parts = [rows[:0]]
        for start in range(0, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            size = -(-len(batch) // self.ranks)
            filled = np.append(batch, np.full(size * self.ranks - len(batch), NOBODY))
            parts.append(filled[self.rank * size : (self.rank + 1) * size])
        return np.concatenate(parts)


class EpochShuffle(Sampler[int]):
    """The rows in an order drawn from seed and epoch alone, so that a resumed epoch is the same epoch."""

    def __init__(self, rows: NDArray[np.int64], seed: int, share: Share) -> None:
        self.rows = rows
        self.seed = seed
        self.share = share
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.share.of(self.rows))

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        return iter(self.share.of(order).tolist())


class DataModule(lightning.LightningDataModule):
    """Training and validation batches: token ids [B, T], features [B, F], targets [B, K], NaN unknown."""

    def __init__(
        self,
        encoded: Encoded,
        targets: NDArray[np.float64],
        train_rows: NDArray[np.int64],
        validation_rows: NDArray[np.int64],
        share: Share,
        seed: int,
    ) -> None:
        super().__init__()
        self.encoded = encoded
        unknown = np.full_like(targets[:1], np.nan)  # of nobody, who is read as row 0
        self.targets = torch.from_numpy(np.concatenate([targets, unknown]).astype(np.float32))  # [N + 1, K]
        self.train_rows = train_rows
        self.validation_rows = validation_rows
        self.share = share
        self.seed = seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled anew each epoch."""
        return self._loader(EpochShuffle(self.train_rows, self.seed, self.share))

    def val_dataloader(self) -> DataLoader[Batch]:
        """In order of length, which keeps padding small."""
        lengths = self.encoded.ids.lengths[self.validation_rows]
        return self._loader(self.share.of(self.validation_rows[np.argsort(lengths, kind="stable")]).tolist())

    def _loader(self, sampler: Sized) -> DataLoader[Batch]:
        rows: Sequence[int] = range(len(self.targets))  # the last of which is NOBODY
        return DataLoader(rows, self.share.size, sampler=sampler, collate_fn=self._collate)  # type: ignore[arg-type]

    def _collate(self, rows: list[int]) -> Batch:
        return (*self.encoded.block(np.array(rows) % len(self.encoded)), self.targets[rows])
