"""A vocabulary cut to what texts use: these are read as before, others are still read."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.base import Base
from router_model.data.corpus import starter_records
from router_model.errors import ConfigError
from router_model.tokens import BACKENDS, load
from router_model.training.vocabulary import cut, used

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed: router-model[hf]")

PIECES = ["WordPiece", "BPE", "byte BPE", "Unigram"]
KINDS = [*PIECES, "WordLevel"]
TEXTS = [record.prompt.text for record in starter_records()][:300]


def trained(kind: str) -> str:
    """A tokenizer of 800 tokens, as its library writes it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    special, unknown = ["[PAD]", "[UNK]"], {"unk_token": "[UNK]"}
    model, trainer = {
        "WordPiece": (models.WordPiece(**unknown), trainers.WordPieceTrainer),
        "BPE": (models.BPE(**unknown), trainers.BpeTrainer),
        "byte BPE": (models.BPE(), trainers.BpeTrainer),
        "Unigram": (models.Unigram(), trainers.UnigramTrainer),
        "WordLevel": (models.WordLevel(**unknown), trainers.WordLevelTrainer),
    }[kind]
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = {
        "byte BPE": pre_tokenizers.ByteLevel(add_prefix_space=False),
        "Unigram": pre_tokenizers.Metaspace(),
    }.get(kind, pre_tokenizers.Whitespace())
    wanted: dict[str, Any] = {"vocab_size": 800, "special_tokens": special, "show_progress": False}
    tokenizer.train_from_iterator(TEXTS, trainer(**wanted | (unknown if kind == "Unigram" else {})))
    return str(tokenizer.to_str())


@pytest.fixture(scope="module")
def tokenizer_of() -> dict[str, str]:
    return {kind: trained(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(chosen=st.sets(st.integers(0, len(TEXTS) - 1), max_size=12))
def test_the_texts_are_read_as_before(kind: str, tokenizer_of: dict[str, str], chosen: set[int]) -> None:
    whole, texts = tokenizer_of[kind], [TEXTS[number] for number in sorted(chosen)]
    kept = used(whole, texts)
    shorter = cut(whole, kept)
    assert kept == sorted(set(kept))
    assert load(shorter).vocabulary == len(kept) < load(whole).vocabulary
    before, after = (load(text).encode_batch(texts).flat for text in (whole, shorter))
    assert np.array(kept, np.int64)[after].tolist() == before.tolist()


@pytest.mark.parametrize("kind", PIECES)
def test_other_texts_are_read_in_smaller_pieces(kind: str, tokenizer_of: dict[str, str]) -> None:
    from tokenizers import Tokenizer

    whole = tokenizer_of[kind]
    shorter = cut(whole, used(whole, TEXTS[:2]))
    before, after = (Tokenizer.from_str(text) for text in (whole, shorter))
    for text in TEXTS[200:]:
        said, says = before.encode(text), after.encode(text)
        assert says.tokens.count("[UNK]") <= said.tokens.count("[UNK]")
        assert len(says.ids) >= len(said.ids)


def test_both_backends_read_a_cut_vocabulary() -> None:
    whole = Base.default().tokenizer_json
    kept = used(whole, TEXTS)
    shorter = cut(whole, kept)
    assert len(kept) < 0.4 * load(whole).vocabulary
    asked = [*TEXTS, "", "naïve ZÜRICH 字 \u2028 x_y[PAD]", "antidisestablishmentarianism"]
    nano, hugging_face = (backend(shorter).encode_batch(asked) for backend in BACKENDS)
    assert nano.flat.tolist() == hugging_face.flat.tolist()
    assert int(nano.flat.max()) < len(kept)


def test_a_tokenizer_of_an_unknown_kind_is_refused(tokenizer_of: dict[str, str], monkeypatch: Any) -> None:
    monkeypatch.setattr("router_model.training.vocabulary.KINDS", ("WordPiece",))
    with pytest.raises(ConfigError, match="kind BPE is not cut"):
        used(tokenizer_of["BPE"], TEXTS)


def test_merges_as_older_files_spell_them(tokenizer_of: dict[str, str]) -> None:
    whole = json.loads(tokenizer_of["BPE"])
    whole["model"]["merges"] = [" ".join(pair) for pair in whole["model"]["merges"]]
    older = json.dumps(whole)
    kept = used(older, TEXTS[:5])
    assert kept == used(tokenizer_of["BPE"], TEXTS[:5])
    assert cut(older, kept) == cut(tokenizer_of["BPE"], kept)
