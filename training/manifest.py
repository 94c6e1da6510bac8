"""What an artifact says of itself, as training fills it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from router_model.ladder import Ladder
from router_model.lengths import Lengths
from router_model.manifest import Manifest
from router_model.prompt import read
from router_model.router import Router
from router_model.session import Session
from router_model.training.build import Built
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded
from router_model.training.encoders.encoder import Encoder, Exported
from router_model.training.evaluation.domination import DroppedTier
from router_model.training.evaluation.judge import Evaluation
from router_model.training.export import run
from router_model.training.prepare import Prepared
from router_model.training.teach import outcomes_of

# Written for this purpose: prompts of the training data have no business in a file that gets handed round.
PROBES = (
    "What is the capital of Portugal?",
    "Prove that every finite integral domain is a field, then find one that is not commutative.",
    "def mean(xs):\n    return sum(xs) / len(xs)\n\n```\nZeroDivisionError\n```\nWhy?",
    "请把下面的句子翻译成英文：今天的会议改到下午三点。",
    "Résume ce paragraphe en deux phrases, puis propose un titre de moins de 8 mots.",
    "",
)
LIBRARIES = (
    "router-model",
    "torch",
    "lightning",
    "onnx",
    "onnxruntime",
    "nanotoken",
    "numpy",
    "scikit-learn",
)


def data_of(
    built: Built,
    prepared: Prepared,
    fingerprint: str,
    dropped: Sequence[DroppedTier],
    teacher: Router | None,
) -> dict[str, Any]:
    """What the manifest says of the data, whose fingerprint is ``fingerprint``."""
    said: dict[str, Any] = {
        "fingerprint": fingerprint,
        "rows": len(prepared.records),
        "complete_rows": int(prepared.labels.complete.sum()),
        "measured_rows": len(built.rows),
        "outcomes": "estimated" if built.labels.estimated else "known",
        "groups": len(np.unique(prepared.groups)),
        "input_tokens": float(prepared.labels.input_tokens.mean()),
        "dropped_tiers": [asdict(tier) for tier in dropped],
    }
    if teacher:
        said |= {"outcomes": outcomes_of(prepared), "teacher": teacher.artifact.fingerprint}
    return said


def manifest_of(
    built: Built,
    exported: Exported,
    evaluation: Evaluation,
    prepared: Prepared,
    ladder: Ladder,
    config: TrainConfig,
    encoder: Encoder,
    data: dict[str, Any],
) -> Manifest:
    """The manifest of a graph; its probes are answered by the graph itself.

    Args:
        data: from ``data_of``.
    """
    probes = encoder.encode([read(text) for text in PROBES])
    given = run(exported.graph, probes, np.arange(len(PROBES)))
    calibration = built.fitted.calibration
    # Figures that do not exist, such as APGR where two tiers do equally well, are null.
    held_out = json.loads(json.dumps(asdict(evaluation)), parse_constant=lambda _: None)
    return Manifest(
        ladder=ladder,
        tokenizer_json=encoder.tokenizer_json,
        max_tokens=encoder.max_tokens,
        pairs=encoder.pairs,
        frame=encoder.frame,
        providers=exported.providers,
        encoder=encoder.name,
        precision=exported.precision,
        relative_cost=built.relative_cost,
        output_tokens=tuple(prepared.labels.output_tokens.tolist()),
        default_quality=config.quality,
        curve=built.curve.points,
        guard=built.curve.guard,
        probes=tuple((text, tuple(row)) for text, row in zip(PROBES, given.tolist(), strict=True)),
        calibration={
            "method": "platt",
            "scale": calibration.scale.tolist(),
            "offset": calibration.offset.tolist(),
            "folds": config.folds,
        },
        metrics={"held_out": held_out, "export": exported.checks, "epochs": built.fitted.epochs}
        | _lengths_metrics(built),
        data=data
        | {"base": encoder.source, "started_from": encoder.learned.source if encoder.learned else None},
        versions={name: version(name) for name in LIBRARIES},
        lengths=_lengths(built, exported, probes, ladder),
    )


def _lengths(built: Built, exported: Exported, probes: Encoded, ladder: Ladder) -> Lengths | None:
    if not (built.lengths and built.lengths.better):
        return None
    line, session = built.lengths.line, Session(exported.graph)
    rows = [session.sufficiency_and_lengths(*probes.inputs(np.array([row]))) for row in range(len(PROBES))]
    return Lengths(
        offset=tuple(line.offset.tolist()),
        scale=tuple(line.scale.tolist()),
        probes=tuple(tuple(tokens[0].tolist()) for _, tokens in rows),
        weights=built.weights(ladder),
    )


def _lengths_metrics(built: Built) -> dict[str, Any]:
    if built.lengths is None:
        return {}
    weighing = asdict(built.weighing) | {"weighs": built.weighing.weighs} if built.weighing else None
    return {"lengths": built.lengths.errors | {"kept": built.lengths.better, "weighing": weighing}}
