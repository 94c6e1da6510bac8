"""How near a paced budget is spent, and what of quality that costs against the best fixed price in hindsight.

    python benchmarks/pacing.py FOLDER [--requests 50000,200000] [--seeds 5] > pacing.json

FOLDER holds ``train/mmlu_pro.jsonl.gz``, ``train/mixed_tasks.jsonl.gz`` and ``ladders.json``. The prompts'
probabilities are cross-fitted, their outcomes and costs those of the sets; ``--kept FILE`` keeps them (.npz)
from one run to the next.

A day has the given number of requests by a profile of office hours (one of three time zones), a volume of its
own (log-normal, 10 %), on top six bursts of ten minutes at five times the rate, each of one of the two sets,
and a mix that drifts from one set to the other. The price is decided on the cost that a router expects; what
an answer costs is known when it ends, some seconds later, and is that of its own length. Budgets are shares
of what the strongest tier alone would have cost that day.

For each budget: the spend over the budget, in per cent (over what price 0 spends where the budget is above
that, ``binds`` false), and the quality less that of the best fixed price in hindsight, in points of the mean
outcome; medians and worst cases over days. Scenarios: ``usual`` knows the profile of two days before;
``replicas`` are two unequal ones that hear of each other five seconds late; ``cut_off`` are the same without
a store from 11:00 to 13:00; ``first_day`` knows nothing; ``first_day_told`` how many requests to expect, give
or take 20 %; ``quiet`` and ``busy`` days have half and twice the requests that the days before had; ``step``
has a mix that changes at noon, not slowly. ``lots`` paces dollars per thousand requests. Beside them, what a
price does that is not paced: ``yesterday`` keeps the best one of the day before, ``until_spent`` keeps the
strongest tier until the budget is spent, then the cheapest.

A quarter of an hour on one core.
"""

import argparse
import heapq
import json
import platform
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.data.readers import Reading
from router_model.ladder import Ladder
from router_model.policy.demand import Demand
from router_model.policy.pace import SCALE, Pace, Term, Totals
from router_model.policy.traffic import DAY_SECONDS, SLOT_SECONDS, SLOTS, Profile, Traffic
from router_model.training.config import TrainConfig
from router_model.training.crossfit import crossfit
from router_model.training.encoders.registry import load
from router_model.training.prepare import prepare, read_all

Floats = NDArray[np.float64]
SETS = ("mmlu_pro", "mixed_tasks")
FIELDS = ("probabilities", "outcomes", "paid", "expected")
BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)
FEWER = (0.1, 0.3, 0.7)
FIRST_SEED = 1000
VOLUME = 0.1  # standard deviation of the log of a day's requests
BURSTS, BURST_MINUTES, BURST = 6, 10, 5.0
ANSWER_SECONDS, ANSWER_SPREAD = 4.5, 1.0  # median, and standard deviation of the log
LENGTH_SPREAD = 0.8  # of the log of an answer's length, where the set does not tell it
START_PRICE = 150.0
LOT = 1000
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

    def best(self, usd: float) -> tuple[float, float, float]:
        """The least fixed price that spends at most ``usd``, what it spends, and its mean outcome."""
        low, high = 1e-3, 1e7
        if self.spent(0.0)[0] <= usd:
            return 0.0, *self.spent(0.0)
        for _ in range(40):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.spent(middle)[0] > usd else (low, middle)
        return high, *self.spent(high)


@dataclass(frozen=True)
class Ran:
    """What pacing did with a day: dollars, mean outcome, and a series for plots."""

    usd: float
    quality: float
    series: list[dict[str, float]]


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


class Replicas:
    """Paces of one budget that hear of each other ``late`` seconds late, or not at all while ``away``."""

    def __init__(self, paces: list[Pace], late: int = 0, away: tuple[float, float] = (0.0, 0.0)) -> None:
        self.paces = paces
        self._away = away
        self._told: deque[list[Totals]] = deque(maxlen=late + 1)
        self._next = 0.0

    def tick(self, at: float) -> None:
        """Have each hear of the others, once a second."""
        while len(self.paces) > 1 and at >= self._next:
            self._told.append([Totals(pace.usd, pace.requests, pace.moved) for pace in self.paces])
            for place, pace in enumerate(self.paces):
                if self._away[0] <= self._next < self._away[1]:
                    if not pace.plan.siblings:
                        self.paces[place] = pace.heard(pace.elsewhere, siblings=len(self.paces) - 1)
                    continue
                others = [told for other, told in enumerate(self._told[0]) if other != place]
                self.paces[place] = pace.heard(
                    Totals(*(sum(getattr(o, f) for o in others) for f in ("usd", "requests", "moved")))
                )
            self._next += 1.0


