"""What policies add to a decision: a paced budget, a price on seconds, and a conversation, all at once.

    taskset -c 1 python benchmarks/policies.py > policies.json

The same prompts, those of the starter corpus, are routed by the operating curve and by a rule that is made
anew for each, as the gateway makes it: the pace's price, live seconds of each tier, and the conversation's
terms. Both take turns within each round, and ``added_us`` is the median over rounds of the difference of
their p50. ``alone_us`` is what the same policies take in a loop by themselves, with the processor's caches
full of them, which they are not right after the graph has run. ``after_answer`` is what keeps the states
current once an answer has ended, which no decision waits for: the pace's, the conversation's, and the
monitor's of a certificate, alone in a loop.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

from router_model import Decision, Router
from router_model.bench.timing import laps, summary
from router_model.data.corpus import starter_records
from router_model.policy.certificate import Claim
from router_model.policy.monitor import Feedback, Monitor
from router_model.policy.pace import Pace, Term
from router_model.policy.session import InputPrice, Outlook, Session, Terms
from router_model.policy.traffic import Profile, Traffic

BAR_US = 3.0
DAY = 86_400.0
SECONDS = (0.4, 0.9, 2.5)  # of each tier, as live percentiles tell
USD_PER_SECOND = 0.0005
TOKENS = 4_000  # of a conversation's prompt
TURNS = 5  # that it has had


def main() -> None:
    """Measure, and print what was found as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    router = Router.default()
    prompts = [record.prompt.text for record in starter_records()]
    pace, session, terms = states(router)

    def plain(prompt: str) -> Decision:
        return router.route(prompt)

    def steered(prompt: str) -> Decision:
        base = pace.rule(USD_PER_SECOND, SECONDS)
        rule = session.rule(base, terms, tokens=TOKENS, at=30.0, tool_loop=False)
        return router.route(prompt, rule=rule, input_tokens=TOKENS)

    rounds = [[summary(laps(call, prompts))["p50"] for call in (plain, steered)] for _ in range(asked.rounds)]
    added = statistics.median(after - before for before, after in rounds[1:])  # the first is to warm up
    print(
        json.dumps(
            {
                "machine": {"processor": platform.processor(), "python": platform.python_version()},
                "prompts": len(prompts),
                "tiers": len(router.ladder),
                "plain_p50_us": statistics.median(before for before, _ in rounds[1:]),
                "added_us": round(added, 2),
                "bar_us": BAR_US,
                "met": added <= BAR_US,
                "alone_us": alone(router, pace, session, terms),
                "after_answer_us": after_answer(router, pace, session, terms),
            },
            indent=1,
        )
    )


def states(router: Router) -> tuple[Pace, Session, Terms]:
    """A pace in the middle of its day, a conversation in its sixth turn, and what its turns cost."""
    prices = [tier.input_usd_per_million * 1e-6 for tier in router.ladder.tiers]
    terms = Terms([InputPrice(price, 0.1 * price, 1.25 * price) for price in prices], Outlook())
    session = Session.begun(len(prices))
    for turn in range(TURNS):
        session = session.after(1, (0.4, 0.6, 0.8), terms, tokens=800 * turn, at=5.0 * turn)
    pace = Pace.begun(
        Term(20.0, 0.0, DAY), Traffic.begun(Profile(), 0.0, 0.0), strongest_usd=0.005, price=10.0
    )
    for number in range(1000):
        pace = pace.after(0.001, 43_200.0 + number)
    return pace, session, terms


def alone(router: Router, pace: Pace, session: Session, terms: Terms) -> float:
    """Microseconds of making the rules and deciding by them, the best of several loops."""
    said = (0.4, 0.6, 0.8)[: len(router.ladder)]
    usd = [tier.cost_usd(TOKENS, 300.0) for tier in router.ladder.tiers]

    def step() -> None:
        base = pace.rule(USD_PER_SECOND, SECONDS)
        session.rule(base, terms, tokens=TOKENS, at=30.0, tool_loop=False)(said, usd)

    return round(min(loop(step) for _ in range(5)), 2)


def after_answer(router: Router, pace: Pace, session: Session, terms: Terms) -> dict[str, float]:
    """Microseconds of one step of each state, the best of several loops."""
    claims = [Claim(name, 0.4, 0.6, 0.3) for name in ("outcome", "shortfall", "strongest", "length")]
    monitor = Monitor.watching(claims, (4, 12), 0.05, 0.01)
    item, said = Feedback(0.5, 0.5, 0.5, 255), (0.4, 0.6, 0.8)[: len(router.ladder)]
    steps: dict[str, Callable[[], Any]] = {
        "pace": lambda: pace.after(0.001, 43_300.0),
        "conversation": lambda: session.after(1, said, terms, tokens=TOKENS, at=30.0),
        "monitor": lambda: monitor.after(item),
    }
    return {name: round(min(loop(step) for _ in range(5)), 2) for name, step in steps.items()}


def loop(step: Callable[[], Any], count: int = 2000) -> float:
    """Microseconds of one call."""
    began = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - began) / count * 1e6


if __name__ == "__main__":
    main()
