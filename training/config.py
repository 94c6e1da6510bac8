"""How a router is trained: every setting, with its unit and its reason."""

import dataclasses
import math
from dataclasses import dataclass

from router_model.errors import ConfigError

PRECISIONS = ("auto", "float32", "float16", "int8")
ACCELERATORS = ("cpu", "gpu", "auto")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of one training run; validated when built.

    Attributes:
        encoder: kind of the network, by its name in training/encoders/registry.py, or a sentence-transformers
            model, by its name or folder.
        precision: of a transformer's graph, "float32", "float16" (for a GPU) or "int8" (for a CPU); "auto" is
            float32 there, and what costs no quality elsewhere.
        fine_tune: a sentence-transformers model learns too, and not only the head on it.
        accelerator: what trains, "cpu", "gpu", or "auto", a GPU for a transformer where torch sees one.
        devices: of that, 1 to 64, each with a process of its own where they are several.
        seed: of folds, weights, batches and resamples; the same seed, data and machine give the same router.
        quality: the default dial, share of the strongest tier's quality to keep, in (0, 1].
        bar: outcome from which an answer is sufficient, in (0, 1].
        margin: where set, an answer suffices within this much of the strongest tier's outcome, in [0, 1].
        folds: parts of the cross-fit that calibrates and judges on rows the network has not seen, 2 to 20.
        validation: share of a fold's training groups that stops training early, in (0, 0.5].
        epochs: passes over the data that the learning rate decays over; early stopping ends sooner.
        min_steps: small data get more epochs, until the decay spans this many steps.
        patience: share of the epochs without a better validation loss before stopping, in (0, 1].
        batch_size: prompts per step.
        learning_rate: of the dense layers (AdamW).
        encoder_learning_rate: of a sentence-transformers model that is fine-tuned: what it knows is soon lost
            (Devlin et al. 2019 take 2e-5 to 5e-5).
        token_learning_rate: of the token weights, whose rows are seen seldom.
        wide_learning_rate: of the wide table, which starts from zero.
        wide_weight_decay: of the wide table, most of whose rows are seen in a prompt or two.
        weight_decay: of the dense layers; the token weights take none.
        dropout: in [0, 1).
        gain_penalty: in the loss, the weight of the variance over prompts of what one tier's logit has over
            the next one's; in rows, so that more of them outweigh it. It holds where each prompt shows one
            tier's outcome: the difficulty that tiers share is then learnt from all rows, and what sets tiers
            apart from the few that are alike. Rows that show several tiers soon take it away.
        start_penalty: where training goes on from what a router learnt, the pull back to that; in rows, so
            that more of them outweigh it.
        start_rate: share of the learning rates that training then takes, in (0, 1].
        max_tokens: window of tokens per prompt; cost is linear in it.
        resamples: of each bootstrap interval, at least 200.
        confidence: of every interval and of the guard, in (0.5, 1).
    """

    encoder: str = "static"
    precision: str = "auto"
    fine_tune: bool = False
    accelerator: str = "cpu"
    devices: int = 1
    seed: int = 0
    quality: float = 0.95
    bar: float = 0.5
    margin: float | None = None
    folds: int = 5
    validation: float = 0.12
    epochs: int = 12
    min_steps: int = 300
    patience: float = 0.25
    batch_size: int = 128
    learning_rate: float = 8e-3
    encoder_learning_rate: float = 3e-5
    token_learning_rate: float = 5e-3
    wide_learning_rate: float = 2e-2
    wide_weight_decay: float = 0.5
    weight_decay: float = 1e-2
    dropout: float = 0.3
    gain_penalty: float = 800.0
    start_penalty: float = 10.0
    start_rate: float = 0.25
    max_tokens: int = 512
    resamples: int = 2000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (isinstance(self.encoder, str) and self.encoder):
            raise ConfigError(f"--encoder {self.encoder!r:.40}: give a name, such as static")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"--precision {self.precision!r:.40}: give one of {', '.join(PRECISIONS)}")
        if self.accelerator not in ACCELERATORS:
            raise ConfigError(
                f"--accelerator {self.accelerator!r:.40}: give one of {', '.join(ACCELERATORS)}"
            )
        if not isinstance(self.fine_tune, bool):
            raise ConfigError(f"--fine-tune {self.fine_tune!r:.40}: give a truth value")
        within = {
            "devices": (1, 64),
            "seed": (0, 2**31 - 1),
            "quality": (1e-9, 1),
            "bar": (1e-9, 1),
            "margin": (0, 1),
            "folds": (2, 20),
            "validation": (1e-9, 0.5),
            "epochs": (1, 10_000),
            "min_steps": (1, 1_000_000),
            "patience": (1e-9, 1),
            "batch_size": (1, 1 << 16),
            "learning_rate": (1e-9, 10),
            "encoder_learning_rate": (1e-9, 10),
            "token_learning_rate": (1e-9, 10),
            "wide_learning_rate": (1e-9, 10),
            "wide_weight_decay": (0, 10),
            "weight_decay": (0, 10),
            "dropout": (0, 0.99),
            "gain_penalty": (0, 1_000_000),
            "start_penalty": (0, 1_000_000),
            "start_rate": (1e-9, 1),
            "max_tokens": (8, 8192),
            "resamples": (200, 1_000_000),
            "confidence": (0.51, 0.9999),
        }
        for field in dataclasses.fields(self):
            if field.name not in within:
                continue
            value = getattr(self, field.name)
            if value is None and field.name == "margin":
                continue
            low, high = within[field.name]
            whole = field.type is int
            number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and low <= value <= high):
                flag = "--" + field.name.replace("_", "-")
                kind = "whole number" if whole else "number"
                raise ConfigError(f"{flag} {value!r:.40}: give a {kind} from {low:g} to {high:g}")
