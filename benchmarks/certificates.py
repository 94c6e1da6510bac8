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

What the monitor sees is in ``benchmarks/shifts.py``.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from crossfitted import TASK_FOLDS, Floats, Rows, Rowset, halves, told
from scipy.stats import binomtest, norm
from shifts import shifts

from router_model.bench.fresh import machine
from router_model.training.bounds import clopper_pearson, hedged_bet, hoeffding_bentkus
from router_model.training.curve import choose, penalty_grid

SETS = ("mmlu_pro", "mixed_tasks")
PROMISES = [(bound, confidence) for bound in (0.01, 0.02, 0.05) for confidence in (0.9, 0.95)]
BLOCK = 40  # penalties tested at once
SAVINGS = ("certified", "plain", "at_same_quality")


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
