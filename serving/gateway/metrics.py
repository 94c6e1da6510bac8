"""Counters, gauges and histograms in Prometheus' text format (version 0.0.4), for several workers.

Each app has its own; nothing is global. A worker counts in its own memory, and what is scraped is the sum
over the snapshots of all workers (`siblings.py`).
"""

import logging
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from router_model.errors import one_line
from router_model.serving.gateway.accounts import Entry

logger = logging.getLogger(__name__)

MOST_SERIES = 1000  # of one family; more are counted as one whose labels are all OTHERS
OTHERS = "(others)"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_LE = 'le="{}"'
MICROSECONDS = (10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 100e-3)

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """What is measured under one name.

    Attributes:
        name: as scraped.
        kind: of Prometheus.
        help: one line.
        labels: names, in the order in which values are given.
        buckets: upper ends of a histogram's, ascending, without the infinite one.
        over: how the values of a gauge in several workers become one.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()
    over: Literal["sum", "max"] = "sum"


def _of(prefix: str, *families: tuple[Any, ...]) -> dict[str, Family]:
    return {family[0]: Family(prefix + family[0], *family[1:]) for family in families}


FAMILIES = _of(
    "router_",
    ("requests_total", "counter", "Requests that were answered or failed.",
     ("endpoint", "tier", "provider", "status", "cache")),
    ("request_seconds", "histogram", "From the request to the last byte.", ("tier",), SECONDS),
    ("first_byte_seconds", "histogram", "From the request to the first byte.", ("tier",), SECONDS),
    ("decision_seconds", "histogram", "What the router takes to decide.", (), MICROSECONDS),
    ("tokens_total", "counter", "Tokens of answers that were paid.", ("tier", "kind")),
    ("paid_usd_total", "counter", "US dollars paid, wasted ones too.", ("tier", "tenant")),
    ("wasted_usd_total", "counter", "US dollars paid for answers that were thrown away.",
     ("tier", "provider", "estimated")),
    ("saved_usd", "gauge", "Estimate of US dollars saved against the strongest tier alone.", ("tenant",)),
    ("cache_spared_usd_total", "counter", "US dollars that answers of the cache had cost.", ("tenant",)),
    ("explored_total", "counter", "Requests whose tier was drawn at random.", ("tier",)),
    ("escalated_total", "counter", "Requests answered by a stronger tier because theirs failed.", ("tier",)),
    ("conversation_turns_total", "counter",
     "Answered turns of conversations: began, stayed, or went up or down a tier.", ("move",)),
    ("refused_total", "counter", "Requests refused before a call.", ("reason",)),
    ("attempts_failed_total", "counter", "Calls that failed by the provider's fault.", ("provider",)),
    ("feedback_total", "counter", "Outcomes told for earlier requests.", ("tier", "outcome")),
    ("connections", "gauge", "Connections of clients that are open now."),
    ("connections_refused_total", "counter", "Connections refused because too many were open."),
    ("in_flight", "gauge", "Requests at upstreams now.", ("tier",)),
    ("waiting", "gauge", "Requests that wait for room now.", ("tier",)),
    ("breaker_open", "gauge", "1 where a worker leaves the provider alone.", ("provider",), (), "max"),
    ("budget_spent_share", "gauge", "Share of the budget that is spent.", ("budget",), (), "max"),
    ("pace_price", "gauge", "Price on cost that paces the dial's budget, in quality per US dollar.", (), (),
     "max"),
    ("pace_spent_usd", "gauge", "US dollars spent of the dial's budget in its term.", (), (), "max"),
    ("pace_even_usd", "gauge", "What would be spent by now had each request of the term cost the same.", (),
     (), "max"),
    ("pace_budget_usd", "gauge", "The dial's budget, for its term or its lot of requests.", (), (), "max"),
    ("tier_seconds", "gauge", "What a tier takes, as the price of time counts it.", ("tier",), (), "max"),
    ("traffic_rows_total", "counter", "Rows of the traffic log, by what became of them.", ("fate",)),
    ("certificate_revoked", "gauge", "1 where traffic is shown not to be what was certified.", (), (), "max"),
    ("certificate_capital", "gauge", "What the monitor of the certificate has won.", (), (), "max"),
    ("reloads_total", "counter", "Reloads of the configuration or the artifact.", ("outcome",)),
)  # fmt: skip


Row = tuple[str, Labels, list[float]]  # family, labels, and its number or its histogram


@dataclass(frozen=True, slots=True)
class _Series:
    """Values by labels: one number, or a count for each bucket, for the infinite one, and the sum."""

    one: dict[Labels, float] = field(default_factory=dict)
    many: dict[Labels, list[float]] = field(default_factory=dict)


class Metrics:
    """The measurements of one worker.

    Families are named without their prefix, and labels are given as values in the family's order.

    Raises:
        KeyError: there is no such family.
    """

    def __init__(self, families: Mapping[str, Family] = FAMILIES) -> None:
        self._families = families
        self._values = {name: _Series() for name in families}
        self._complained = False

    def count(self, family: str, *labels: str, by: float = 1.0) -> None:
        """Add to a counter, or to a gauge."""
        series = self._values[family].one
        if labels in series:
            series[labels] += by
        else:
            labels = _bounded(series, labels)
            series[labels] = series.get(labels, 0.0) + by

    def set(self, family: str, *labels: str, to: float) -> None:
        """Put a gauge, or a counter that is kept elsewhere, at a value."""
        series = self._values[family].one
        series[labels if labels in series else _bounded(series, labels)] = to

    def observe(self, family: str, *labels: str, seconds: float) -> None:
        """Count one value of a histogram."""
        series, buckets = self._values[family].many, self._families[family].buckets
        found = series.get(labels)
        if found is None:
            found = series.setdefault(_bounded(series, labels), [0.0] * (len(buckets) + 2))
        found[bisect_left(buckets, seconds)] += 1
        found[-1] += seconds

    def add(self, entry: Entry) -> None:
        """Count a request in all families that tell of one."""
        tier, tenant, usage = entry.tier, entry.caller.tenant, entry.usage
        self.count(
            "requests_total", entry.endpoint, tier, entry.provider, str(entry.status), entry.cached or ""
        )
        self.observe("request_seconds", tier, seconds=entry.seconds)
        self.observe("first_byte_seconds", tier, seconds=entry.first_byte_seconds)
        if entry.cached is None:
            self.count("tokens_total", tier, "input", by=usage.input)
            self.count("tokens_total", tier, "output", by=usage.output)
            if usage.cached:
                self.count("tokens_total", tier, "cached", by=usage.cached)
            if usage.written:
                self.count("tokens_total", tier, "written", by=usage.written)
            if usage.reasoning:
                self.count("tokens_total", tier, "reasoning", by=usage.reasoning)
        self.count("paid_usd_total", tier, tenant, by=entry.cost_usd)
        self.count("saved_usd", tenant, by=entry.saved_usd)
        for waste in entry.wasted:
            self.count("paid_usd_total", waste.tier, tenant, by=waste.usd)
            estimated = str(waste.estimated).lower()
            self.count("wasted_usd_total", waste.tier, waste.provider, estimated, by=waste.usd)
        if entry.cached:
            self.count("cache_spared_usd_total", tenant, by=entry.spared_usd)
        if entry.explored:
            self.count("explored_total", tier)
        if entry.escalated:
            self.count("escalated_total", tier)

    def snapshot(self) -> list[Any]:
        """What ``text`` of another worker takes: plain values, for JSON."""
        return [
            [name, labels, values if isinstance(values, list) else [values]]
            for name, series in self._values.items()
            for part in (series.one, series.many)
            for labels, values in part.items()
        ]

    def text(self, others: Iterable[Any] = ()) -> bytes:
        """What is scraped: this worker's values and those of the snapshots of others.

        A snapshot that is none is left out, which the log says once, and so is a row of an unknown family.
        """
        sums: dict[str, dict[Labels, list[float]]] = {name: {} for name in self._families}
        for snapshot in (self.snapshot(), *others):
            try:
                rows = msgspec.convert(snapshot, list[Row])
            except msgspec.ValidationError as error:
                if not self._complained:
                    logger.error(
                        "metrics: what a worker counted cannot be read, and is left out: %s", one_line(error)
                    )
                self._complained = True
                continue
            for name, labels, values in rows:
                if (family := self._families.get(name)) and _fits(family, labels, values):
                    _merge(sums[name], family, labels, values)
        lines = [line for name, family in self._families.items() for line in _lines(family, sums[name])]
        return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _bounded(series: Mapping[Labels, Any], labels: Labels) -> Labels:
    return labels if len(series) < MOST_SERIES else (OTHERS,) * len(labels)


def _fits(family: Family, labels: Labels, values: list[float]) -> bool:
    wanted = len(family.buckets) + 2 if family.kind == "histogram" else 1
    return len(labels) == len(family.labels) and len(values) == wanted


def _merge(sums: dict[Labels, list[float]], family: Family, labels: Labels, values: list[float]) -> None:
    known = sums.get(labels)
    if known is None:
        sums[labels] = list(values)
    elif family.over == "max":
        sums[labels] = [max(known[0], values[0])]
    else:
        sums[labels] = [one + other for one, other in zip(known, values, strict=True)]


def _lines(family: Family, series: Mapping[Labels, list[float]]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    if not family.labels and not series:
        series = {(): [0.0] * (len(family.buckets) + 2 if family.buckets else 1)}
    for labels, values in sorted(series.items()):
        shown = [f'{name}="{_escaped(value)}"' for name, value in zip(family.labels, labels, strict=True)]
        if family.kind != "histogram":
            yield f"{family.name}{_braced(shown)} {_number(values[0])}"
            continue
        below = 0.0
        for end, count in zip((*map(repr, family.buckets), "+Inf"), values[:-1], strict=True):
            below += count
            yield f"{family.name}_bucket{_braced([*shown, _LE.format(end)])} {_number(below)}"
        yield f"{family.name}_sum{_braced(shown)} {_number(values[-1])}"
        yield f"{family.name}_count{_braced(shown)} {_number(below)}"


def _braced(labels: list[str]) -> str:
    return "{" + ",".join(labels) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
