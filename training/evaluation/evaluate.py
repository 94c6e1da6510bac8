"""An artifact on labelled data that it has not seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from router_model.data.groups import group
from router_model.data.labels import label
from router_model.data.readers import Reading
from router_model.errors import LadderError
from router_model.ladder import Ladder
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.evaluation.judge import Evaluation, Judged, judge
from router_model.training.prepare import read_all


def evaluate(
    router: Router,
    paths: Sequence[str | Path],
    ladder: Ladder | None = None,
    config: TrainConfig | None = None,
    *,
    skip_bad: bool = False,
) -> Evaluation:
    """Figures of ``router`` on the records of ``paths``.

    Args:
        ladder: which models of the data stand for the router's tiers, by the same tier names; the
            router's own where None.
        config: bar, margin, resamples, confidence and seed are read.

    Raises:
        LadderError: the ladder's tiers are not the router's.
        DataError: no row tells how every tier did.
    """
    config, ladder = config or TrainConfig(), ladder or router.ladder
    if ladder.names != router.ladder.names:
        raise LadderError(
            f"the ladder has {', '.join(ladder.names)}, the router {', '.join(router.ladder.names)}; "
            "give a ladder with the router's tier names"
        )
    records = read_all(paths, Reading(skip_bad=skip_bad))
    labels = label(records, ladder, config.bar, config.margin)
    rows = np.flatnonzero(labels.complete)
    known = [records[row] for row in rows]
    probabilities = router.route_prompts([record.prompt for record in known]).sufficiency.astype(np.float64)
    judged = Judged.by_curve(
        router.artifact.manifest.relative_cost,
        router.artifact.manifest.curve,
        probabilities,
        labels.take(rows),
        group(known),
        [record.prompt.text for record in known],
    )
    return judge(judged, ladder, config.resamples, config.confidence, config.seed)
