"""Fit, calibrate and measure: all of training but for the files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.data.labels import Labels
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.counterfactual import counterfactual
from router_model.training.crossfit import CrossFitted, StageDone, check_targets, crossfit
from router_model.training.curve import Curve, Measured, check_rows, measure_curve
from router_model.training.encoders.encoder import Encoder
from router_model.training.evaluation.judge import Judged
from router_model.training.prepare import Prepared


@dataclass(frozen=True)
class Built:
    """A fitted router before it is exported, with what is known of it from rows it had not seen.

    Attributes:
        rows: int64 [M], those that it was measured on.
        labels: of these, no outcome unknown (counterfactual.py).
    """

    fitted: CrossFitted
    rows: NDArray[np.int64]
    labels: Labels
    curve: Curve
    relative_cost: tuple[float, ...]

    def judged(self, prepared: Prepared) -> Judged:
        """The out-of-fold probabilities of the rows it was measured on, and the curve's choices for them."""
        return Judged.by_curve(
            self.relative_cost,
            self.curve.points,
            self.fitted.probabilities[self.rows],
            self.labels,
            prepared.groups[self.rows],
            [prepared.records[row].prompt.text for row in self.rows.tolist()],
        )


def build(
    prepared: Prepared,
    ladder: Ladder,
    config: TrainConfig,
    encoder: Encoder,
    *,
    state: Path | None = None,
    stage_done: StageDone | None = None,
) -> Built:
    """Fit, calibrate and measure; raises as its parts do, but before any work that takes long."""
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
    curve = measure_curve(
        measured,
        default_quality=config.quality,
        seed=config.seed,
        resamples=config.resamples,
        confidence=config.confidence,
    )
    return Built(fitted, rows, labels, curve, tuple(measured.relative_cost.tolist()))
