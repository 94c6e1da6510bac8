"""A sentence-transformers model as a router reads it: its tokenizer, frame, pooling and normalisation.

B: prompts, T: ids, D: columns of the embedding.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from router_model.errors import ConfigError
from router_model.frame import Frame
from router_model.training.distill import load_model, tokenizer_json

POOLINGS = ("mean", "cls")
AFTER_POOLING = ("Normalize", "Dense", "Dropout")
SAMPLES = ("a", "What is 2 + 2?", "Prove it.", "日本語", "x = [1, 2]")  # a frame must be that of every text


class Sentence(nn.Module):
    """Token ids in their frame to the model's own embedding.

    Args:
        transformer: of Hugging Face.
        modules: of sentence-transformers, from the pooling on.
        shift: what the ids were raised by.
        pad: the vocabulary's own id for padding, which some models derive positions from.
    """

    def __init__(self, transformer: nn.Module, modules: list[nn.Module], shift: int, pad: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.after = nn.ModuleList(modules)
        self.shift = shift
        self.pad = pad

    def forward(self, token_ids: Tensor) -> Tensor:
        """Embeddings [B, D] of int [B, T], 0 where there is none."""
        present = token_ids != 0  # [B, T]
        ids = torch.where(present, token_ids - self.shift, self.pad)  # [B, T]
        mask = present.long()  # [B, T]
        states = self.transformer(input_ids=ids, attention_mask=mask)[0]  # [B, T, D]
        values: dict[str, Any] = {"token_embeddings": states, "attention_mask": mask}
        for module in self.after:
            values = module(values)
        embedding: Tensor = values["sentence_embedding"]  # [B, D]
        return embedding


@dataclass(frozen=True)
class SentenceModel:
    """A loaded model.

    Attributes:
        source: its name.
        network: in evaluation mode.
        columns: D.
        tokenizer_json: the tokenizer's file, whole, which neither cuts nor pads.
        frame: what its tokenizer puts around a text.
        max_tokens: of a text, the frame's left out.
        fingerprint: SHA-256 of its weights.
        name: by which it was loaded.
    """

    source: str
    network: Sentence
    columns: int
    tokenizer_json: str
    frame: Frame
    max_tokens: int
    fingerprint: str
    name: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process loads it as this one did."""
        return load, (self.name,)


def load(name: str) -> SentenceModel:
    """Load a sentence-transformers model by name or folder; all-MiniLM-L6-v2 from its installed package.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        ArtifactError: the model does not load.
        ConfigError: it reads texts in a way that a router cannot take over.
    """
    model, source = load_model(name)
    modules = list(model)
    _check_modules(name, modules)
    prefix = model.prompts.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    if prefix and not getattr(modules[1], "include_prompt", True):
        raise ConfigError(f"--encoder {name}: its pooling leaves the prompt out; give a model that pools all")
    tokenizer = model.tokenizer
    pad = tokenizer.pad_token_id
    if pad is None:
        raise ConfigError(f"--encoder {name}: its tokenizer has no padding token; give another model")
    shift = int(pad != 0)
    start, end = _frame(name, tokenizer)
    limit = model.max_seq_length or getattr(model[0].auto_model.config, "max_position_embeddings", 512)
    network = Sentence(model[0].auto_model, modules[1:], shift, pad).eval()
    return SentenceModel(
        source=source,
        network=network,
        columns=network(torch.tensor([[*start, *end]]) + shift).shape[1],
        tokenizer_json=tokenizer_json(model),
        frame=Frame(prefix, tuple(i + shift for i in start), tuple(i + shift for i in end), shift),
        max_tokens=limit - len(start) - len(end),
        fingerprint=_fingerprint(network),
        name=name,
    )


def _check_modules(name: str, modules: list[nn.Module]) -> None:
    kinds = [type(module).__name__ for module in modules]
    modes = getattr(modules[1], "pooling_mode", None) if len(modules) > 1 else None
    if kinds[1:2] != ["Pooling"] or modes not in POOLINGS:
        pooling = f"pools by {modes!r}" if modes else f"is made of {', '.join(kinds)}"
        raise ConfigError(f"--encoder {name}: {pooling}; give a model that pools by mean or cls")
    if others := [kind for kind in kinds[2:] if kind not in AFTER_POOLING]:
        raise ConfigError(
            f"--encoder {name}: has {', '.join(others)} after its pooling; "
            f"give a model with {', '.join(AFTER_POOLING)} or nothing there"
        )


def _frame(name: str, tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts before and after a text's, the same for every text."""
    frames = []
    for text in SAMPLES:
        whole = tokenizer(text)["input_ids"]
        plain = tokenizer(text, add_special_tokens=False)["input_ids"]
        places = range(len(whole) - len(plain) + 1)
        place = next((p for p in places if whole[p : p + len(plain)] == plain), None)
        frames.append(None if place is None else (whole[:place], whole[place + len(plain) :]))
    if frames[0] is None or any(frame != frames[0] for frame in frames):
        raise ConfigError(f"--encoder {name}: its tokenizer puts no fixed ids around a text; give another")
    return frames[0]


def _fingerprint(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, tensor in network.state_dict().items():
        digest.update(key.encode())
        digest.update(tensor.detach().contiguous().numpy().data)
    return digest.hexdigest()
