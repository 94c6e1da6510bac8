"""How near off-policy values come to the truth, and how often their intervals hold it.

    python benchmarks/off_policy.py DATA... --ladder LADDER [--settings default,feedback] > off_policy.json

DATA are records of which every tier's outcome is known. A fixed policy's true value is its mean outcome (and
cost) over all of them; the policy is that of ``quality=0.95`` on cross-fitted predictions. Each simulation
draws ``--requests`` prompts with replacement, logs them as ``router-model simulate`` does, with draws of its
own, and estimates the policy's value as ``router-model replay`` does. ``default`` is what both commands do
where nothing is said; each other setting changes what it names.

For each estimator: bias, root mean squared error, the share of simulations whose 95 % interval holds the
truth, and the share in which its absolute error is below IPS's. Two that no log could give show what is
possible at all: ``dr_full`` is DR whose outcome model has learnt from all outcomes of other prompts, and
``dr_perfect`` DR that predicts each very outcome, so that only the draw of the prompts is left to chance.

A minute or two per setting and 100 simulations on one core: ``taskset -c 0 python benchmarks/off_policy.py``.
"""

import argparse
import dataclasses
import json
import platform
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.base import Base
from router_model.data.groups import group
from router_model.data.labels import label
from router_model.data.readers import Reading
from router_model.data.records import Record
from router_model.data.simulate import Logging, log, observed
from router_model.ladder import Ladder
from router_model.training.curve import Measured, choose, penalty_grid, pick
from router_model.training.encoders.static import Static
from router_model.training.evaluation.logged import MOST_SPOKEN_FOR, Logged
from router_model.training.evaluation.off_policy import ESTIMATORS, Seen, doubly_robust, estimate
from router_model.training.evaluation.outcome_model import predict_rewards
from router_model.training.prepare import read_all
from router_model.training.propensity import Propensity, covariates, estimate_choices, feedback_rates

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
QUALITY = 0.95
SETTINGS = {
    "default": Logging(),
    "exploration_0.3": Logging(exploration=0.3),
    "exploration_0.03": Logging(exploration=0.03),
    "feedback_0.3": Logging(feedback=0.3),
    "noise_0.1": Logging(noise=0.1),
    "hidden_propensity": Logging(hide_propensity=True),
}


@dataclass(frozen=True)
class Population:
    """What prompts are drawn from: n records, all of whose outcomes [n, K] are known, and one policy's tiers.

    ``full`` are predictions of outcomes [n, K] and costs [n, K] that learnt from all outcomes of others.
    """

    records: list[Record]
    ladder: Ladder
    outcomes: Floats
    cost_usd: Floats
    inputs: Floats
    groups: NDArray[np.int64]
    full: tuple[Floats, Floats]
    decided: NDArray[np.int64]

    @classmethod
    def read(cls, paths: list[Path], ladder: Ladder) -> "Population":
        """Read, embed and predict once; all simulations draw from this."""
        records, encoder = observed(read_all(paths, Reading()), ladder), Static(Base.default())
        labels, groups = label(records, ladder), group(records)
        inputs = covariates(encoder.encode([record.prompt for record in records]), encoder)
        full = (
            predict_rewards(inputs, labels.outcomes, groups, 0),
            predict_rewards(inputs, labels.cost_usd, groups, 0),
        )
        rows = Measured(full[0], labels.outcomes, labels.cost_usd, groups)
        penalties = penalty_grid(full[0], rows.relative_cost)
        choices = choose(full[0], rows.relative_cost, penalties)  # [n, L]
        means = (
            np.take_along_axis(values, choices, axis=1).mean(axis=0) for values in (rows.outcomes, rows.cost)
        )
        decided = choices[:, pick(*means, rows, "quality", QUALITY)]
        return cls(records, ladder, labels.outcomes, labels.cost_usd, inputs, groups, full, decided)

    def truth(self, how: Logging) -> tuple[float, float]:
        """The policy's mean outcome, as noise would log it, and its mean cost."""
        rows = np.arange(len(self.records))
        quality = noisy(self.outcomes, how)[rows, self.decided].mean()
        return float(quality), float(self.cost_usd[rows, self.decided].mean())


def noisy(outcomes: Floats, how: Logging) -> Floats:
    """Their means over the noise with which they are logged."""
    return outcomes * (1 - 2 * how.noise) + how.noise


