"""How near a paced budget is spent, and what of quality that costs against the best fixed price in hindsight.

    python benchmarks/pacing.py FOLDER [--requests 50000,200000] [--seeds 5] [--first-seed 1000] > pacing.json

FOLDER holds ``train/mmlu_pro.jsonl.gz``, ``train/mixed_tasks.jsonl.gz`` and ``ladders.json``. The prompts'
probabilities are cross-fitted, their outcomes and costs those of the sets; ``--kept FILE`` keeps them (.npz)
from one run to the next. The days are those of ``made_days.py``; a budget is a share of what the strongest
tier alone would have cost that day, and a seed is a day.

For each budget: the spend, in per cent over the budget or, where price 0 from start to end spends less, over
that (``binds`` false on such days); and the quality less that of the best fixed price in hindsight, in points
of the mean outcome; medians and worst cases over days. Scenarios: ``usual`` knows two days before;
``replicas`` are two unequal ones that hear of each other five seconds late; ``cut_off`` are the same without
a store from 11:00 to 13:00; ``first_day`` knows nothing; ``first_day_told`` how many requests to expect, give
or take 20 %; ``quiet`` and ``busy`` days have half and twice the requests that the days before had; ``step``
has a mix that changes at noon, not slowly. ``lots`` paces dollars per thousand requests; there price 0 spends
what it may, lot by lot, with one lot's dollars carried over at most. Beside them, what a price does that is
not paced: ``yesterday`` keeps the best one of the day before, ``until_spent`` keeps the strongest tier until
the budget is spent, then the cheapest.

A quarter of an hour on one core.
"""

import argparse
import heapq
import json
import platform
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from made_days import SAMPLE, Day, Known, Prompts, Scenario, days, read

from router_model.policy.demand import Demand
from router_model.policy.pace import Pace, Totals
from router_model.policy.traffic import DAY_SECONDS, SLOTS, Profile

BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)
FEWER = (0.1, 0.3, 0.7)
START_PRICE = 150.0
LOT = 1000


@dataclass(frozen=True)
class Ran:
    """What pacing did with a day: dollars, mean outcome, and a series for plots."""

    usd: float
    quality: float
    series: list[dict[str, float]]


@dataclass(frozen=True)
class Row:
    """What was done with one budget of one day.

    Attributes:
        error: spend over the budget, or over what can be spent where that is less, in per cent.
        over_budget: spend over the budget, in per cent.
        lost: mean outcome less that of the best fixed price in hindsight, in points.
        price: that one.
    """

    error: float
    over_budget: float
    lost: float
    price: float

    @classmethod
    def of(cls, day: Day, budget: float, usd: float, quality: float, most: float = np.inf) -> "Row":
        """``usd`` and ``quality`` beside the best fixed price; no price could spend more than ``most``."""
        price, spends, best = day.best(budget)
        target = min(budget if price > 0 else spends, most)
        return cls((usd / target - 1) * 100, (usd / budget - 1) * 100, (quality - best) * 100, price)


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


def measure(sets: dict[str, Prompts], requests: int, seeds: range, scenario: Scenario) -> dict[str, Any]:
    """Each budget of a scenario over the seeds."""
    rows: dict[float, list[Row]] = {share: [] for share in scenario.budgets}
    for today, before, known in days(sets, requests, seeds, scenario):
        for share in scenario.budgets:
            usd = share * float(today.prompts.paid[:, -1].sum())
            # A gateway begins at the usual price of the day before; on its first day at that of its dial.
            begin = before.best(usd / scenario.volume)[0] if scenario.known else START_PRICE
            each = len(scenario.shares)
            replicas = Replicas([known.pace(usd, begin)] * each, scenario.late, scenario.away)
            ran = run(replicas, today, scenario.shares)
            rows[share].append(Row.of(today, usd, ran.usd, ran.quality))
    return {f"{share:g}": summary(of_share) for share, of_share in rows.items()}


def summary(rows: list[Row]) -> dict[str, Any]:
    """Medians and worst cases."""
    error = np.array([row.error for row in rows])
    lost = np.array([row.lost for row in rows])
    return {
        "days": len(rows),
        "binds": all(row.price > 0 for row in rows),
        "spend_percent_median": round(float(np.median(error)), 3),
        "spend_percent_worst": round(float(error[np.abs(error).argmax()]), 3),
        "over_budget_percent_worst": round(max(row.over_budget for row in rows), 3),
        "points_median": round(float(np.median(lost)), 3),
        "points_worst": round(float(lost.min()), 3),
        "best_prices": [round(row.price, 1) for row in rows],
    }


def unpaced(sets: dict[str, Prompts], requests: int, seeds: range) -> dict[str, Any]:
    """What a price that is not paced does with the same days and budgets."""
    rows: dict[str, dict[float, list[Row]]] = {
        name: {share: [] for share in BUDGETS} for name in ("yesterday", "until_spent")
    }
    for today, before, _ in days(sets, requests, seeds, Scenario()):
        p = today.prompts
        for share in BUDGETS:
            usd = share * float(p.paid[:, -1].sum())
            rows["yesterday"][share].append(Row.of(today, usd, *today.spent(before.best(usd)[0])))
            kept = p.paid[:, -1].cumsum() + (p.paid[::-1, 0].cumsum()[::-1] - p.paid[:, 0]) < usd
            paid, outcomes = (np.where(kept, of[:, -1], of[:, 0]) for of in (p.paid, p.outcomes))
            rows["until_spent"][share].append(Row.of(today, usd, float(paid.sum()), float(outcomes.mean())))
    return {
        name: {f"{share:g}": summary(of_share) for share, of_share in found.items()}
        for name, found in rows.items()
    }


def lots(sets: dict[str, Prompts], requests: int, seeds: range) -> dict[str, Any]:
    """Dollars per thousand requests, of which nobody need know how many will come."""
    rows: dict[float, list[Row]] = {share: [] for share in FEWER}
    for today, _, known in days(sets, requests, seeds, Scenario(known=False)):
        for share in FEWER:
            usd = share * float(today.prompts.paid[:, -1].mean()) * LOT
            ran = run(Replicas([known.pace(usd, START_PRICE, LOT)]), today)
            most = today.spendable(usd, LOT)
            rows[share].append(Row.of(today, usd * len(today.at) / LOT, ran.usd, ran.quality, most))
    return {f"{share:g}": summary(of_share) for share, of_share in rows.items()}


def plotted(sets: dict[str, Prompts], requests: int, seeds: range) -> dict[str, Any]:
    """One day in steps of ten minutes, for a plot."""
    today, before, known = next(days(sets, requests, seeds, Scenario()))
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
    parser.add_argument("--seeds", type=int, default=5, help="days of each budget")
    parser.add_argument("--first-seed", type=int, default=1000, help="of the days, which are as many others")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--kept", type=Path)
    options = parser.parse_args(arguments)
    sets = read(options.folder, options.kept)
    sizes = [int(size) for size in options.requests.split(",")]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    report: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "microseconds": microseconds(),
        "scenarios": {},
    }
    for name in options.scenarios.split(","):
        for size in sizes if name == "usual" else sizes[:1]:
            print(f"{name}, {size} requests", file=sys.stderr)
            report["scenarios"][f"{name}_{size}"] = measure(sets, size, seeds, SCENARIOS[name])
    report["lots"] = lots(sets, sizes[0], seeds)
    report["unpaced"] = unpaced(sets, sizes[0], seeds)
    report["day"] = plotted(sets, sizes[0], seeds)
    json.dump(report, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
