"""Days of requests, made of the prompts of two labelled sets.

A day has the given number of requests by a profile of office hours (one of three time zones), a volume of its
own (log-normal, 10 %), on top six bursts of ten minutes at five times the rate, each of one of the two sets,
and a mix that drifts from one set to the other. What an answer costs is known when it ends, some seconds
later, and is that of its own length, not what a router expects.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.readers import Reading
from router_model.ladder import Ladder
from router_model.policy.demand import Demand
from router_model.policy.pace import SCALE, Pace, Term
from router_model.policy.traffic import DAY_SECONDS, SLOT_SECONDS, SLOTS, Profile, Traffic
from router_model.training.config import TrainConfig
from router_model.training.crossfit import crossfit
from router_model.training.encoders.registry import load
from router_model.training.prepare import prepare, read_all

Floats = NDArray[np.float64]
SETS = ("mmlu_pro", "mixed_tasks")
FIELDS = ("probabilities", "outcomes", "paid", "expected")
VOLUME = 0.1  # standard deviation of the log of a day's requests
BURSTS, BURST_MINUTES, BURST = 6, 10, 5.0
ANSWER_SECONDS, ANSWER_SPREAD = 4.5, 1.0  # median, and standard deviation of the log
LENGTH_SPREAD = 0.8  # of the log of an answer's length, where the set does not tell it
SAMPLE = 16  # one request in so many tells of the demand


@dataclass(frozen=True)
class Prompts:
    """N prompts: probabilities, outcomes, what an answer cost and was expected to, all float64 [N, K]."""

    probabilities: Floats
    outcomes: Floats
    paid: Floats
    expected: Floats

    def __len__(self) -> int:
        return len(self.paid)

    def __getitem__(self, rows: NDArray[np.int64]) -> "Prompts":
        return Prompts(*(getattr(self, field)[rows] for field in FIELDS))


@dataclass(frozen=True)
class Day:
    """Requests of one day: when they come, when their answers end [N], and what they are."""

    at: Floats
    ends: Floats
    prompts: Prompts

    @property
    def counts(self) -> list[float]:
        """By slots of a profile."""
        slots = np.minimum(SLOTS - 1, (self.at / SLOT_SECONDS).astype(int))
        return np.bincount(slots, minlength=SLOTS).astype(float).tolist()

    def spent(self, price: float) -> tuple[float, float]:
        """US dollars and mean outcome of a fixed price."""
        p = self.prompts
        chosen = (p.probabilities - price * p.expected).argmax(axis=1)[:, None]
        return float(np.take_along_axis(p.paid, chosen, 1).sum()), float(
            np.take_along_axis(p.outcomes, chosen, 1).mean()
        )

    def spendable(self, usd: float, lot: int) -> float:
        """What price 0 may spend of ``usd`` dollars for each ``lot`` of requests, one lot's carried over."""
        p = self.prompts
        free = np.take_along_axis(p.paid, p.probabilities.argmax(axis=1)[:, None], 1)[:, 0]
        spent = carried = 0.0
        for start in range(0, len(free), lot):
            part = free[start : start + lot]
            may = carried + usd * len(part) / lot
            now = min(float(part.sum()), may)
            spent, carried = spent + now, min(usd, may - now)
        return spent

    def best(self, usd: float) -> tuple[float, float, float]:
        """The least fixed price that spends at most ``usd``, what it spends, and its mean outcome."""
        low, high = 1e-3, 1e7
        if self.spent(0.0)[0] <= usd:
            return 0.0, *self.spent(0.0)
        for _ in range(40):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.spent(middle)[0] > usd else (low, middle)
        return high, *self.spent(high)


def read(folder: Path, kept: Path | None) -> dict[str, Prompts]:
    """The prompts of both sets, cross-fitted or as kept."""
    if kept and kept.exists():
        with np.load(kept) as found:
            return {name: Prompts(*(found[f"{name}_{field}"] for field in FIELDS)) for name in SETS}
    ladders = json.loads((folder / "ladders.json").read_text())
    config, sets = TrainConfig(), {}
    encoder = load(config, None)
    for name in SETS:
        print(f"cross-fitting {name}", file=sys.stderr)
        ladder = Ladder.from_dict({"tiers": ladders[f"train/{name}"]["tiers"]})
        rows = read_all([folder / "train" / f"{name}.jsonl.gz"], Reading())
        prepared = prepare(rows, ladder, config, encoder)
        labels = prepared.labels
        fitted = crossfit(encoder, prepared.encoded, labels.sufficient, prepared.groups, config)
        sets[name] = _prompts(fitted.probabilities, labels, ladder)
    if kept:
        arrays = {f"{name}_{field}": getattr(p, field) for name, p in sets.items() for field in FIELDS}
        np.savez(kept, **arrays)
    return sets


