"""What is counted over labelled rows: the same as a plain loop counts, in any order of blocks."""

import json
import math
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.decision import Decisions
from router_model.errors import FileError
from router_model.ladder import Tier
from router_model.offer import Offer
from router_model.policy.curve import OperatingPoint
from router_model.serving.batch.counts import MAX_VALUES, Counts, wanted
from router_model.serving.batch.totals import Totals

NAMES = ("small", "medium", "large")
OFFERS = tuple(
    Offer(Tier(name, (f"model-{name[0]}",), 4.0 * price, price), price * 1e-6, price * 1e-4)
    for name, price in zip(NAMES, (1.0, 8.0, 60.0), strict=True)
)
POINT = OperatingPoint("quality", 0.95, "router", 0.1, (0.5, 0.3, 0.2), 0.95, 0.3)
DATES = ["2024-02-28T23:59:59Z", "2024-02-29", "2024-03-01 00:00:00+02:00"]


def decisions_of(count: int, seed: int = 0) -> Decisions:
    random = np.random.default_rng(seed)
    return Decisions(
        OFFERS,
        random.integers(0, 3, count),
        random.random((count, 3), dtype=np.float32),
        random.integers(0, 5000, count),
        random.integers(0, 5000, count).astype(np.float64),
        np.zeros(count, np.bool_),
        POINT,
    )


def part(decisions: Decisions, rows: slice) -> Decisions:
    return Decisions(
        OFFERS,
        decisions.tier[rows],
        decisions.sufficiency[rows],
        decisions.characters[rows],
        decisions.input_tokens[rows],
        decisions.truncated[rows],
        POINT,
    )


def columns_of(count: int, seed: int = 0) -> dict[str, list[Any]]:
    random = np.random.default_rng(seed)

    def chosen(values: list[Any]) -> list[Any]:
        return [values[k] for k in random.integers(0, len(values), count)]

    return {
        "task": chosen(["code", "chat", "maths", None]),
        "tenant": chosen(["acme", "", "smith & sons", "ł" * 300]),
        "timestamp": chosen([*DATES, None, "yesterday"]),
        "model": chosen(["model-s", "model-l", "elsewhere", None]),
        "cost_usd": chosen([0.01, 0.5, None, None, -1.0, math.nan, math.inf, 1e12]),
    }


def counted(decisions: Decisions, columns: dict[str, Any], by: list[str] | None = None) -> Counts:
    counts = Counts.empty(NAMES, by)
    counts.add(decisions, columns)
    return counts


def plain_sums(decisions: Decisions, columns: dict[str, list[Any]], rows: list[int]) -> dict[str, float]:
    """What ``Totals`` must hold of these rows, one by one."""
    sums: dict[str, float] = defaultdict(float)
    for n in rows:
        price = [
            float(decisions.input_tokens[n]) * offer.usd_per_input_token + offer.usd_per_answer
            for offer in OFFERS
        ]
        tier = int(decisions.tier[n])
        sums[f"rows {tier}"] += 1
        sums[f"usd {tier}"] += price[tier]
        sums["strongest"] += price[2]
        sums["quality"] += float(decisions.sufficiency[n, tier])
        sums["strongest quality"] += float(decisions.sufficiency[n, 2])
        paid, model = columns["cost_usd"][n], columns["model"][n]
        logged = paid is not None and 0 <= paid <= 10_000
        by_price = {"model-s": price[0], "model-m": price[1], "model-l": price[2]}.get(model)
        kind, usd = ("logged", paid) if logged else ("estimated", by_price)
        if usd is not None:
            sums[f"{kind} rows"] += 1
            sums[f"{kind} usd"] += usd
            sums[f"{kind} routed"] += price[tier]
            sums[f"{kind} strongest"] += price[2]
        if logged and by_price is not None:
            sums["both rows"] += 1
            sums["both logged"] += paid
            sums["both estimated"] += by_price
    return sums


