"""Whether certificates keep their promise, what they cost in savings, and how soon a monitor sees a shift.

    python benchmarks/certificates.py [--datasets FOLDER] [--quick] [--keep FOLDER] > certificates.json

For each data set the router's probabilities are cross-fitted once. Then, a thousand times, the groups of
near-duplicates are halved at random, and one half certifies at each bound and confidence. A violation is a
certified point whose loss is more than the bound. Three truths judge:

- ``all_rows``: the mean over all rows of the set, half of which certified: what the splits are drawn from.
- ``resampled``: the same mean, where the certifying half was drawn with replacement, so that rows are
  independent draws from a population whose mean is known exactly. This is what the promise speaks of.
- ``other_half``: the mean over the half that did not certify, which is as noisy as the evidence itself: at a
  loss of exactly the bound it would be above it more often than the error, with a probability that
  ``by_noise`` holds, and against which its count is tested.

Savings are 1 - cost over the strongest tier's, on all rows: ``certified``; ``plain``, of the cheapest penalty
whose mean loss on the certifying half is within the bound, which promises nothing; and ``at_same_quality``,
of the cheapest penalty that loses no more on all rows than the certified one.

The monitor is fed outcomes of chosen tiers alone. ``no_shift`` draws from rows that did not certify; a shift
draws from rows of a kind that takes over entirely: tasks that neither router nor certificate has seen, the
harder half of the tasks, prompts longer than the median.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from router_model.bench.fresh import machine
from router_model.data.readers import Reading
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.policy.curve import OperatingPoint
from router_model.policy.monitor import Feedback, Monitor
from router_model.training.bounds import clopper_pearson, hedged_bet, hoeffding_bentkus
from router_model.training.certify import CLAIMS_ERROR, claims
from router_model.training.config import TrainConfig
from router_model.training.crossfit import crossfit
from router_model.training.curve import choose, penalty_grid
from router_model.training.encoders.registry import load
from router_model.training.fit import predict
from router_model.training.prepare import Prepared, prepare, read_all
from router_model.training.promise import Promise, cheapest

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
SETS = ("mmlu_pro", "mixed_tasks")
PROMISES = [(bound, confidence) for bound in (0.01, 0.02, 0.05) for confidence in (0.9, 0.95)]
TASK_FOLDS = 4  # routers that have not seen a part of the tasks
BLOCK = 40  # penalties tested at once
ERROR = 0.05  # of the monitor
PATIENCE = 500  # items until which it is to revoke
QUIET_ITEMS = 2000  # of a run without a shift, and before a late one


@dataclass(frozen=True)
class Rowset:
    """Rows of one data set and what routers say of them that had not seen them.

    Attributes:
        probabilities: float64 [N, K], by routers that had seen all tasks.
        without: float64 [F, N, K], by routers that had not seen the tasks of ``unseen``.
        unseen: bool [F, N].
        outcomes, cost: float64 [N, K].
        groups, characters: int64 [N].
        task: text [N].
    """

    probabilities: Floats
    without: Floats
    unseen: NDArray[np.bool_]
    outcomes: Floats
    cost: Floats
    groups: Rows
    characters: Rows
    task: NDArray[np.str_]

    @classmethod
    def read(cls, folder: Path, name: str, keep: Path | None, task_folds: int) -> "Rowset":
        """From the file that an earlier run kept, or by cross-fitting, which takes minutes."""
        path = keep / f"{name}.npz" if keep else None
        if path and path.exists():
            with np.load(path, allow_pickle=False) as kept:
                return cls(**{key: kept[key] for key in kept.files})
        made = cls._fitted(folder, name, task_folds)
        if path:
            np.savez(path, **{field.name: getattr(made, field.name) for field in dataclasses.fields(made)})
        return made

    @classmethod
    def _fitted(cls, folder: Path, name: str, task_folds: int) -> "Rowset":
        config = TrainConfig()
        encoder = load(config, None)
        ladders = json.loads((folder / "ladders.json").read_text())
        ladder = Ladder.from_dict(ladders[f"train/{name}"])
        records = read_all([folder / "train" / f"{name}.jsonl.gz"], Reading())
        prepared = prepare(records, ladder, config, encoder)
        known = np.flatnonzero(prepared.labels.complete)
        task = np.array([str(record.task) for record in prepared.records])
        tasks = np.unique(task)
        fold_of = np.random.default_rng(0).permutation(np.arange(len(tasks)) % TASK_FOLDS)
        unseen = np.stack([np.isin(task, tasks[fold_of == fold]) for fold in range(task_folds)])
        told(f"{name}: cross-fitting")
        whole = crossfit(encoder, prepared.encoded, prepared.labels.sufficient, prepared.groups, config)
        without = []
        for fold in range(task_folds):
            told(f"{name}: cross-fitting without {', '.join(tasks[fold_of == fold])}")
            without.append(_without(prepared, unseen[fold], config))
        return cls(
            whole.probabilities[known],
            np.stack(without)[:, known],
            unseen[:, known],
            prepared.labels.outcomes[known],
            prepared.labels.cost_usd[known],
            prepared.groups[known],
            np.array([prepared.records[row].prompt.characters for row in known.tolist()], np.int64),
            task[known],
        )


def _without(prepared: Prepared, unseen: NDArray[np.bool_], config: TrainConfig) -> Floats:
    """What a router says that has not seen some rows, of those and, out of fold, of the others: [N, K]."""
    encoder, seen, new = load(config, None), np.flatnonzero(~unseen), np.flatnonzero(unseen)
    part = prepared.take(seen)
    fitted = crossfit(encoder, part.encoded, part.labels.sufficient, part.groups, config)
    said = np.empty(prepared.labels.sufficient.shape)
    said[seen] = fitted.probabilities
    said[new] = fitted.calibration(predict(fitted.network, prepared.encoded, new))
    return said


@dataclass(frozen=True)
class Sequence:
    """The penalties of one router from safe to cheap, L of them, and what they give.

    ``losses`` float64 [N, L], ``loss`` and ``saved`` [L], their mean and what is saved of the strongest
    tier's cost, over all rows.
    """

    penalties: Floats
    losses: Floats
    loss: Floats
    saved: Floats

    @classmethod
    def of(cls, rows: Rowset) -> "Sequence":
        """By a grid that knows probabilities and prices, and no outcome."""
        relative = rows.cost.mean(axis=0) / rows.cost[:, -1].mean()
        penalties = penalty_grid(rows.probabilities, relative)[::2]
        chosen = choose(rows.probabilities, relative, penalties)
        losses = rows.outcomes[:, -1:] - np.take_along_axis(rows.outcomes, chosen, axis=1)
        paid = np.take_along_axis(rows.cost, chosen, axis=1).mean(axis=0) / rows.cost[:, -1].mean()
        return cls(penalties, losses, losses.mean(axis=0), 1 - paid)

    def passed(self, losses: Floats) -> Rows:
        """How many of the first penalties each promise certifies by the losses [n, L] of some rows."""
        bounds, confidences = (np.array(part) for part in zip(*PROMISES, strict=True))
        passed, open_ = np.zeros(len(PROMISES), np.int64), np.ones(len(PROMISES), np.bool_)
        for start in range(0, losses.shape[1], BLOCK):
            some = losses[:, start : start + BLOCK]
            width, left = some.shape[1], np.flatnonzero(open_)
            shown = hedged_bet(
                np.tile(some, len(left)),
                np.repeat(bounds[left], width),
                np.repeat(1 - confidences[left], width),
            ).reshape(len(left), width)
            passed[left] += np.where(shown.all(axis=1), width, shown.argmin(axis=1))
            open_[left] = shown.all(axis=1)
            if not open_.any():
                break
        return passed


def halves(groups: Rows, random: np.random.Generator, *, again: bool) -> tuple[Rows, Rows]:
    """A row of each group of a random half, or of as many groups drawn with replacement; and the rest."""
    order = random.permutation(len(groups))
    names, first = np.unique(groups[order], return_index=True)
    one_of_each = random.permutation(order[first])
    half = len(names) // 2
    if again:
        return random.choice(one_of_each, half), one_of_each[:0]
    inside = one_of_each[:half]
    return inside, np.flatnonzero(~np.isin(groups, groups[inside]))


def certificates(rows: Rowset, splits: int) -> dict[str, Any]:
    """Violations and savings over random splits, for each promise."""
    sequence, found = Sequence.of(rows), []
    for split in range(splits):
        random = np.random.default_rng(split)
        inside, outside = halves(rows.groups, random, again=False)
        drawn, _ = halves(rows.groups, random, again=True)
        passed, again = sequence.passed(sequence.losses[inside]), sequence.passed(sequence.losses[drawn])
        mean = sequence.losses[inside].mean(axis=0)
        other = sequence.losses[outside].mean(axis=0)
        for number, (bound, confidence) in enumerate(PROMISES):
            found.append(
                _split(sequence, passed[number], again[number], mean, other, bound)
                | _other_tests(sequence.losses[inside], mean, bound, confidence, sequence.saved)
            )
        if split % 20 == 19:
            told(f"split {split + 1} of {splits}")
    return {
        f"loss {bound:g} at {confidence:g}": _summary(found[number :: len(PROMISES)], confidence)
        for number, (bound, confidence) in enumerate(PROMISES)
    }


def _split(
    sequence: Sequence, passed: int, again: int, mean: Floats, other: Floats, bound: float
) -> dict[str, float]:
    """One split and promise: whether it is broken by each truth, and savings, 0 where none is certified."""
    kept, at = np.flatnonzero(mean <= bound), passed - 1
    same = np.flatnonzero(sequence.loss <= sequence.loss[at] + 1e-12)
    return {
        "none": float(not passed),
        "all_rows": float(passed and sequence.loss[at] > bound),
        "resampled": float(again and sequence.loss[again - 1] > bound),
        "other_half": float(passed and other[at] > bound),
        "certified": sequence.saved[at] if passed else 0.0,
        "plain": sequence.saved[kept].max() if len(kept) else 0.0,
        "plain_broken": float(len(kept) and sequence.loss[kept[sequence.saved[kept].argmax()]] > bound),
        "at_same_quality": sequence.saved[same].max() if passed else 0.0,
    }


def _other_tests(
    losses: Floats, mean: Floats, bound: float, confidence: float, saved: Floats
) -> dict[str, float]:
    """Savings by other tests; ``normal`` holds for endless rows only."""
    error, root = 1 - confidence, np.sqrt(len(losses))
    normal = (bound - mean) * root > norm.ppf(confidence) * losses.std(axis=0)
    by = {
        "hoeffding_bentkus": hoeffding_bentkus(losses, bound, error),
        "clopper_pearson": clopper_pearson(losses, bound, error),
        "normal": normal,
    }
    ends = {name: len(shown) if shown.all() else int(shown.argmin()) for name, shown in by.items()}
    return {f"by_{name}": float(saved[end - 1]) if end else 0.0 for name, end in ends.items()}


def _summary(found: list[dict[str, float]], confidence: float) -> dict[str, Any]:
    mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    error, noise = 1 - confidence, float(norm.sf(norm.ppf(confidence) / np.sqrt(2)))
    allowed = {"all_rows": error, "resampled": error, "other_half": noise}
    violations = {
        name: {
            "share": mean[name],
            "allowed": round(share, 4),
            "p_value": float(
                binomtest(round(mean[name] * len(found)), len(found), share, alternative="greater").pvalue
            ),
        }
        for name, share in allowed.items()
    }
    return {
        "splits": len(found),
        "none_certified": mean["none"],
        "violations": violations,
        "plain_violations": mean["plain_broken"],
        "saved": {key: round(mean[key], 4) for key in mean if key in SAVINGS or key.startswith("by_")},
        "saved_over_at_same_quality": round(mean["certified"] / max(mean["at_same_quality"], 1e-9), 4),
        "saved_over_plain": round(mean["certified"] / max(mean["plain"], 1e-9), 4),
    }


SAVINGS = ("certified", "plain", "at_same_quality")


@dataclass(frozen=True)
class Service:
    """A certified router in service: ``monitor`` as it begins, ``items`` of rows [N] by their positions."""

    monitor: Monitor
    items: list[Feedback]
    certified: Rows

    @classmethod
    def begun(cls, rows: Rowset, said: Floats, among: Rows, random: np.random.Generator) -> "Service":
        """Certified on a half of the groups of ``among``, by probabilities ``said`` [N, K]."""
        picked, _ = halves(rows.groups[among], random, again=False)
        inside = among[picked]
        relative = rows.cost[inside].mean(axis=0) / rows.cost[inside, -1].mean()
        promise = Promise(0.02, 0.95)
        points = [
            OperatingPoint("certified", 0.02, "router", float(penalty), (0.0,) * len(relative), 0.0, 0.0)
            for penalty in penalty_grid(said[among], relative)
        ]
        try:
            point, _ = cheapest(points, said[inside], rows.outcomes[inside], relative, promise)
        except DataError:
            point = points[0]
        chosen = choose(said, relative, np.array([point.penalty]))[:, 0]
        items = [
            Feedback(
                float(rows.outcomes[row, tier]),
                float(said[row, tier]),
                float(said[row, -1]),
                int(rows.characters[row]),
            )
            for row, tier in enumerate(chosen.tolist())
        ]
        made, lengths = claims([items[row] for row in inside.tolist()])
        return cls(Monitor.watching(made, lengths, ERROR, CLAIMS_ERROR), items, inside)

    def revoked_at(
        self, rows: Rows, most: int, random: np.random.Generator, since: Monitor | None = None
    ) -> float:
        """Items drawn from ``rows`` until it is revoked; infinite where ``most`` are not enough."""
        monitor = since or self.monitor
        for number, row in enumerate(random.choice(rows, most).tolist(), 1):
            monitor = monitor.after(self.items[row])
            if monitor.revoked:
                return number
        return float("inf")


def shifts(rows: Rowset, services: int, runs: int) -> dict[str, Any]:
    """How soon the monitor revokes, and how often without cause."""
    found: dict[str, list[float]] = {}
    late: dict[str, list[float]] = {}
    everything = np.arange(len(rows.groups))
    for number in range(services):
        random = np.random.default_rng(10_000 + number)
        service = Service.begun(rows, rows.probabilities, everything, random)
        rest = np.flatnonzero(~np.isin(rows.groups, rows.groups[service.certified]))
        kinds = dict(_kinds(rows, rest))
        for _ in range(runs):
            found.setdefault("no_shift", []).append(service.revoked_at(rest, QUIET_ITEMS, random))
        for kind, those in kinds.items():
            found.setdefault(kind, []).extend(
                service.revoked_at(those, PATIENCE, random) for _ in range(max(1, runs // 5))
            )
        calm = service.monitor
        for row in random.choice(rest, QUIET_ITEMS).tolist():
            calm = calm.after(service.items[row])
        if not calm.revoked:
            for kind, those in kinds.items():
                late.setdefault(kind, []).append(service.revoked_at(those, QUIET_ITEMS, random, calm))
        for fold, unseen in enumerate(rows.unseen):
            seen = np.flatnonzero(~unseen)
            other = Service.begun(rows, rows.without[fold], seen, random)
            for task in np.unique(rows.task[unseen]):
                those = np.flatnonzero(rows.task == task)
                found.setdefault(f"new_task {task}", []).append(other.revoked_at(those, PATIENCE, random))
        told(f"service {number + 1} of {services}")
    tasks = [at for kind, many in found.items() if kind.startswith("new_task") for at in many]
    told_of = {kind: _delays(many) for kind, many in {**found, "new_task": tasks}.items()}
    quiet = told_of.pop("no_shift")
    return {
        "error": ERROR,
        "no_shift": {"runs": quiet["runs"], "items": QUIET_ITEMS, "false_alarms": quiet["revoked"]},
        f"shift_within_{PATIENCE}": told_of,
        f"shift_after_{QUIET_ITEMS}_items": {kind: _delays(many) for kind, many in late.items()},
    }


def _kinds(rows: Rowset, rest: Rows) -> Iterator[tuple[str, Rows]]:
    strongest = {task: rows.outcomes[rows.task == task, -1].mean() for task in np.unique(rows.task)}
    harder = sorted(strongest, key=strongest.__getitem__)[: len(strongest) // 2]
    yield "harder_mix", rest[np.isin(rows.task[rest], harder)]
    yield "longer_prompts", rest[rows.characters[rest] > np.median(rows.characters)]


def _delays(found: list[float]) -> dict[str, Any]:
    ordered = sorted(found)
    quantiles = {
        f"p{share:.0%}"[:-1]: ordered[min(len(ordered) - 1, int(share * len(ordered)))]
        for share in (0.5, 0.95)
    }
    return {
        "runs": len(found),
        "revoked": float(np.isfinite(found).mean()),
        "items": {name: None if at == float("inf") else at for name, at in quantiles.items()},
    }


def told(line: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", type=Path, default=Path(__file__).parents[2] / "shared" / "datasets")
    parser.add_argument("--quick", action="store_true", help="20 splits, few runs, one router without a task")
    parser.add_argument("--keep", type=Path, help="folder that keeps predictions for another run")
    options = parser.parse_args()
    splits, services, runs = (20, 3, 5) if options.quick else (1000, 40, 25)
    result: dict[str, Any] = {"machine": machine()}
    for name in SETS:
        rows = Rowset.read(options.datasets, name, options.keep, 1 if options.quick else TASK_FOLDS)
        told(f"{name}: {len(rows.groups)} rows")
        result[name] = {
            "rows": len(rows.groups),
            "certificates": certificates(rows, splits),
            "monitor": shifts(rows, services, runs),
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
