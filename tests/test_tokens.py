"""The two tokenizer backends give the same ids, whatever the text; windows and padding."""

import gzip
import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from router_model.base import Base
from router_model.errors import TokenizerError
from router_model.prompt import read
from router_model.tokens import HuggingFaceTokenizer, NanoTokenizer, Ragged, load, window

PROMPTS_PER_FILE = 3000
CODE_POINTS_PER_TEXT = 512
SPECIAL = ["[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]", "[cls]", "##ing", "[unused1]", "ing##", "[ SEP ]"]

Pair = tuple[NanoTokenizer, HuggingFaceTokenizer]


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    return Base.default().tokenizer_json


@pytest.fixture(scope="module")
def pair(tokenizer_json: str) -> Pair:
    return NanoTokenizer(tokenizer_json), HuggingFaceTokenizer(tokenizer_json)


def differing(pair: Pair, texts: list[str]) -> list[str]:
    """The texts of which the backends give different ids."""
    nano, hugging_face = (backend.encode_batch(texts).rows() for backend in pair)
    rows = zip(texts, nano, hugging_face, strict=True)
    return [text for text, ours, theirs in rows if not np.array_equal(ours, theirs)]


def test_every_code_point_alone_and_inside_a_word(pair: Pair) -> None:
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]
    assert len(points) == 1_112_064
    texts = [
        " ".join(f"{c} a{c}b" for c in points[start : start + CODE_POINTS_PER_TEXT])
        for start in range(0, len(points), CODE_POINTS_PER_TEXT)
    ]
    assert differing(pair, texts) == []


@given(st.lists(st.text(max_size=200), max_size=20))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_text(pair: Pair, texts: list[str]) -> None:
    assert differing(pair, texts) == []


@given(
    st.lists(
        st.sampled_from(
            [*SPECIAL, "the", "unbelievable", "é", "e\u0301", "字", "\u200d", "\0", "\t", " ", "x" * 99]
        )
    )
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_joining_of_special_tokens_words_and_marks(pair: Pair, pieces: list[str]) -> None:
    assert differing(pair, ["".join(pieces), " ".join(pieces)]) == []


@pytest.mark.parametrize("length", [99, 100, 101, 102, 10_000])
@pytest.mark.parametrize("letter", ["a", "é", "ß", "я", "ा", "7"])
def test_words_about_the_longest_that_are_looked_up(pair: Pair, letter: str, length: int) -> None:
    assert differing(pair, [letter * length, f"x {letter * length} y"]) == []


def test_real_prompts(pair: Pair, datasets: Path) -> None:
    paths = sorted(datasets.glob("*/*.jsonl.gz"))
    assert paths
    chance = random.Random(0)
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts = [read(json.loads(line)["prompt"]).text for line in lines]
        sample = chance.sample(texts, min(PROMPTS_PER_FILE, len(texts)))
        assert differing(pair, sample) == [], path


@pytest.mark.parametrize("backend", [0, 1])
def test_a_batch_gives_the_ids_of_one_by_one(pair: Pair, backend: int) -> None:
    chance = random.Random(1)
    alphabet = "abc xyz.,[SEP]字é\n\0"
    texts = ["", " ", *("".join(chance.choices(alphabet, k=chance.randrange(300))) for _ in range(300))]
    batch = pair[backend].encode_batch(texts).rows()
    assert all(row.dtype == np.uint32 for row in batch)
    assert all(
        np.array_equal(row, pair[backend].encode(text)) for row, text in zip(batch, texts, strict=True)
    )
    assert pair[backend].encode_batch([]).lengths.tolist() == []


def test_ids_are_below_the_vocabulary_and_no_special_tokens_are_added(pair: Pair) -> None:
    for backend in pair:
        ids = backend.encode("prove the theorem")
        assert ids.dtype == np.uint32
        assert 0 < ids.min() <= ids.max() < backend.vocabulary
        assert not {101, 102} & set(ids.tolist())


def test_the_fast_backend_is_taken_where_it_reads_the_file(tokenizer_json: str) -> None:
    assert isinstance(load(tokenizer_json), NanoTokenizer)


def test_a_tokenizer_of_another_kind_falls_back_to_hugging_face() -> None:
    words = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "hello": 1, "there": 2}, "unk_token": "[UNK]"},
    }
    tokenizer = load(json.dumps(words))
    assert isinstance(tokenizer, HuggingFaceTokenizer)
    assert tokenizer.encode("hello you there").tolist() == [1, 0, 2]


