"""How soon the monitor of a certificate sees that traffic has shifted, and how often what is not there.

It is fed outcomes of chosen tiers alone. ``no_shift`` draws from rows that did not certify; a shift draws
from rows of a kind that takes over entirely: tasks that neither router nor certificate has seen, the harder
half of the tasks, prompts longer than the median. ``benchmarks/certificates.py`` prints it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from crossfitted import Floats, Rows, Rowset, halves, told

from router_model.errors import DataError
from router_model.policy.curve import OperatingPoint
from router_model.policy.monitor import Feedback, Monitor
from router_model.training.certify import CLAIMS_ERROR, claims
from router_model.training.curve import choose, penalty_grid
from router_model.training.promise import Promise, cheapest

ERROR = 0.05  # of the monitor
PATIENCE = 500  # items until which it is to revoke
QUIET_ITEMS = 2000  # of a run without a shift, and before a late one


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