def _prompts(probabilities: Floats, labels: Any, ladder: Ladder) -> Prompts:
    whole = ~np.isnan(labels.outcomes).any(axis=1)
    lengths = zip(ladder.tiers, labels.output_tokens, strict=True)
    expected = np.stack([tier.cost_usd(labels.input_tokens, length) for tier, length in lengths], axis=1)
    paid = labels.cost_usd.copy()
    if np.allclose(paid, expected):  # the set tells no lengths: draw them
        rng = np.random.default_rng(0)
        answers = [tier.cost_usd(0, n) for tier, n in zip(ladder.tiers, labels.output_tokens, strict=True)]
        spread = rng.lognormal(-(LENGTH_SPREAD**2) / 2, LENGTH_SPREAD, paid.shape)
        paid += (spread - 1) * np.array(answers)
    return Prompts(*(one[whole] for one in (probabilities, labels.outcomes, paid, expected)))


def rates(zone: float) -> Floats:
    """Relative requests in each minute of a day whose office hours are so many hours later."""
    hour = (np.arange(1440) / 60 - zone) % 24
    bumps = ((10.5, 2.0, 1.0), (15.5, 2.2, 0.9), (21.0, 1.8, 0.35))
    rate = 0.12 + sum(height * np.exp(-(((hour - peak) / width) ** 2)) for peak, width, height in bumps)
    return np.asarray(rate / rate.mean())


def day(
    rng: np.random.Generator, sets: dict[str, Prompts], requests: float, zone: float, *, step: bool = False
) -> Day:
    """A day of about so many requests."""
    rate = rates(zone) * requests / (1440 + BURSTS * BURST_MINUTES * (BURST - 1))
    starts = rng.integers(0, 1440 - BURST_MINUTES, BURSTS)
    bursts = [(start, start + BURST_MINUTES, rng.integers(2)) for start in starts]
    busy = np.zeros(1440, bool)
    for start, end, _ in bursts:
        busy[start:end] = True
    rate[busy] *= BURST
    counts = rng.poisson(rate)
    at = np.sort(np.repeat(np.arange(1440), counts) * 60 + rng.uniform(0, 60, counts.sum()))
    hour = at / 3600
    share = (hour > 12).astype(float) if step else 1 / (1 + np.exp(-(hour - 12) / 2.5))
    for start, end, which in bursts:
        share[(at >= start * 60) & (at < end * 60)] = which
    second = rng.random(len(at)) < share
    first = sets[SETS[0]], sets[SETS[1]]
    picked = [one[rng.integers(0, len(one), len(at))] for one in first]
    prompts = Prompts(*(np.where(second[:, None], *(getattr(p, f) for p in picked[::-1])) for f in FIELDS))
    ends = at + rng.lognormal(np.log(ANSWER_SECONDS), ANSWER_SPREAD, len(at))
    return Day(at, ends, prompts)


@dataclass(frozen=True)
class Known:
    """What a gateway knows at midnight: of the hours, of what they would cost, and of the strongest tier."""

    profile: Profile
    demand: Demand
    strongest_usd: float

    def after(self, day: Day) -> "Known":
        """Once it has seen a day."""
        demand = self.demand
        p, slots = day.prompts, np.minimum(SLOTS - 1, (day.at / SLOT_SECONDS).astype(int)).tolist()
        for n in range(0, len(p), SAMPLE):
            demand = demand.sampled(
                slots[n],
                SLOTS,
                SCALE / self.strongest_usd,
                p.probabilities[n].tolist(),
                p.expected[n].tolist(),
            )
        return replace(self, profile=self._seen(day), demand=demand.after())

    def _seen(self, day: Day) -> Profile:
        """The profile after a day that was looked at once a minute."""
        traffic = Traffic.begun(self.profile, 0.0, 0.0)
        for minute in range(1, 1440):
            traffic = traffic.moved(minute * 60.0, float(np.searchsorted(day.at, minute * 60.0)))
        return traffic.turned(DAY_SECONDS).profile

    def pace(self, usd: float, price: float, lot: float | None = None) -> Pace:
        """The state at midnight."""
        return Pace.begun(
            Term(usd, 0.0, DAY_SECONDS, lot),
            Traffic.begun(self.profile, 0.0, 0.0),
            strongest_usd=self.strongest_usd,
            price=price,
            demand=self.demand,
        )


@dataclass(frozen=True)
class Scenario:
    """What differs from a usual day."""

    known: bool = True
    told: bool = False
    volume: float = 1.0
    step: bool = False
    shares: tuple[float, ...] = (1.0,)
    late: int = 0
    away: tuple[float, float] = (0.0, 0.0)
    budgets: tuple[float, ...] = (0.1, 0.3, 0.7)


def days(
    sets: dict[str, Prompts], requests: int, seeds: range, scenario: Scenario
) -> Iterator[tuple[Day, Day, Known]]:
    """The day, the one before, and what is known beforehand."""
    strongest_usd = float(np.mean([p.expected[:, -1].mean() for p in sets.values()]))
    for seed in seeds:
        rng = np.random.default_rng(seed)
        zone = (0.0, 8.0, 16.0)[seed % 3]
        past = [day(rng, sets, requests * rng.lognormal(0, VOLUME), zone) for _ in range(2)]
        known = Known(Profile(), Demand(), strongest_usd)
        if scenario.known:
            known = known.after(past[0]).after(past[1])
        elif scenario.told:
            known = replace(known, profile=Profile.even(requests * rng.uniform(0.8, 1.2)))
        volume = scenario.volume * requests * rng.lognormal(0, VOLUME)
        yield day(rng, sets, volume, zone, step=scenario.step), past[1], known
