"""Sums over labelled rows by their names: tiers, costs and quality.

K: tiers. M: measures of a group of rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAID = ("rows", "usd", "routed_usd", "strongest_usd")
MEASURES = (
    "strongest_usd",
    "quality",
    "strongest_quality",
    *(f"logged_{name}" for name in PAID),
    *(f"estimated_{name}" for name in PAID),
    "both_rows",
    "both_logged_usd",
    "both_estimated_usd",
)  # after the rows and US dollars per tier


@dataclass(frozen=True, slots=True)
class Paid:
    """Rows whose cost so far is known, and what they cost by three ways.

    Attributes:
        rows: how many.
        usd: US dollars, as they were answered.
        routed_usd: expected, as the router would have them answered.
        strongest_usd: expected, all by the strongest tier.
    """

    rows: int
    usd: float
    routed_usd: float
    strongest_usd: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the rows of a group.

    Attributes:
        tier_rows: rows that each tier got [K].
        tier_usd: their expected cost in US dollars [K].
        strongest_usd: expected cost, had the strongest tier got all.
        quality: sum of the probabilities that the chosen tier is sufficient.
        strongest_quality: sum of the probabilities that the strongest tier is.
        logged: rows whose cost the log tells.
        estimated: rows whose model alone it tells, one of the ladder's: by the ladder's price.
        both_rows: rows of ``logged`` whose model is of the ladder, so that the price can be checked.
        both_logged_usd: what the log says that these cost.
        both_estimated_usd: what they cost by the ladder's price.
    """

    tier_rows: tuple[int, ...]
    tier_usd: tuple[float, ...]
    strongest_usd: float
    quality: float
    strongest_quality: float
    logged: Paid
    estimated: Paid
    both_rows: int
    both_logged_usd: float
    both_estimated_usd: float

    @classmethod
    def of(cls, sums: NDArray[np.float64]) -> "Totals":
        """Sums [M] by their names."""
        values = sums.tolist()
        tiers = (len(values) - len(MEASURES)) // 2
        by_name = dict(zip(MEASURES, values[2 * tiers :], strict=True))
        return cls(
            tuple(map(int, values[:tiers])),
            tuple(values[tiers : 2 * tiers]),
            by_name["strongest_usd"],
            by_name["quality"],
            by_name["strongest_quality"],
            _paid(by_name, "logged"),
            _paid(by_name, "estimated"),
            int(by_name["both_rows"]),
            by_name["both_logged_usd"],
            by_name["both_estimated_usd"],
        )

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.tier_rows)

    @property
    def routed_usd(self) -> float:
        """Expected cost as routed."""
        return math.fsum(self.tier_usd)

    @property
    def paid(self) -> Paid:
        """Logged and estimated together."""
        paid: Paid = _sum(self.logged, self.estimated)
        return paid


def _paid(by_name: Mapping[str, float], kind: str) -> Paid:
    rows, *usd = (by_name[f"{kind}_{name}"] for name in PAID)
    return Paid(int(rows), *usd)


@dataclass(frozen=True, slots=True)
class Grouped:
    """The totals of a column's groups; None where there is no such row.

    Attributes:
        values: by value, most rows first; at most 1,000.
        missing: rows without a value.
        others: rows of the values beyond those kept.
    """

    values: Mapping[str, Totals]
    missing: Totals | None
    others: Totals | None


def add(of: Sequence[Totals]) -> Totals:
    """The totals of several groups together; at least one."""
    first, *rest = of
    for other in rest:
        first = _sum(first, other)
    return first


def _sum(one: Any, other: Any) -> Any:
    """Two values of one shape, number by number."""
    if isinstance(one, tuple):
        return tuple(map(_sum, one, other))
    if isinstance(one, Paid | Totals):
        return type(one)(*(_sum(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)))
    return one + other
