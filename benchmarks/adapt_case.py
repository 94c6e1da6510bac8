"""A router without one model, and what labels of that model make of it: the cases of adapt.py.

N: prompts, K: tiers of the whole ladder, J: prompts that judge, P: pairs of tiers, R: resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.training.adapt import FEW
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.metrics import GapRecovery
from router_model.training.frozen import Reading
from router_model.training.place import level
from router_model.training.prepare import Prepared
from router_model.training.readout import Prior, infer, logit, probability
from router_model.training.suggest import suggest

DRAWS, RESAMPLES, PARTS = 8, 500, 10
GAP = 0.1  # mean outcomes of a pair that lie nearer give no share to speak of
WAYS = ("none", "chosen", "random", "all", "more", "told", "beside", "same_rows")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """One fold: rows that teach, rows that stop, calibrate and are labelled, and rows that judge."""

    teach: Ints
    pool: Ints
    judge: Ints


@dataclass(frozen=True)
class Yardstick:
    """Probabilities of all tiers, float64 [N, K], by routers that were trained with the model.

    Attributes:
        whole: on all rows but those that judge.
        taught: on the rows that taught the router without the model, and no others.
    """

    whole: Floats
    taught: Floats


class Case:
    """A router without the tier ``new``, to be adapted to it, and judged beside ``other`` tiers.

    Args:
        reading: of all rows by the router without it.
        beside: the tier to judge it by; those that are ``GAP`` better or worse come behind it.
    """

    def __init__(
        self, prepared: Prepared, fold: Fold, reading: Reading, yardstick: Yardstick, new: int, beside: int
    ) -> None:
        outcomes, tiers = prepared.labels.outcomes, prepared.labels.outcomes.shape[1]
        self.new, self.yardstick, self.reading = new, yardstick, reading
        self.known, self.embedding = logit(reading.sufficiency), reading.embedding
        self.target = prepared.labels.sufficient[:, new]
        self.pool, self.judge = fold.pool, fold.judge[~np.isnan(outcomes[fold.judge]).any(axis=1)]
        self.labelled = fold.pool[~np.isnan(self.target[fold.pool])]
        means = np.nanmean(outcomes, axis=0)  # [K]
        self.others = [beside, *(k for k in range(tiers) if abs(means[k] - means[new]) > GAP and k != beside)]
        self.sign = np.sign(means[new] - means)  # [K]
        self.outcomes, self.groups = outcomes[self.judge], prepared.groups[self.judge]
        bootstrap = Bootstrap(self.groups, RESAMPLES, 0.95)
        weights = np.concatenate([np.ones((1, bootstrap.count)), *bootstrap.weights()])
        self.weights = weights[:, bootstrap.group_of]  # [1 + R, J]
        rows, place = self.labelled, [k if k < new else None if k == new else k - 1 for k in range(tiers)]
        expected = level(self.known[fold.pool].mean(axis=0), place, new)
        self.prior = Prior.between(self.known[rows], self.embedding[rows], expected)

    def chosen(self) -> Ints:
        """The rows to label."""
        rows = self.labelled
        return rows[suggest(self.prior, self.known[rows], self.embedding[rows], FEW)]

    def ways(self, seed: int) -> dict[str, Floats]:
        """Gain in APGR over a random order, by way: on the fold and in each resample, [P, 1 + R]."""
        whole, taught = self.yardstick.whole[self.judge], self.yardstick.taught[self.judge]
        chance = np.random.default_rng(seed)
        drawn = [
            self._gain(self._after(chance.choice(self.labelled, FEW, replace=False))) for _ in range(DRAWS)
        ]
        return {
            "full": self._gain(whole[:, self.new], np.delete(whole, self.new, axis=1)),
            "same_rows": self._gain(taught[:, self.new], np.delete(taught, self.new, axis=1)),
            "beside": self._gain(whole[:, self.new]),
            "none": self._gain(self._after(self.labelled[:0])),
            "chosen": self._gain(self._after(self.chosen())),
            "random": np.mean(drawn, axis=0),
            "all": self._gain(self._after(self.labelled)),
            "more": self._gain(self._after_most()),
            "told": self._gain(self._told()),
        }

    def _gain(self, new: Floats, known: Floats | None = None) -> Floats:
        """Of probabilities of the new tier [J], and of the known ones [J, K - 1], by default the router's."""
        known = self.reading.sufficiency[self.judge] if known is None else known
        gains = []
        for other in self.others:
            beside = known[:, other - (other > self.new)]
            cheap, dear = (other, self.new) if self.sign[other] > 0 else (self.new, other)
            scores = self.sign[other] * (new - beside)
            recovery = GapRecovery(scores, self.outcomes[:, cheap], self.outcomes[:, dear])
            gains.append(recovery.figures(self.weights)[:, 0] - 0.5)
        return np.array(gains)

    def _after(self, rows: Ints, asked: Ints | None = None) -> Floats:
        """Probabilities of the new tier after the labels of ``rows``, for those ``asked``: who judge."""
        asked = self.judge if asked is None else asked
        readout = infer(self.prior, self.known[rows], self.embedding[rows], self.target[rows]).readout
        return probability(readout.logits(self.known[asked], self.embedding[asked]))

    def _after_most(self) -> Floats:
        """After the labels of the pool and of all rows that judge but a tenth, asked of that tenth: [J]."""
        said = np.empty(len(self.judge))
        part_of = self.groups % PARTS
        for part in range(PARTS):
            asked = part_of == part
            if asked.any():
                rows = np.concatenate([self.labelled, self.judge[~asked]])
                said[asked] = self._after(rows, self.judge[asked])
        return said

    def _told(self) -> Floats:
        """The yardstick's logit, as near as a readout of the frozen embedding comes (least squares): [J]."""
        rows = np.concatenate([self.pool, self.judge])
        inputs = np.column_stack([self.embedding, np.ones(len(self.embedding))])
        goal = logit(self.yardstick.whole[rows, self.new])
        weights = np.linalg.lstsq(inputs[rows], goal, rcond=None)[0]
        return probability(inputs[self.judge] @ weights)


def shares(found: Sequence[dict[str, Floats]], pairs: int | None = None) -> dict[str, Any]:
    """Share of the full gain that each way has over cases, and chosen over random, with intervals.

    Args:
        found: gains by way, [P, 1 + R], of each case.
        pairs: how many of the P count; all by default.
    """
    total = {
        way: np.sum([case[way][:pairs].sum(axis=0) for case in found], axis=0) for way in ("full", *WAYS)
    }
    share = {way: total[way] / total["full"] for way in WAYS}  # [1 + R]
    over = share["chosen"] - share["random"]
    return {way: _told(share[way]) for way in WAYS} | {
        "chosen_over_random": _told(over),
        "apgr": {
            way: round(float(np.mean(np.concatenate([case[way][:pairs, 0] for case in found]))) + 0.5, 4)
            for way in total
        },
    }


def _told(values: Floats) -> dict[str, Any]:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {"share": round(float(values[0]), 3), "interval": [round(float(low), 3), round(float(high), 3)]}