def sums_of(totals: Totals) -> dict[str, float]:
    sums: dict[str, float] = {}
    for k in range(3):
        sums |= {f"rows {k}": totals.tier_rows[k], f"usd {k}": totals.tier_usd[k]}
    sums |= {"strongest": totals.strongest_usd, "quality": totals.quality}
    sums["strongest quality"] = totals.strongest_quality
    for kind, paid in (("logged", totals.logged), ("estimated", totals.estimated)):
        sums |= {f"{kind} rows": paid.rows, f"{kind} usd": paid.usd}
        sums |= {f"{kind} routed": paid.routed_usd, f"{kind} strongest": paid.strongest_usd}
    sums |= {"both rows": totals.both_rows, "both logged": totals.both_logged_usd}
    return sums | {"both estimated": totals.both_estimated_usd}


def assert_same(totals: Totals | None, sums: dict[str, float]) -> None:
    found = {} if totals is None else {key: value for key, value in sums_of(totals).items() if value}
    assert found == pytest.approx({key: value for key, value in sums.items() if value}, rel=1e-9)


AS_ARROW: dict[str, Callable[[list[Any]], Any]] = {
    "JSON values": lambda values: values,
    "Arrow": pa.array,
    "a slice": lambda values: pa.array([None, *values, None]).slice(1, len(values)),
    "a dictionary": lambda values: pa.array(values).dictionary_encode(),
    "text": lambda values: pa.array([None if v is None else str(v) for v in values]),
    "large text": lambda values: pa.array([None if v is None else str(v) for v in values], pa.large_string()),
}


@pytest.mark.parametrize("form", AS_ARROW)
def test_the_counts_are_those_of_a_plain_loop(form: str) -> None:
    decisions, rows = decisions_of(1000), columns_of(1000)
    counts = counted(decisions, {name: AS_ARROW[form](column) for name, column in rows.items()})
    assert_same(counts.whole, plain_sums(decisions, rows, list(range(1000))))
    shown: dict[str, Callable[[Any], Any]] = {
        "task": lambda value: value,
        "tenant": lambda value: value[:200] or None,
        "timestamp": lambda value: value[:10] if value in DATES else None,
    }
    assert counts.grouping == ("task", "tenant", "timestamp")
    for column, show in shown.items():
        expected = defaultdict(list)
        for n, value in enumerate(rows[column]):
            expected[show(value)].append(n)
        grouped = counts.grouped(column)
        assert_same(grouped.missing, plain_sums(decisions, rows, expected.pop(None)))
        assert set(grouped.values) == set(expected)
        assert grouped.others is None
        for value, of in expected.items():
            assert_same(grouped.values[value], plain_sums(decisions, rows, of))
        sizes = [totals.rows for totals in grouped.values.values()]
        assert sizes == sorted(sizes, reverse=True)


@given(cuts=st.lists(st.integers(0, 300), max_size=6), joined=st.lists(st.booleans(), min_size=7, max_size=7))
@settings(max_examples=40, deadline=None)
def test_sums_are_the_same_however_the_rows_are_cut_stored_and_merged(
    cuts: list[int], joined: list[bool]
) -> None:
    decisions, rows = decisions_of(300, 1), columns_of(300, 1)
    bounds = [0, *sorted(cuts), 300]
    counts = Counts.empty(NAMES, None)
    for start, end, merged in zip(bounds, bounds[1:], joined, strict=False):
        block = {name: column[start:end] for name, column in rows.items()}
        if merged:
            stored = json.dumps(counted(part(decisions, slice(start, end)), block).to_dict(), allow_nan=False)
            counts.merge(Counts.from_dict(json.loads(stored)))
        else:
            counts.add(part(decisions, slice(start, end)), block)
    again = Counts.from_dict(json.loads(json.dumps(counts.to_dict())))
    assert again.to_dict() == counts.to_dict()
    whole = counted(decisions, rows)
    assert_same(counts.whole, sums_of(whole.whole))
    for name in counts.grouping:
        one, other = counts.grouped(name), whole.grouped(name)
        assert set(one.values) == set(other.values)
        for value, totals in one.values.items():
            assert_same(totals, sums_of(other.values[value]))
        assert one.missing is not None
        assert other.missing is not None
        assert_same(one.missing, sums_of(other.missing))


def days_of(column: Any) -> dict[str | None, int]:
    counts = counted(decisions_of(len(column)), {"timestamp": column}).grouped("timestamp")
    found: dict[str | None, int] = {value: totals.rows for value, totals in counts.values.items()}
    return found | ({None: counts.missing.rows} if counts.missing else {})


