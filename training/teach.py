"""A large router's probabilities as what a small one learns from, on prompts that nobody labelled.

Hinton et al. 2015: a teacher's probability tells more of a prompt than one outcome does, and prompts without
outcomes are plenty. Of rows that carry outcomes the student learns both: outcomes alone would hide what the
teacher has understood of the very prompts that it knows best, and probabilities alone what it has not.

N: rows, K: tiers.
"""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_model.data.groups import group
from router_model.data.labels import Labels, label, request_tokens
from router_model.data.records import Record
from router_model.errors import DataError
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.curve import MIN_ROWS
from router_model.training.encoders.encoder import Encoder
from router_model.training.prepare import Prepared

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
KEPT = 0.5  # of a label, the rest of the lesson being the teacher's probability
KNOWN, TEACHERS = "known", "the teacher's probabilities"  # what outcomes a router was measured on


def taught(records: Sequence[Record], teacher: Router, config: TrainConfig, encoder: Encoder) -> Prepared:
    """Rows for the teacher's ladder, and ``lessons`` of them; its probabilities stand for labels they lack.

    With at least 50 rows that tell how every tier did, these alone measure the student. With fewer, all rows
    do, the teacher's probabilities in the place of outcomes that nobody knows.

    Raises:
        DataError: no record.
    """
    if not records:
        raise DataError("the data holds no record; give at least one prompt")
    logger.info("the teacher routes %d prompts", len(records))
    decisions = teacher.route_prompts([record.prompt for record in records])
    probabilities = decisions.sufficiency.astype(np.float64)  # [N, K]
    labels = _labels(records, teacher, config)
    unknown: NDArray[np.bool_] = ~np.any(labels.observed, axis=1)  # [N]
    sufficient = np.where(unknown[:, np.newaxis], probabilities, labels.sufficient)  # [N, K]
    by_teacher = unknown if labels.complete.sum() < MIN_ROWS else np.zeros_like(unknown)  # [N]
    outcomes = np.where(by_teacher[:, np.newaxis], probabilities, labels.outcomes)  # [N, K]
    told = Labels(outcomes, sufficient, labels.cost_usd, labels.input_tokens, labels.output_tokens)
    encoded = encoder.encode([record.prompt for record in records])
    return Prepared(records, told, group(records), encoded, lessons(labels.sufficient, probabilities))


def lessons(sufficient: Floats, probabilities: Floats) -> Floats:
    """What a student learns, [N, K]: the teacher's ``probabilities``, halfway to what labels there are."""
    known = ~np.isnan(sufficient)
    told: Floats = np.where(known, KEPT * sufficient + (1 - KEPT) * probabilities, probabilities)
    return told


def outcomes_of(prepared: Prepared) -> str:
    """What outcomes taught rows are measured on, for the manifest."""
    complete = prepared.labels.sufficient[prepared.labels.complete]
    return KNOWN if np.isin(complete, (0.0, 1.0)).all() else TEACHERS


def _labels(records: Sequence[Record], teacher: Router, config: TrainConfig) -> Labels:
    """What the records themselves tell; NaN throughout where that is nothing."""
    ladder = teacher.ladder
    if any(record.outcomes or record.best_tier or record.preference for record in records):
        return label(records, ladder, config.bar, config.margin, teacher.artifact.manifest.output_tokens)
    unknown = np.full((len(records), len(ladder)), np.nan)
    input_tokens = request_tokens(records)
    output_tokens = np.array(teacher.artifact.manifest.output_tokens)  # [K]
    cost = np.array(
        [
            [tier.cost_usd(read, written) for tier, written in zip(ladder.tiers, output_tokens, strict=True)]
            for read in input_tokens
        ]
    )
    return Labels(unknown, unknown, cost, input_tokens, output_tokens)
