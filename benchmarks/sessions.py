"""Do conversations that stay on their model cost less than each turn by itself, or one tier for ever?

    python benchmarks/sessions.py DATASETS > sessions.json

DATASETS holds train/mmlu_pro and train/mixed_tasks. Their rows are the turns: cross-fitted probabilities and
true outcomes of three tiers, each row used once. A conversation has 1 to 30 turns. How hard its turns are is
correlated: rows are dealt to turns by a normal copula of correlation ``alike`` over the rows' mean outcome. A
prompt grows by question, answer and other text; between turns pass log-normal gaps around the time to live.
Prices are those of genai-prices: plain, cached and written input, and output. What turns cost is counted by
the caches of all three providers. What a session expects (turns to come, share that comes in time) is learnt
by training/turns.py from the log of other conversations of the same kind.

Compared along each policy's curve of cost against mean outcome, over fifteen prices of a dollar and mixes of
two, at equal mean outcome: levels are shares of the way from the cheapest tier's to the strongest's.
``difference`` is the session's cost over the other's, less 1; intervals are 95 %, from a paired
bootstrap over conversations. ``aware`` is each turn by itself, but by what it costs with the caches as they
are: what looking ahead adds. Where ``told`` is above 0, the user of a failed answer says so as often, and
asks again, at most twice; then ``session`` goes up and ``no escalation`` is the same rule that hears nothing.

Ten minutes on one core: ``taskset -c 0 python benchmarks/sessions.py DATASETS``.
"""

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from conversations import LADDERS, Chats, Rows, World, policies, priced, run

from router_model.bench.fresh import machine
from router_model.policy.rule import Priced
from router_model.policy.session import Outlook, Session
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.hull import Hull