SECONDS = datetime(2024, 2, 29, 23, 59, tzinfo=UTC).timestamp()
TIMES = {
    "seconds": [SECONDS, SECONDS + 120],
    "whole seconds": [int(SECONDS), int(SECONDS) + 120],
    "milliseconds": [SECONDS * 1000, SECONDS * 1000 + 120_000],
    "text of seconds": [str(SECONDS), f" {SECONDS + 120} "],
    "ISO text": ["2024-02-29T23:59:00", "2024-03-01"],
    "Arrow, microseconds": pa.array([int(SECONDS) * 10**6, int(SECONDS + 120) * 10**6], pa.timestamp("us")),
    "Arrow, in New York": pa.array(
        [int(SECONDS * 1e3), int(SECONDS * 1e3) + 120_000], pa.timestamp("ms", "America/New_York")
    ),
    "Arrow dates": pa.array([date(2024, 2, 29), date(2024, 3, 1)], pa.date32()),
    "Arrow dates, wide": pa.array([date(2024, 2, 29), date(2024, 3, 1)], pa.date64()),
    "Arrow decimals": pa.array([Decimal(SECONDS), Decimal(SECONDS + 120)]),
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_become_days_in_utc(kind: str) -> None:
    assert days_of(TIMES[kind]) == {"2024-02-29": 1, "2024-03-01": 1}


def test_times_before_1970_and_the_blank_ones_among_numbers() -> None:
    assert days_of([-1, 0, None]) == {"1969-12-31": 1, "1970-01-01": 1, None: 1}
    assert days_of(pa.array(["0", "", None, "86400"])) == {"1970-01-01": 1, "1970-01-02": 1, None: 2}


MODELS = ["model-s", "model-l", None, "model-s", "model-l"]
COSTS = [
    {"model-s": 0.1, "model-l": 0.7},
    {"model-s": 0.1, "model-l": 0.7},
    {"model-x": 0.2},
    {"model-x": 0.1, "model-y": 0.2},  # neither is the row's model
    None,
]
BY_MODEL = {
    "JSON objects": COSTS,
    "a map": pa.array(
        [None if cost is None else list(cost.items()) for cost in COSTS], pa.map_(pa.string(), pa.float64())
    ),
    "a slice of a map": pa.array(
        [[("model-x", 9.0)], *(None if cost is None else list(cost.items()) for cost in COSTS)],
        pa.map_(pa.string(), pa.float64()),
    ).slice(1),
    "a struct": pa.array(COSTS),
}


@pytest.mark.parametrize("form", BY_MODEL)
def test_of_costs_by_model_the_rows_own_counts_or_the_only_one(form: str) -> None:
    whole = counted(decisions_of(5), {"cost_usd": BY_MODEL[form], "model": MODELS}).whole
    assert (whole.logged.rows, whole.logged.usd) == (3, pytest.approx(0.1 + 0.7 + 0.2))
    assert (whole.estimated.rows, whole.both_rows) == (2, 2)
    assert whole.both_logged_usd == pytest.approx(0.8)


HOSTILE = [
    [[1], {"a": [1]}, True, math.nan, "\ud800", "x" * 10_000, 10**400, -math.inf],
    [{}, {"a": {"b": 1}}, {"a": "1e999"}, {"a": None}, {"model-s": True}, {"": -1}, {"a": 1, "b": 2}, []],
    pa.array([[1]] * 8),
    pa.array([{"a": {"b": 1}, "": "x"}] * 8),
    pa.array([b"\xff\xfe"] * 8),
    pa.nulls(8),
    pa.array([True] * 8),
    pa.array([1] * 8, pa.duration("s")),
    pa.array([1] * 8, pa.time32("s")),
    pa.array([2**63 - 1] * 8),
    pa.array([2**62] * 8, pa.timestamp("s")),
    pa.array([1e300, -1e300, math.inf, math.nan, 0.5, -0.0, 1e-320, None]),
    pa.array([[("a", "b"), ("a", "c")]] * 8, pa.map_(pa.string(), pa.string())),
    pa.array([[("a", None), ("a", 5.0)]] * 8, pa.map_(pa.string(), pa.float64())),
    pa.StringArray.from_buffers(
        8,
        pa.py_buffer(np.arange(0, 18, 2, dtype=np.int32).tobytes()),
        pa.py_buffer(b"\xff\xfe" * 8),
    ),
]


@pytest.mark.parametrize("column", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_are_counted_and_break_nothing(column: Any) -> None:
    names = wanted(["task", "weird"])
    assert names == ("task", "weird", "timestamp", "cost_usd", "model")
    counts = counted(decisions_of(8), dict.fromkeys(names, column), ["task", "weird"])
    again = Counts.from_dict(json.loads(json.dumps(counts.to_dict(), allow_nan=False)))
    for name in counts.grouping:
        grouped = again.grouped(name)
        missing = grouped.missing.rows if grouped.missing else 0
        assert sum(totals.rows for totals in grouped.values.values()) + missing == 8
        assert all(0 < len(value) <= 200 and value.encode() for value in grouped.values)
    assert 0 <= again.whole.logged.usd <= 8 * 10_000


def test_values_beyond_a_thousand_are_counted_together_and_merging_keeps_the_frequent() -> None:
    count = MAX_VALUES + 500
    many = counted(decisions_of(count), {"task": [f"rare {n}" for n in range(count)]})
    grouped = many.grouped("task")
    assert grouped.others is not None
    assert (len(grouped.values), grouped.others.rows) == (MAX_VALUES, 500)
    many.merge(counted(decisions_of(50), {"task": ["frequent"] * 50}))
    grouped = many.grouped("task")
    assert grouped.others is not None
    assert (len(grouped.values), grouped.others.rows) == (MAX_VALUES, 501)
    assert next(iter(grouped.values.items()))[1].rows == 50
    assert Counts.from_dict(many.to_dict()).to_dict() == many.to_dict()


def test_a_column_that_is_absent_is_missing_in_every_row() -> None:
    counts = counted(decisions_of(10), {})
    for name in counts.grouping:
        grouped = counts.grouped(name)
        assert (len(grouped.values), grouped.missing and grouped.missing.rows) == (0, 10)
    assert counts.whole.paid.rows == 0


def altered(change: Callable[[dict[str, Any]], Any]) -> Any:
    stored = counted(decisions_of(20), columns_of(20)).to_dict()
    changed = change(stored)
    return stored if changed is None else changed


BROKEN: list[Callable[[dict[str, Any]], Any]] = [
    lambda stored: [],
    lambda stored: "counts",
    lambda stored: {},
    lambda stored: stored.pop("by"),
    lambda stored: stored.update(measures=["rows"]),
    lambda stored: stored.update(tiers="small"),
    lambda stored: stored.update(tiers=["small", 1, "large"]),
    lambda stored: stored.update(tiers=["small"]),
    lambda stored: stored.update(whole=[1.0]),
    lambda stored: stored["whole"].__setitem__(0, -1.0),
    lambda stored: stored["whole"].__setitem__(0, math.nan),
    lambda stored: stored["whole"].__setitem__(0, "x"),
    lambda stored: stored["whole"].__setitem__(0, [1]),
    lambda stored: stored["whole"].__setitem__(0, 10**400),
    lambda stored: stored["by"].update(task=None),
    lambda stored: stored["by"]["task"].update(values=["code", "code", "chat"]),
    lambda stored: stored["by"]["task"].update(values=[str(n) for n in range(2000)]),
    lambda stored: stored["by"]["task"]["sums"].pop(),
]


@pytest.mark.parametrize("change", BROKEN, ids=range(len(BROKEN)))
def test_counts_that_were_altered_on_disk_are_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    broken = altered(change)
    with pytest.raises(FileError, match=r"no counts of labelled rows: .*; label again") as caught:
        Counts.from_dict(broken)
    assert "\n" not in str(caught.value)


def test_counts_of_other_tiers_or_columns_do_not_add_up() -> None:
    with pytest.raises(FileError, match="cannot be added"):
        Counts.empty(NAMES, None).merge(Counts.empty(NAMES, ["task"]))
    with pytest.raises(FileError, match="cannot be added"):
        Counts.empty(NAMES, None).merge(Counts.empty(NAMES[:2], None))
