"""What is counted over labelled rows: tiers, costs and quality, of the whole and by what rows are grouped by.

K: tiers. N: rows of a block. M: measures of a group. G: groups.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.decision import Decisions
from router_model.errors import FileError
from router_model.serving.batch.logged import Column, Groups, days, groups, paid_usd
from router_model.serving.batch.totals import MEASURES, PAID, Grouped, Totals

Floats = NDArray[np.float64]

DAY = "timestamp"
GROUPED_BY = ("task", "tenant")
COST, MODEL = "cost_usd", "model"
MAX_VALUES = 1000  # of a column
MISSING, OTHERS = 0, 1  # the first two groups of a column


class _Block:
    """The measures of a block's rows."""

    def __init__(self, decisions: Decisions, columns: Mapping[str, Column]) -> None:
        self.rows = len(decisions)
        self.tiers = len(decisions.offers)
        self.tier = decisions.tier
        self.cost = decisions.expected_cost_usd
        strongest = decisions.expected_cost_at(np.full(self.rows, self.tiers - 1))
        sure = decisions.sufficiency
        self.measures: dict[str, Floats] = {
            "strongest_usd": strongest,
            "quality": sure[np.arange(self.rows), self.tier].astype(np.float64),
            "strongest_quality": sure[:, -1].astype(np.float64),
        }
        models = groups(columns.get(MODEL), self.rows)
        logged = paid_usd(columns.get(COST), models)
        place = {name: k for k, offer in enumerate(decisions.offers) for name in offer.tier.models}
        tier = np.array([place.get(name or "", -1) for name in models.values])[models.of]
        estimated = np.where(tier >= 0, decisions.expected_cost_at(tier), np.nan)
        self._add_paid("logged", logged, strongest)
        self._add_paid("estimated", np.where(np.isnan(logged), estimated, np.nan), strongest)
        both = ~np.isnan(logged + estimated)
        if both.any():
            self.measures["both_rows"] = both.astype(np.float64)
            self.measures["both_logged_usd"] = np.where(both, logged, 0.0)
            self.measures["both_estimated_usd"] = np.where(both, estimated, 0.0)

    def _add_paid(self, kind: str, usd: Floats, strongest: Floats) -> None:
        known = ~np.isnan(usd)
        if known.any():
            values = (known.astype(np.float64), usd, self.cost, strongest)
            for name, value in zip(PAID, values, strict=True):
                self.measures[f"{kind}_{name}"] = np.where(known, value, 0.0)

    def sums(self, group: NDArray[np.int64], count: int) -> Floats:
        """float64 [G, M] of the rows' groups [N]."""
        cell = group * self.tiers + self.tier
        cells = count * self.tiers
        sums = np.zeros((count, 2 * self.tiers + len(MEASURES)))
        sums[:, : self.tiers] = np.bincount(cell, minlength=cells).reshape(count, -1)
        sums[:, self.tiers : 2 * self.tiers] = np.bincount(cell, self.cost, cells).reshape(count, -1)
        for name, values in self.measures.items():
            sums[:, 2 * self.tiers + MEASURES.index(name)] = np.bincount(group, values, count)
        return sums