def run(replicas: Replicas, day: Day, shares: tuple[float, ...] = (1.0,), *, plot: bool = False) -> Ran:
    """Decide a day's requests one by one; answers are told when they end, the day's last ones too."""
    p, paces = day.prompts, replicas.paces
    rows = zip(day.at.tolist(), day.ends.tolist(), p.probabilities.tolist(), p.expected.tolist(), strict=True)
    paid, outcomes = p.paid.tolist(), p.outcomes.tolist()
    where = np.random.default_rng(0).choice(len(paces), len(day.at), p=shares).tolist()
    flying: list[tuple[float, float, int]] = []
    usd = quality = 0.0
    series = []

    def land(until: float) -> None:
        while flying and flying[0][0] <= until:
            at, cost, place = heapq.heappop(flying)
            replicas.tick(at)
            paces[place] = paces[place].after(cost, at)

    for n, (at, ends, probabilities, expected) in enumerate(rows):
        land(at)
        place = where[n]
        if n % SAMPLE == 0:
            paces[place] = paces[place].sampled(probabilities, expected)
        tier = paces[place].rule()(probabilities, expected)
        quality += outcomes[n][tier]
        usd += paid[n][tier]
        heapq.heappush(flying, (ends, paid[n][tier], place))
        if plot and at >= len(series) * 600:
            pace = paces[0]
            series.append(
                {
                    "hour": round(at / 3600, 3),
                    "price": round(pace.price, 3),
                    "spent_share": round(pace.spent / pace.plan.term.usd, 5),
                    "even_share": round(pace.even_usd / pace.plan.term.usd, 5),
                    "requests": n,
                    "left": round(pace.plan.left),
                }
            )
    land(DAY_SECONDS)
    return Ran(usd, quality / len(day.at), series)


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
    budgets: tuple[float, ...] = FEWER


SCENARIOS = {
    "usual": Scenario(budgets=BUDGETS),
    "replicas": Scenario(shares=(0.7, 0.3), late=5, budgets=BUDGETS),
    "cut_off": Scenario(shares=(0.7, 0.3), late=5, away=(11 * 3600.0, 13 * 3600.0)),
    "first_day": Scenario(known=False),
    "first_day_told": Scenario(known=False, told=True),
    "quiet": Scenario(volume=0.5),
    "busy": Scenario(volume=2.0),
    "step": Scenario(step=True),
}


def days(
    sets: dict[str, Prompts], requests: int, seeds: int, scenario: Scenario
) -> Iterator[tuple[Day, Day, Known]]:
    """The day, the one before, and what is known beforehand."""
    strongest_usd = float(np.mean([p.expected[:, -1].mean() for p in sets.values()]))
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
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


def measure(sets: dict[str, Prompts], requests: int, seeds: int, scenario: Scenario) -> dict[str, Any]:
    """Each budget of a scenario over the seeds."""
    rows: dict[float, list[dict[str, float]]] = {share: [] for share in scenario.budgets}
    for today, before, known in days(sets, requests, seeds, scenario):
        whole = today.prompts.paid[:, -1].sum()
        for share in scenario.budgets:
            usd = share * whole
            price, spends, quality = today.best(usd)
            # A gateway begins at the usual price of the day before; on its first day at that of its dial.
            begin = before.best(usd / scenario.volume)[0] if scenario.known else START_PRICE
            each = len(scenario.shares)
            replicas = Replicas([known.pace(usd, begin)] * each, scenario.late, scenario.away)
            ran = run(replicas, today, scenario.shares)
            target = usd if price > 0 else spends
            rows[share].append(
                {
                    "error": (ran.usd / target - 1) * 100,
                    "over_budget": (ran.usd / usd - 1) * 100,
                    "lost": (ran.quality - quality) * 100,
                    "price": price,
                }
            )
    return {f"{share:g}": summary(of_share) for share, of_share in rows.items()}


def summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Medians and worst cases."""
    error = np.array([row["error"] for row in rows])
    lost = np.array([row["lost"] for row in rows])
    return {
        "days": len(rows),
        "binds": all(row["price"] > 0 for row in rows),
        "spend_percent_median": round(float(np.median(error)), 3),
        "spend_percent_worst": round(float(error[np.abs(error).argmax()]), 3),
        "over_budget_percent_worst": round(max(row["over_budget"] for row in rows), 3),
        "points_median": round(float(np.median(lost)), 3),
        "points_worst": round(float(lost.min()), 3),
        "best_prices": [round(row["price"], 1) for row in rows],
    }


def unpaced(sets: dict[str, Prompts], requests: int, seeds: int) -> dict[str, Any]:
    """What a price that is not paced does with the same days and budgets."""
    found: dict[str, dict[str, Any]] = {"yesterday": {}, "until_spent": {}}
    for share in BUDGETS:
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in found}
        for today, before, _ in days(sets, requests, seeds, Scenario()):
            p = today.prompts
            usd = share * p.paid[:, -1].sum()
            price, spends, quality = today.best(usd)
            target = usd if price > 0 else spends
            old = before.best(usd)[0]
            kept = p.paid[:, -1].cumsum() + (p.paid[::-1, 0].cumsum()[::-1] - p.paid[:, 0]) < usd
            strongest = np.where(kept, p.outcomes[:, -1], p.outcomes[:, 0]).mean()
            paid = np.where(kept, p.paid[:, -1], p.paid[:, 0]).sum()
            for name, (paid_usd, outcome) in {
                "yesterday": today.spent(old),
                "until_spent": (paid, strongest),
            }.items():
                rows[name].append(
                    {
                        "error": (paid_usd / target - 1) * 100,
                        "over_budget": (paid_usd / usd - 1) * 100,
                        "lost": (outcome - quality) * 100,
                        "price": price,
                    }
                )
        for name in found:
            found[name][f"{share:g}"] = summary(rows[name])
    return found


def lots(sets: dict[str, Prompts], requests: int, seeds: int) -> dict[str, Any]:
    """Dollars per thousand requests, of which nobody need know how many will come."""
    found = {}
    for share in FEWER:
        rows = []
        for today, _, known in days(sets, requests, seeds, Scenario(known=False)):
            strongest = today.prompts.paid[:, -1].mean()
            usd = share * strongest * LOT
            budget = usd * len(today.at) / LOT
            price, spends, quality = today.best(budget)
            ran = run(Replicas([known.pace(usd, START_PRICE, LOT)]), today)
            target = budget if price > 0 else spends
            rows.append(
                {
                    "error": (ran.usd / target - 1) * 100,
                    "over_budget": (ran.usd / budget - 1) * 100,
                    "lost": (ran.quality - quality) * 100,
                    "price": price,
                }
            )
        found[f"{share:g}"] = summary(rows)
    return found


def plotted(sets: dict[str, Prompts], requests: int) -> dict[str, Any]:
    """One day in steps of ten minutes, for a plot."""
    today, before, known = next(days(sets, requests, 1, Scenario()))
    usd = 0.3 * float(today.prompts.paid[:, -1].sum())
    ran = run(Replicas([known.pace(usd, before.best(usd)[0])]), today, plot=True)
    return {"budget": 0.3, "best_fixed_price": round(today.best(usd)[0], 3), "series": ran.series}


def microseconds(calls: int = 40_000) -> dict[str, float]:
    """Of one request: ``rule()``, the decision among three tiers, ``after``; and all three together."""
    state = Known(Profile((1000.0,) * SLOTS, 1), Demand(), 1e-3).pace(25.0, START_PRICE)
    probabilities, usd = [0.3, 0.5, 0.7], [3e-5, 5e-5, 1e-3]
    taken: dict[str, list[int]] = {"rule": [], "decide": [], "after": [], "all": []}
    for n in range(calls):
        begun = perf_counter_ns()
        rule = state.rule()
        ruled = perf_counter_ns()
        tier = rule(probabilities, usd)
        decided = perf_counter_ns()
        state = state.after(usd[tier], n)
        ended = perf_counter_ns()
        taken["rule"].append(ruled - begun)
        taken["decide"].append(decided - ruled)
        taken["after"].append(ended - decided)
    for n in range(calls):
        begun = perf_counter_ns()
        tier = state.rule()(probabilities, usd)
        state = state.after(usd[tier], calls + n * 0.5)
        taken["all"].append(perf_counter_ns() - begun)
    found = {}
    for name, spans in taken.items():
        found[f"{name}_p50"] = float(np.percentile(spans, 50)) / 1000
        found[f"{name}_p99"] = float(np.percentile(spans, 99)) / 1000
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The report on standard output."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--requests", default="50000,200000", help="a day, several separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--kept", type=Path)
    options = parser.parse_args(arguments)
    sets = read(options.folder, options.kept)
    sizes = [int(size) for size in options.requests.split(",")]
    report: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "microseconds": microseconds(),
        "scenarios": {},
    }
    for name in options.scenarios.split(","):
        for size in sizes if name == "usual" else sizes[:1]:
            print(f"{name}, {size} requests", file=sys.stderr)
            report["scenarios"][f"{name}_{size}"] = measure(sets, size, options.seeds, SCENARIOS[name])
    report["lots"] = lots(sets, sizes[0], options.seeds)
    report["unpaced"] = unpaced(sets, sizes[0], options.seeds)
    report["day"] = plotted(sets, sizes[0])
    json.dump(report, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