def test_truncation_and_padding_that_a_file_asks_for_are_not_done(tokenizer_json: str) -> None:
    value = json.loads(tokenizer_json)
    value["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    value["padding"] = {
        "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    plain = NanoTokenizer(tokenizer_json).encode("one two three four five six seven")
    for backend in (NanoTokenizer, HuggingFaceTokenizer):
        assert np.array_equal(backend(json.dumps(value)).encode("one two three four five six seven"), plain)


HOSTILE = ["", "{", "null", "[]", "{}", '"text"', "\ud800", "[" * 100_000, '{"model": {"type": "WordPiece"}}']


@pytest.mark.parametrize("text", HOSTILE)
def test_what_no_backend_reads_is_refused_with_every_reason(text: str) -> None:
    with pytest.raises(TokenizerError, match=r"nanotoken .*; tokenizers ") as caught:
        load(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("huge", [10**8, 2**31, 2**32 - 1])
def test_huge_ids_are_refused_and_do_not_end_the_process(tokenizer_json: str, huge: int) -> None:
    value = json.loads(tokenizer_json)
    value["model"]["vocab"] = {"[UNK]": 0, "a": huge}
    with pytest.raises(TokenizerError, match="ids of eight digits"):
        load(json.dumps(value))
    with pytest.raises(TokenizerError, match="ids of eight digits"):
        load(json.dumps(value, indent=1))


def altered(value: Any, chance: random.Random) -> Any:
    """A copy of a JSON value with one of its leaves or branches replaced."""
    if isinstance(value, dict | list) and value and chance.random() < 0.9:
        copy = value.copy()
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        copy[key] = altered(value[key], chance)
        return copy
    return chance.choice([None, -1, 10**30, "x", "\ud800", [], {}, True, 1.5, {"type": "Sequence"}])


def test_altered_files_are_read_or_refused(tokenizer_json: str) -> None:
    value = json.loads(tokenizer_json)
    value["model"]["vocab"] = dict(islice(value["model"]["vocab"].items(), 1200))
    chance = random.Random(2)
    refused = 0
    for _ in range(300):
        try:
            load(json.dumps(altered(value, chance)))
        except TokenizerError:
            refused += 1
    assert 0 < refused < 300


@given(hnp.arrays(np.uint32, st.integers(0, 60), elements=st.integers(1, 99)), st.integers(1, 70))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_window_keeps_head_and_tail(ids: np.ndarray, limit: int) -> None:
    kept = window(ids, limit)
    assert kept.dtype == np.uint32
    assert kept.size <= limit
    if ids.size <= limit:
        assert kept.tolist() == ids.tolist()
    else:
        tail = limit // 4
        assert kept.size == limit
        assert kept[: limit - tail].tolist() == ids[: limit - tail].tolist()
        assert kept[limit - tail :].tolist() == ids[ids.size - tail :].tolist()


some_rows = st.lists(hnp.arrays(np.uint32, st.integers(0, 20), elements=st.integers(1, 99)), max_size=10)


@given(some_rows, st.integers(1, 25), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_block_holds_the_window_of_every_row_and_fills_with_zeros(
    rows: list[np.ndarray], limit: int, chance: random.Random
) -> None:
    order = [chance.randrange(len(rows)) for _ in rows]
    expected = [window(rows[row], limit).tolist() for row in order]
    block, lengths = Ragged.of(rows).block(np.array(order, np.int64), limit)
    assert lengths.tolist() == list(map(len, expected))
    assert block.dtype == np.uint32
    assert block.shape == (len(rows), max([1, *map(len, expected)]))
    assert [line[line != 0].tolist() for line in block] == expected


@given(some_rows, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_rows_are_taken_in_any_order_and_any_of_them(rows: list[np.ndarray], chance: random.Random) -> None:
    order = [chance.randrange(len(rows)) for _ in range(2 * len(rows))]
    taken = Ragged.of(rows).take(np.array(order, np.int64))
    assert [row.tolist() for row in taken.rows()] == [rows[row].tolist() for row in order]
    assert taken.lengths.tolist() == [rows[row].size for row in order]


@given(some_rows, st.integers(1, 25))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_windows_of_rows_are_those_of_each(rows: list[np.ndarray], limit: int) -> None:
    windows = Ragged.of(rows).window(limit)
    expected = [window(row, limit).tolist() for row in rows]
    assert [row.tolist() for row in windows.rows()] == expected