Floats = NDArray[np.float64]
# Quality that is worth what a mean turn costs at the strongest tier.
DIALS = (0.0, *np.geomspace(0.02, 10.0, 14).tolist())
LEVELS = (0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
RESAMPLES = 500
OTHERS = ("each turn", "first tier for ever", "aware")


def at_levels(curve: Floats, levels: Sequence[float]) -> list[float]:
    """The least cost of a mix of two dials with each mean outcome; NaN where none has it."""
    cost, quality = curve[:, 0], curve[:, 1]
    hull, found = Hull(quality, cost), []
    for level in levels:
        mix = hull.at_quality(level)
        paid = float(cost[mix.cheap] + mix.share * (cost[mix.dear] - cost[mix.cheap]))
        found.append(paid if level <= quality.max() else float("nan"))
    return found


def compare(world: World) -> dict[str, Any]:
    """The session's cost against the others' at equal mean outcome, and moves of each a hundred turns."""
    chats, count = world.chats, len(world.chats.rows)
    mean_usd = float(np.mean([world.usd(begins + 2500)[-1] for begins in chats.begins]))
    names = [*policies(world.terms, 0.0)] if world.told else ["session", *OTHERS]
    curves: dict[str, Floats] = {}
    moves: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        ran = []
        for dial in DIALS:
            totals, moved = run(world, policies(world.terms, dial / mean_usd)[name], hears=name == "session")
            ran.append(totals)
            moves[name].append(round(100 * moved / count, 2))
        curves[name] = np.stack(ran, axis=1)  # [C, dials, 2]
    sizes = np.array(chats.lengths, float)[:, None]
    flat = np.hstack([sizes, *(curves[name].reshape(len(sizes), -1) for name in names)])
    drawn = Bootstrap(np.arange(len(sizes)), RESAMPLES, 0.95).sums(flat)
    means = np.vstack([flat.sum(axis=0), drawn])  # the first is the data's own
    means = (means[:, 1:] / means[:, :1]).reshape(-1, len(names), len(DIALS), 2)
    outcomes = np.mean(world.rows.outcomes, axis=0)
    low, high = outcomes[0], outcomes[-1]
    result: dict[str, Any] = {
        "moves_per_100_turns": {name: moves[name][:: len(DIALS) // 4] for name in names}
    }
    levels = [low + share * (high - low) for share in LEVELS]
    every = np.array([[at_levels(curve, levels) for curve in resample] for resample in means])
    for number, share in enumerate(LEVELS):
        costs = every[:, :, number]  # [1 + R, policies]
        result[f"at {share}"] = {
            "usd_per_turn": {name: shown(costs[0, place]) for place, name in enumerate(names)},
            "difference": {
                name: difference(costs[:, 0], costs[:, place]) for place, name in enumerate(names) if place
            },
        }
    return result


def difference(session: Floats, other: Floats) -> dict[str, Any]:
    """The session's cost over the other's, less 1, with its interval; none where either cannot be as good."""
    ratio = session / other - 1
    if not np.isfinite(ratio[0]):
        return {"value": None, "verdict": "one of them is never as good"}
    low, high = np.nanpercentile(ratio[1:], [2.5, 97.5])
    verdict = "lower" if high < 0 else "higher" if low > 0 else "undecided"
    return {"value": shown(ratio[0]), "interval": [shown(low), shown(high)], "verdict": verdict}


def shown(number: float) -> float | None:
    """A number of four digits; None for NaN, which JSON lacks."""
    return float(f"{number:.4g}") if np.isfinite(number) else None


def counted(found: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """How often the session's cost was lower, higher or neither, by what it is compared with."""
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    for setting in found:
        kind = f"told {setting['told']}, " if setting["told"] else ""
        for share in LEVELS:
            for name, told in setting[f"at {share}"]["difference"].items():
                verdicts[kind + name][told["verdict"]] += 1
    return {name: dict(counts) for name, counts in verdicts.items()}


def microseconds() -> dict[str, float]:
    """p50 of batches of 200 calls, on real prices."""
    terms, _ = priced("anthropic", [300.0] * 3, Outlook((4.0, 3.0), 0.8))
    base, sure, usd = Priced(50.0), [0.4, 0.6, 0.7], [0.005, 0.015, 0.03]
    session = Session.begun(3).after(1, sure, terms, tokens=4000, at=0.0)

    def p50(call: Callable[[], object]) -> float:
        laps = []
        for _ in range(500):
            began = time.thread_time_ns()
            for _ in range(200):
                call()
            laps.append((time.thread_time_ns() - began) / 200e3)
        return round(float(np.median(laps)), 3)

    return {
        "rule_and_decision": p50(lambda: session.rule(base, terms, tokens=5000, at=60.0)(sure, usd)),
        "after": p50(lambda: session.after(1, sure, terms, tokens=5000, at=60.0)),
        "price_alone": p50(lambda: base(sure, usd)),
    }


def settings(quick: bool) -> list[tuple[str, float, float, float]]:
    """Ladder, median gap, correlation, share of failures told."""
    if quick:
        return [("anthropic", 60.0, 0.5, 0.0), ("anthropic", 60.0, 0.5, 0.5)]
    gaps = [(ladder, gap, 0.5, 0.0) for ladder in LADDERS for gap in (60.0, 300.0, 1200.0)]
    alike = [(ladder, 60.0, alike, 0.0) for ladder in [*LADDERS][:2] for alike in (0.0, 0.9)]
    return [*gaps, *alike, *((ladder, 60.0, 0.5, 0.5) for ladder in [*LADDERS][:2])]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--quick", action="store_true", help="two settings of one dataset")
    arguments = parser.parse_args()
    found = []
    for name in ["mmlu_pro"] if arguments.quick else ["mmlu_pro", "mixed_tasks"]:
        rows = Rows.read(arguments.datasets, name)
        for ladder, gap, alike, told in settings(arguments.quick):
            print(name, ladder, gap, alike, told, file=sys.stderr)
            chats = Chats.deal(rows, alike, gap, seed=1)
            outlook = Chats.deal(rows, alike, gap, seed=2).outlook()
            terms, answers = priced(ladder, rows.output_tokens, outlook)
            about = {"data": name, "prices": ladder, "gap_seconds": gap, "alike": alike, "told": told}
            sizes = {
                "conversations": len(chats.lengths),
                "turns": len(chats.rows),
                "kept": round(outlook.kept, 3),
            }
            world = World(rows, chats, terms, answers, told)
            found.append({**about, **sizes, "turns_left": outlook.left[:4], **compare(world)})
    told = {"machine": machine(), "microseconds": microseconds(), "counted": counted(found)}
    print(json.dumps({**told, "settings": found}, indent=1))


if __name__ == "__main__":
    main()