def drawn(population: Population, how: Logging, requests: int) -> tuple[NDArray[np.int64], Logged]:
    """One simulated log of prompts drawn with replacement: their places in the population, and the log."""
    places = np.random.default_rng((1, how.seed)).integers(len(population.records), size=requests)
    logs = log([population.records[place] for place in places.tolist()], population.ladder, how)
    rows, groups, inputs = np.arange(requests), population.groups[places], population.inputs[places]
    tier = np.array([population.ladder.index_of_model(record.model or "") for record in logs])
    outcomes = np.full((requests, len(population.ladder)), np.nan)
    outcomes[rows, tier] = [next(iter(record.outcomes.values()), np.nan) for record in logs]
    if how.hide_propensity:
        chosen = np.clip(estimate_choices(inputs, tier, groups, len(population.ladder), 0), 1e-6, 1)
    else:
        chosen = np.full(outcomes.shape, np.nan)
        chosen[rows, tier] = [record.propensity for record in logs]
    feedback = feedback_rates(tier, ~np.isnan(outcomes))
    propensity = Propensity(tier, chosen, chosen * feedback, feedback, how.hide_propensity)
    paid = population.cost_usd[places, tier]
    return places, Logged.fit(propensity, outcomes, paid, inputs, groups, 0)


def contributions(
    population: Population, how: Logging, requests: int
) -> dict[str, dict[str, tuple[Floats, Seen]]]:
    """Of each reward and estimator, the contributions [N] and what they come of, in one simulation."""
    places, logged = drawn(population, how, requests)
    decided = population.decided[places]
    cut = MOST_SPOKEN_FOR * requests
    found: dict[str, dict[str, tuple[Floats, Seen]]] = {}
    for reward, seen, whole, full in (
        (
            "quality",
            logged.quality(decided, cut),
            noisy(population.outcomes, how),
            noisy(population.full[0], how),
        ),
        ("cost_usd", logged.cost(decided, cut), population.cost_usd, population.full[1]),
    ):
        perfect = np.where(seen.weight > 0, seen.reward, whole[places, decided])
        found[reward] = {name: (estimator(seen), seen) for name, estimator in ESTIMATORS.items()}
        for name, predicted in (("dr_full", full[places, decided]), ("dr_perfect", perfect)):
            other = dataclasses.replace(seen, predicted=predicted)
            found[reward][name] = (doubly_robust(other), other)
    return found


def measure(population: Population, how: Logging, simulations: int, requests: int) -> dict[str, Any]:
    """The figures of one setting."""
    truths = dict(zip(("quality", "cost_usd"), population.truth(how), strict=True))
    errors: dict[str, dict[str, list[float]]] = {reward: defaultdict(list) for reward in truths}
    holds: dict[str, dict[str, list[bool]]] = {reward: defaultdict(list) for reward in truths}
    for seed in range(simulations):
        print(f"\r{seed + 1} of {simulations}", end="", file=sys.stderr, flush=True)
        draw = dataclasses.replace(how, seed=seed)
        for reward, by_name in contributions(population, draw, requests).items():
            for name, (values, seen) in by_name.items():
                found = estimate(values, seen.groups, CONFIDENCE)
                errors[reward][name].append(found.value - truths[reward])
                holds[reward][name].append(found.low <= truths[reward] <= found.high)
    print(file=sys.stderr)
    return {
        reward: {"truth": truth, **figures(errors[reward], holds[reward])} for reward, truth in truths.items()
    }


def figures(errors: dict[str, list[float]], holds: dict[str, list[bool]]) -> dict[str, Any]:
    """Bias, error, coverage and how often it is nearer than IPS, by estimator."""
    ips = np.abs(errors["ips"])
    return {
        name: {
            "bias": float(np.mean(found)),
            "rmse": float(np.sqrt(np.mean(np.square(found)))),
            "coverage": float(np.mean(holds[name])),
            "nearer_than_ips": float(np.mean(np.abs(found) < ips)),
        }
        for name, found in errors.items()
    }


def main() -> None:
    """Run the settings asked for and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--ladder", required=True, type=Path)
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--settings", default="default", help=f"by commas, of {', '.join(SETTINGS)}, or all")
    given = parser.parse_args()
    names = list(SETTINGS) if given.settings == "all" else given.settings.split(",")
    population = Population.read(given.data, Ladder.read(given.ladder))
    shares = np.bincount(population.decided, minlength=len(population.ladder)) / len(population.records)
    result = {
        "machine": platform.processor() or platform.machine(),
        "prompts": len(population.records),
        "requests": given.requests,
        "simulations": given.simulations,
        "policy_shares": dict(zip(population.ladder.names, shares.tolist(), strict=True)),
        "settings": {
            name: measure(population, SETTINGS[name], given.simulations, given.requests) for name in names
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
