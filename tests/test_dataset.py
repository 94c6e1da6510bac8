"""Records as tensors: the same reading as serving's, padding, and an order drawn from seed and epoch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model import tokens
from router_model.base import Base
from router_model.features import FEATURES, featurize
from router_model.prompt import read
from router_model.training.dataset import DataModule, Encoded, EpochShuffle, Share
from router_model.training.encoders.static import Static

TEXTS = [
    "hello there",
    "",
    "Why does this deadlock?\n```\nlock.acquire()\n```",
    "日本語のテキスト",
    "word " * 900,
]


@pytest.fixture(scope="module")
def base() -> Base:
    return Base.default()


def made(lengths: list[int]) -> Encoded:
    """Rows of so many tokens, each row's tokens its own number."""
    ids = [np.full(length, row + 1, np.int32) for row, length in enumerate(lengths)]
    return Encoded(tokens.Ragged.of(ids), np.arange(2 * len(lengths), dtype=np.float32).reshape(-1, 2))


def data_module(lengths: list[int], train: list[int], held: list[int], batch_size: int = 2) -> DataModule:
    targets = np.tile([[0.0, np.nan]], (len(lengths), 1))
    return DataModule(
        made(lengths), targets, np.array(train), np.array(held, np.int64), Share(batch_size), seed=3
    )


def test_prompts_are_encoded_as_serving_reads_them(base: Base) -> None:
    prompts = [read(text) for text in TEXTS]
    encoded = Static(base, 32).encode(prompts)
    tokenizer = tokens.load(base.tokenizer_json)
    for prompt, ids, features in zip(prompts, encoded.ids.rows(), encoded.features, strict=True):
        whole = tokenizer.encode(prompt.text)
        assert ids.tolist() == (tokens.window(whole, 32).tolist() if whole.size else [])
        assert features.tolist() == pytest.approx(featurize(prompt), abs=1e-6)
    assert encoded.features.shape == (len(TEXTS), len(FEATURES))
    assert encoded.features.dtype == np.float32


def test_a_row_holds_at_most_the_window_and_a_block_at_least_one_column(base: Base) -> None:
    encoded = Static(base, 16).encode([read(text) for text in [*TEXTS, ""]])
    assert encoded.ids.lengths.max() == 16
    assert encoded.block([len(TEXTS)])[0].tolist() == [[0]]


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_block_is_its_rows_padded_with_zeros(lengths: list[int]) -> None:
    encoded = made(lengths)
    ids, features = encoded.block(np.arange(len(lengths))[::-1])
    assert ids.shape == (len(lengths), max(lengths))
    for block_row, row in enumerate(reversed(range(len(lengths)))):
        assert ids[block_row].tolist() == [row + 1] * lengths[row] + [0] * (max(lengths) - lengths[row])
        assert features[block_row].tolist() == encoded.features[row].tolist()


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    rows = np.arange(100, 200)
    one, other = EpochShuffle(rows, 1, Share(2)), EpochShuffle(rows, 1, Share(2))
    first = list(one)
    list(other), other.set_epoch(1), list(other)  # what went before must not matter
    other.set_epoch(0)
    assert list(other) == first
    assert sorted(first) == rows.tolist()
    one.set_epoch(1)
    assert list(one) != first
    assert list(EpochShuffle(rows, 2, Share(2))) != first


def test_training_batches_hold_each_training_row_once_with_its_targets() -> None:
    data = data_module([3, 1, 2, 5, 4], train=[0, 2, 3], held=[1, 4])
    batches = list(data.train_dataloader())
    assert [len(features) for _, features, _ in batches] == [2, 1]
    rows = sorted(int(features[0]) // 2 for _, batch, _ in batches for features in batch)
    assert rows == [0, 2, 3]
    for ids, features, targets in batches:
        assert ids.dtype == torch.int64
        assert [int(row[0]) - 1 for row in ids] == [int(row[0]) // 2 for row in features]
        assert targets[:, 0].tolist() == [0.0] * len(ids)
        assert targets[:, 1].isnan().all()


def test_validation_rows_come_in_order_of_length() -> None:
    data = data_module([9, 1, 5, 3, 7], train=[0], held=[4, 2, 1, 3], batch_size=1)
    assert [int((ids != 0).sum()) for ids, _, _ in data.val_dataloader()] == [1, 3, 5, 7]
