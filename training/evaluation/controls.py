"""Controls: what a router must not find, and what it may owe to knowing the task.

Every router here is a single fit, stopped and calibrated on rows held out from it: a control asks about the
order of prompts, for which the cross-fit that serves curve and guard is not needed.
"""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.split import folds, holdout
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.training.calibrate import calibrate
from router_model.training.config import TrainConfig
from router_model.training.crossfit import StageDone, check_targets
from router_model.training.encoders.encoder import Encoder
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.compare import ROUTER, Ranked, rank
from router_model.training.fit import fit, predict
from router_model.training.prepare import Prepared

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
TASK = "task"  # the baseline that is told nothing else
TASKS = 8  # the largest are left out in turn
STREAM = 1  # of random numbers, apart from the split's: the same ones tie shuffled rows to their side
MIN_TASK_ROWS = 50  # whose every tier is known, for an interval to mean something


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        name: "shuffled labels", "task identity" or "leave one task out".
        passed: None where the control informs and cannot fail, or could not be run.
        verdict: in plain words.
        rankings: by a name of what was ranked (the router, the task), each pair of tiers.
    """

    name: str
    passed: bool | None
    verdict: str
    rankings: dict[str, list[Ranked]]


def controls(
    prepared: Prepared,
    ladder: Ladder,
    config: TrainConfig,
    encoder: Encoder,
    rankings: Sequence[Ranked],
    stage_done: StageDone | None = None,
) -> list[Control]:
    """Run the three controls.

    Args:
        rankings: of the cross-validation, the baseline ``task`` among them.

    Raises:
        TrainingError: a fit failed.
    """
    tasks = _largest_tasks(prepared)
    done = _counted(stage_done, 1 + len(tasks))
    return [
        shuffled_labels(prepared, ladder, config, encoder, done),
        task_identity(rankings if len(_tasks(prepared)) > 1 else ()),
        leave_one_task_out(prepared, ladder, tasks, config, encoder, done),
    ]


def shuffled_labels(
    prepared: Prepared,
    ladder: Ladder,
    config: TrainConfig,
    encoder: Encoder,
    part_done: Callable[[str], None] = lambda name: None,
) -> Control:
    """Train and judge on labels that were dealt to other rows: any order found is a leak or a mistake.

    Whole rows of labels are permuted over all groups, so that tiers keep their rates and their agreement
    with each other, and nothing ties them to a prompt. One half is trained on and the other judged: pooled
    folds share what they were trained on, so what one finds by luck the others find too, and an interval
    over their rows missed 0.5 on 13 % of shuffles where it should on 5 %.
    """
    part_done("shuffled labels")
    order = np.random.default_rng((config.seed, STREAM)).permutation(len(prepared.records))
    labels = dataclasses.replace(
        prepared.labels,
        outcomes=prepared.labels.outcomes[order],
        sufficient=prepared.labels.sufficient[order],
    )
    dealt = dataclasses.replace(prepared, labels=labels)
    judged = folds(dealt.groups, 2, config.seed) == 0
    inside, rest = np.flatnonzero(judged & labels.complete), np.flatnonzero(~judged)
    found = _ranked(dealt, _single_fit(dealt, rest, inside, config, encoder), inside, ladder, config)
    outside = [one for one in found if one.apgr_interval[0] > 0.5 or one.apgr_interval[1] < 0.5]
    if all(np.isnan(one.apgr) for one in found):
        return Control("shuffled labels", None, "not run: no tier has a gap to recover", {ROUTER: found})
    verdict = f"with labels dealt to other prompts APGR is {_listed(found)}: " + (
        "it holds 0.5, as it must"
        if not outside
        else f"it must hold 0.5 and does not from {', '.join(one.cheap for one in outside)}; one run in "
        "twenty misses by luck, so repeat it with another --seed, and look for a leak where it stays"
    )
    return Control("shuffled labels", not outside, verdict, {ROUTER: found})


def task_identity(rankings: Sequence[Ranked]) -> Control:
    """What the name of the task gives alone, and what the router adds, in the same folds."""
    found = [one for one in rankings if one.scorer == TASK]
    if not found:
        return Control("task identity", None, "not run: the rows do not name two tasks", {})
    less = [one.router_less_it.apgr_interval for one in found]
    if all(low > 0 for low, _ in less):
        said = "the router reads more of a prompt than its task"
    elif any(high < 0 for _, high in less):
        said = (
            "the task's name alone orders prompts better, so what the router knows may be no more than "
            "which task a prompt belongs to; where the task is known, a rule by task may do"
        )
    else:
        said = "nothing shows, for every pair of tiers, that the router reads more of a prompt than its task"
    given = "; ".join(_against_router(one) for one in found)
    return Control("task identity", None, f"knowing only the task gives {given}: {said}", {TASK: found})


def leave_one_task_out(
    prepared: Prepared,
    ladder: Ladder,
    tasks: Sequence[str],
    config: TrainConfig,
    encoder: Encoder,
    part_done: Callable[[str], None] = lambda name: None,
) -> Control:
    """Train without a task and its near-duplicates, judge on it: what is left where traffic is new."""
    task_of = np.array([record.task or "" for record in prepared.records])
    found: dict[str, list[Ranked]] = {}
    for task in tasks:
        part_done(f"without the task {task}")
        own = task_of == task
        inside = np.flatnonzero(own & prepared.labels.complete)
        rest = np.flatnonzero(~np.isin(prepared.groups, prepared.groups[own]))
        try:
            check_targets(prepared.labels.sufficient[rest])
            scores = _single_fit(prepared, rest, inside, config, encoder)
        except DataError as error:
            logger.warning("without the task %s: %s", task, error)
            continue
        found[task] = _ranked(prepared, scores, inside, ladder, config)
    return Control("leave one task out", None, _by_task(found), found)


def _by_task(found: dict[str, list[Ranked]]) -> str:
    if not found:
        return f"not run: it takes two tasks, one of them of {MIN_TASK_ROWS} rows whose every tier is known"
    better = [task for task, pairs in found.items() if all(p.gain_at_half_interval[0] > 0 for p in pairs)]
    worse = [task for task, pairs in found.items() if any(p.gain_at_half_interval[1] < 0 for p in pairs)]
    return (
        f"of {len(found)} tasks that training had not seen, sending the higher half to the strongest tier "
        f"beats a random half on {_names(better)}, and is worse on {_names(worse)}; "
        "for the others nothing is shown"
    )


def _single_fit(
    prepared: Prepared, rest: Rows, inside: Rows, config: TrainConfig, encoder: Encoder
) -> Floats:
    """Probabilities float64 [len(inside), K] by one network fitted on ``rest``."""
    targets = prepared.labels.sufficient
    held = holdout(prepared.groups[rest], config.validation, config.seed)
    network = fit(encoder, prepared.encoded, targets, rest[~held], rest[held], config).network
    calibration = calibrate(predict(network, prepared.encoded, rest[held]), targets[rest[held]])
    return calibration(predict(network, prepared.encoded, inside))


def _ranked(
    prepared: Prepared, scores: Floats, rows: Rows, ladder: Ladder, config: TrainConfig
) -> list[Ranked]:
    """Scores [len(rows), K] of some rows, all complete."""
    bootstrap = Bootstrap(prepared.groups[rows], config.resamples, config.confidence, config.seed)
    return rank({ROUTER: scores}, prepared.labels.outcomes[rows], ladder, bootstrap)


def _largest_tasks(prepared: Prepared) -> list[str]:
    tasks = np.array([record.task or "" for record in prepared.records])
    names, sizes = np.unique(tasks[prepared.labels.complete], return_counts=True)
    if len(_tasks(prepared)) < 2:
        return []
    largest = np.argsort(-sizes, kind="stable")[:TASKS]
    return [str(names[place]) for place in largest if sizes[place] >= MIN_TASK_ROWS and names[place]]


def _tasks(prepared: Prepared) -> set[str]:
    return {record.task or "" for record in prepared.records}


def _counted(stage_done: StageDone | None, parts: int) -> Callable[[str], None]:
    """Counts parts as they begin."""
    begun = iter(range(parts))
    return lambda name: stage_done(name, next(begun) / parts) if stage_done else None


def _listed(found: Sequence[Ranked]) -> str:
    return ", ".join(
        f"{one.apgr:.3f} {_bracket(one.apgr_interval)} ({one.cheap} to {one.dear})" for one in found
    )


def _against_router(task: Ranked) -> str:
    """The task's APGR beside the router's, and whether the paired interval tells them apart."""
    less = task.router_less_it
    low, high = less.apgr_interval
    than = "less than" if low > 0 else "more than" if high < 0 else "not told apart from"
    paired = f"router less it {less.apgr:+.3f} {_bracket(less.apgr_interval, '+.3f')}"
    return (
        f"APGR {task.apgr:.3f} ({task.cheap} to {task.dear}), "
        f"{than} the router's {task.apgr + less.apgr:.3f} ({paired})"
    )


def _bracket(interval: tuple[float, float], form: str = ".3f") -> str:
    return f"[{interval[0]:{form}}, {interval[1]:{form}}]"


def _names(tasks: Sequence[str]) -> str:
    return f"{len(tasks)} ({', '.join(tasks)})" if tasks else "none"
