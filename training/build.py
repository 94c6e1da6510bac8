"""Fit, calibrate and measure: all of training but for the files."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import CHARACTERS_PER_TOKEN, Labels
from router_model.ladder import Ladder
from router_model.lengths import MOST_CHARACTERS, Weights
from router_model.training.config import TrainConfig
from router_model.training.counterfactual import counterfactual
from router_model.training.crossfit import CrossFitted, StageDone, check_targets, crossfit
from router_model.training.curve import Curve, Measured, check_rows, measure_curve
from router_model.training.encoders.encoder import Encoder
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.judge import Judged
from router_model.training.lengths import HeldOut, Line, held_out
from router_model.training.prepare import Prepared
from router_model.training.weighing import Weighing, weighing

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Built:
    """A fitted router before it is exported, with what is known of it from rows it had not seen.

    Attributes:
        rows: int64 [M], those that it was measured on.
        labels: of these, no outcome unknown (counterfactual.py).
        lengths: what heads of answers' lengths say of all rows; None where the data tells no lengths.
        weighing: whether prompts' own costs buy more than mean costs; None where there are none.
        own_cost: float64 [M, K], relative costs expected of each prompt, where these are weighed.
    """

    fitted: CrossFitted
    rows: NDArray[np.int64]
    labels: Labels
    curve: Curve
    relative_cost: tuple[float, ...]
    lengths: HeldOut | None = None
    weighing: Weighing | None = None
    own_cost: Floats | None = None

    def weights(self, ladder: Ladder) -> Weights | None:
        """What the curve weighs of a prompt; None where it weighs mean costs."""
        if self.lengths is None or self.own_cost is None:
            return None
        return weights_of(ladder, self.lengths.line, float(self.labels.cost_usd[:, -1].mean()))

    def judged(self, prepared: Prepared) -> Judged:
        """The out-of-fold probabilities of the rows it was measured on, and the curve's choices for them."""
        return Judged.by_curve(
            self.relative_cost,
            self.curve.points,
            self.fitted.probabilities[self.rows],
            self.labels,
            prepared.groups[self.rows],
            [prepared.records[row].prompt.text for row in self.rows.tolist()],
            self.own_cost,
        )


def build(
    prepared: Prepared,
    ladder: Ladder,
    config: TrainConfig,
    encoder: Encoder,
    *,
    state: Path | None = None,
    stage_done: StageDone | None = None,
    with_lengths: bool = True,
) -> Built:
    """Fit, calibrate and measure; raises as its parts do, but before any work that takes long.

    Answers' lengths are learnt where the records tell them, unless ``with_lengths`` is false.
    """
    check_targets(prepared.labels.sufficient)
    rows, labels = counterfactual(prepared, ladder, config, encoder)
    check_rows(labels.outcomes, labels.cost_usd)
    fitted = crossfit(
        encoder,
        prepared.encoded,
        prepared.labels.sufficient,
        prepared.groups,
        config,
        lessons=prepared.lessons,
        state=state,
        stage_done=stage_done,
    )
    measured = Measured(fitted.probabilities[rows], labels.outcomes, labels.cost_usd, prepared.groups[rows])
    lengths = held_out(fitted, prepared, ladder, config, encoder) if with_lengths else None
    verdict = None
    if lengths and lengths.better:
        own_cost = expected_costs(prepared, ladder, lengths)[rows] / labels.cost_usd[:, -1].mean()
        bootstrap = Bootstrap(measured.groups, config.resamples, config.confidence, config.seed)
        verdict = weighing(measured, own_cost, bootstrap)
        logger.info("cost at equal quality by own costs over that by mean costs: %s", verdict)
        if verdict.weighs:
            measured = replace(measured, own_cost=own_cost)
    curve = measure_curve(
        measured,
        default_quality=config.quality,
        seed=config.seed,
        resamples=config.resamples,
        confidence=config.confidence,
    )
    relative_cost = tuple(measured.relative_cost.tolist())
    return Built(fitted, rows, labels, curve, relative_cost, lengths, verdict, measured.own_cost)


def weights_of(ladder: Ladder, expected: Line, unit_usd: float) -> Weights:
    """A call's expected cost over ``unit_usd``, the strongest tier's mean, by what it grows with."""
    offset, scale = expected.offset.tolist(), expected.scale.tolist()
    per_character = [tier.cost_usd(1 / CHARACTERS_PER_TOKEN, 0) / unit_usd for tier in ladder.tiers]
    per_answer = [tier.cost_usd(0, n) / unit_usd for tier, n in zip(ladder.tiers, offset, strict=True)]
    per_token = [tier.cost_usd(0, n) / unit_usd for tier, n in zip(ladder.tiers, scale, strict=True)]
    return Weights(tuple(per_character), tuple(per_answer), tuple(per_token))


def expected_costs(prepared: Prepared, ladder: Ladder, lengths: HeldOut) -> Floats:
    """US dollars that each row is expected to cost at each tier, by heads that had not seen it, [N, K].

    Inputs are counted by characters, as the router weighs them.
    """
    whole = np.array([record.prompt.characters for record in prepared.records])  # [N]
    characters = np.minimum(whole, MOST_CHARACTERS)
    columns = [
        tier.cost_usd(1, 0) * characters / CHARACTERS_PER_TOKEN + tier.cost_usd(0, 1) * lengths.expected[:, k]
        for k, tier in enumerate(ladder.tiers)
    ]
    return np.stack(columns, axis=1)
