"""What a report shows: the router, the rows that it is measured on, and what was found.

N: rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router_model.data.records import Record
from router_model.manifest import Manifest
from router_model.policy.curve import OperatingPoint, Policy
from router_model.training.evaluation.compare import Comparison
from router_model.training.evaluation.controls import Control
from router_model.training.evaluation.judge import Evaluation, Judged
from router_model.training.evaluation.subject import Subject
from router_model.training.evaluation.sweep import Sweep

NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Findings:
    """What a report shows.

    Attributes:
        subject: the router or routers.
        curve: operating points as measured on these rows.
        records: N rows whose every tier is known.
        judged: what the router said of them.
        chosen: int64 [N], the tiers at the default dial.
        evaluation: its figures on them.
        rows_are: where they come from, in plain words.
        resamples: of each interval.
        seed: of the resamples.
        history: per fold, the losses of each epoch; empty where nothing was trained.
        leaks: the verdict in plain words.
        comparison: with baselines; None where none was asked for.
        baselines: their lines in the plane of cost and quality, by name.
        controls: empty where none was asked for.
    """

    subject: Subject
    curve: Sequence[OperatingPoint]
    records: Sequence[Record]
    judged: Judged
    chosen: NDArray[np.int64]
    evaluation: Evaluation
    rows_are: str
    resamples: int
    seed: int
    history: Sequence[Sequence[dict[str, float]]] = ()
    leaks: str = NOT_CHECKED
    comparison: Comparison | None = None
    baselines: Mapping[str, Sweep] = field(default_factory=dict)
    controls: Sequence[Control] = ()

    @classmethod
    def of_artifact(
        cls,
        manifest: Manifest,
        *,
        curve: Sequence[OperatingPoint],
        records: Sequence[Record],
        judged: Judged,
        evaluation: Evaluation,
        rows_are: str,
        resamples: int,
        seed: int,
        history: Sequence[Sequence[dict[str, float]]] = (),
        leaks: str = NOT_CHECKED,
        comparison: Comparison | None = None,
    ) -> "Findings":
        """Of a trained router, whose policy chooses at its default dial."""
        policy = Policy(manifest.relative_cost, manifest.curve, ("quality", manifest.default_quality))
        texts = [record.prompt.text for record in records]
        return cls(
            subject=Subject.of_artifact(manifest, policy.default),
            curve=curve,
            records=records,
            judged=judged,
            chosen=policy.choose_batch(
                judged.probabilities.astype(np.float32), policy.default, texts, judged.own_cost
            ),
            evaluation=evaluation,
            rows_are=rows_are,
            resamples=resamples,
            seed=seed,
            history=history,
            leaks=leaks,
            comparison=comparison,
        )