class _Column:
    """The sums of a column's groups [G, M]: first the missing, then the others, then a value each."""

    def __init__(self, measures: int) -> None:
        self.places: dict[str, int] = {}
        self.sums = np.zeros((2, measures))

    def add(self, block: _Block, found: Groups) -> Floats:
        """Add a block, of which the first 1,000 values are kept, and give its sums over all groups [M]."""
        group = np.array([self._place(value) for value in found.values])[found.of]
        sums = block.sums(group, len(self.places) + 2)
        added: Floats = sums.sum(axis=0)
        sums[: len(self.sums)] += self.sums
        self.sums = sums
        return added

    def _place(self, value: str | None) -> int:
        if value is None:
            return MISSING
        place = self.places.get(value)
        if place is None:
            if len(self.places) >= MAX_VALUES:
                return OTHERS
            place = self.places[value] = len(self.places) + 2
        return place

    def merge(self, other: "_Column") -> None:
        """Add another's sums; the 1,000 values of most rows are kept."""
        for value in other.places:
            self.places.setdefault(value, len(self.places) + 2)
        sums = np.zeros((len(self.places) + 2, self.sums.shape[1]))
        sums[: len(self.sums)] = self.sums
        sums[[MISSING, OTHERS, *(self.places[value] for value in other.places)]] += other.sums
        self.sums = sums
        if len(self.places) > MAX_VALUES:
            self._keep(self.ranked()[:MAX_VALUES])

    def _keep(self, values: Sequence[str]) -> None:
        kept = self.sums[[MISSING, OTHERS, *(self.places[value] for value in values)]]
        for value in set(self.places) - set(values):
            kept[OTHERS] += self.sums[self.places[value]]
        self.places = {value: k + 2 for k, value in enumerate(values)}
        self.sums = kept

    def ranked(self) -> list[str]:
        """The values, most rows first."""
        rows = self.sums[:, : (self.sums.shape[1] - len(MEASURES)) // 2].sum(axis=1).tolist()
        return sorted(self.places, key=lambda value: (-rows[self.places[value]], value))


class Counts:
    """Sums over labelled rows, of the whole and per value of each grouping column."""

    def __init__(self, names: Sequence[str], grouping: Sequence[str]) -> None:
        self.names = tuple(names)
        measures = 2 * len(self.names) + len(MEASURES)
        self._whole = np.zeros(measures)
        self._columns = {name: _Column(measures) for name in grouping}

    @classmethod
    def empty(cls, names: Sequence[str], by: Sequence[str] | None) -> "Counts":
        """Of no rows yet.

        Args:
            names: of the tiers [K], cheapest first.
            by: columns whose values rows are grouped by, besides the day of "timestamp"; None for "task" and
                "tenant".
        """
        return cls(names, _grouping(by))

    def add(self, decisions: Decisions, columns: Mapping[str, Column]) -> None:
        """Count a block of labelled rows.

        Args:
            decisions: of N rows, by a router of these tiers.
            columns: what the log tells of the same rows, by the names that ``wanted`` gives: a pyarrow Array
                [N] or a list [N] of JSON values. One that is absent is missing in each row.
        """
        if not len(decisions):
            return
        block = _Block(decisions, columns)
        for name, column in self._columns.items():
            read = days if name == DAY else groups
            added = column.add(block, read(columns.get(name), block.rows))
        self._whole += added  # any column's groups hold all rows

    def merge(self, other: "Counts") -> None:
        """Add what was counted elsewhere.

        Raises:
            FileError: it is of other tiers or grouping columns.
        """
        if (self.names, list(self._columns)) != (other.names, list(other._columns)):
            raise FileError(
                f"counts of tiers {', '.join(other.names)} by {', '.join(other._columns)} cannot be added to "
                f"those of {', '.join(self.names)} by {', '.join(self._columns)}; label into a new place"
            )
        self._whole += other._whole
        for name, column in self._columns.items():
            column.merge(other._columns[name])

    @property
    def whole(self) -> Totals:
        """The totals of all rows."""
        return Totals.of(self._whole)

    @property
    def grouping(self) -> tuple[str, ...]:
        """The columns that rows are grouped by; "timestamp" stands for its day."""
        return tuple(self._columns)

    def grouped(self, column: str) -> Grouped:
        """The totals per value of a grouping column."""
        of = self._columns[column]
        missing, others = (
            Totals.of(sums) if sums.any() else None for sums in (of.sums[MISSING], of.sums[OTHERS])
        )
        return Grouped(
            {value: Totals.of(of.sums[of.places[value]]) for value in of.ranked()}, missing, others
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; ``from_dict`` gives the very same counts."""
        return {
            "tiers": list(self.names),
            "measures": list(MEASURES),
            "whole": self._whole.tolist(),
            "by": {
                name: {"values": list(column.places), "sums": column.sums.tolist()}
                for name, column in self._columns.items()
            },
        }

    @classmethod
    def from_dict(cls, value: Any) -> "Counts":
        """The inverse of ``to_dict``.

        Raises:
            FileError: ``value`` holds no counts, or those of another version.
        """
        try:
            if tuple(value["measures"]) != MEASURES:
                raise ValueError("its measures are another version's")
            names, by = _texts(value["tiers"]), value["by"]
            counts = cls(names, _texts(list(by)))
            counts._whole = _sums(value["whole"], counts._whole.shape)
            for name, column in counts._columns.items():
                values = _texts(by[name]["values"])
                column.places = {one: k + 2 for k, one in enumerate(values)}
                if not len(column.places) == len(values) <= MAX_VALUES:
                    raise ValueError(f"the values of {name!r:.80} repeat, or are more than {MAX_VALUES}")
                shape = (len(values) + 2, *counts._whole.shape)
                column.sums = _sums(by[name]["sums"], shape)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FileError(
                f"no counts of labelled rows: {type(error).__name__} {error!s:.200}; label again"
            ) from None
        return counts


def wanted(by: Sequence[str] | None) -> tuple[str, ...]:
    """The columns of a log that ``Counts.add`` looks at, of counts grouped ``by`` these."""
    return tuple(dict.fromkeys((*_grouping(by), COST, MODEL)))


def _grouping(by: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*(GROUPED_BY if by is None else by), DAY)))


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("a list of texts is something else")
    return value


def _sums(value: Any, shape: tuple[int, ...]) -> Floats:
    sums = np.array(value, np.float64)
    if sums.shape != shape or not (np.isfinite(sums) & (sums >= 0)).all():
        raise ValueError("the sums are of another shape, or no numbers of at least 0")
    return sums
