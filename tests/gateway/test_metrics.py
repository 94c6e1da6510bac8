"""What is scraped: read by Prometheus' own parser, summed over workers that are real files."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.keys import OPEN
from router_model.serving.gateway.metrics import FAMILIES, Metrics
from router_model.serving.gateway.siblings import Siblings
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.waste import Waste

ENTRY = Entry(
    request_id="r1", time=1.0, caller=OPEN, endpoint="chat", tier="small", provider="near", model="m",
    status=200, usage=Usage(100, 20, cached=30), cost_usd=0.25, strongest_usd=1.0,
    wasted=(Waste("large", "far", 0.05, estimated=True),),
    seconds=0.03, first_byte_seconds=0.02, stream=True,
)  # fmt: skip


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(text: bytes, name: str, **labels: str) -> float:
    return samples(text)[name, tuple(sorted(labels.items()))]


def test_an_entry_is_counted_in_all_families_that_tell_of_one() -> None:
    metrics = Metrics()
    metrics.add(ENTRY)
    metrics.add(ENTRY)
    text = metrics.text()
    labels = {"endpoint": "chat", "tier": "small", "provider": "near", "status": "200", "cache": ""}
    assert value(text, "router_requests_total", **labels) == 2
    assert value(text, "router_tokens_total", tier="small", kind="cached") == 60
    assert value(text, "router_paid_usd_total", tier="small", tenant="default") == pytest.approx(0.5)
    assert value(text, "router_paid_usd_total", tier="large", tenant="default") == pytest.approx(0.1)
    wasted = {"tier": "large", "provider": "far", "estimated": "true"}
    assert value(text, "router_wasted_usd_total", **wasted) == pytest.approx(0.1)
    assert value(text, "router_saved_usd", tenant="default") == pytest.approx(1.4)
    assert value(text, "router_request_seconds_bucket", tier="small", le="0.025") == 0
    assert value(text, "router_request_seconds_bucket", tier="small", le="0.05") == 2
    assert value(text, "router_request_seconds_bucket", tier="small", le="+Inf") == 2
    assert value(text, "router_request_seconds_sum", tier="small") == pytest.approx(0.06)


def test_every_family_is_described_and_one_without_labels_starts_at_0() -> None:
    text = Metrics().text()
    found = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert {name.removesuffix("_total") for name in (f.name for f in FAMILIES.values())} == set(found)
    assert all(family.documentation for family in found.values())
    assert value(text, "router_decision_seconds_count") == 0


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_label_reads_back_as_it_was(tier: str, outcome: str) -> None:
    metrics = Metrics()
    metrics.count("feedback_total", tier, outcome)
    text = metrics.text()
    shown = {"tier": tier.encode("utf-8", "replace").decode(), "outcome": outcome}
    assert "\r" in tier + outcome or value(text, "router_feedback_total", **shown) == 1


def test_labels_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_model.serving.gateway.metrics.MOST_SERIES", 5)
    metrics = Metrics()
    for number in range(20):
        metrics.count("refused_total", f"reason {number}")
        metrics.observe("request_seconds", f"tier {number}", seconds=1.0)
    found = samples(metrics.text())
    assert sum(v for (name, _), v in found.items() if name == "router_refused_total") == 20
    assert value(metrics.text(), "router_refused_total", reason="(others)") == 15
    assert value(metrics.text(), "router_request_seconds_count", tier="(others)") == 15


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.integers(1, 5)), max_size=20))
def test_workers_sum_to_what_one_would_have_counted(told: list[tuple[bool, str, int]]) -> None:
    one, first, second = Metrics(), Metrics(), Metrics()
    for mine, tier, many in told:
        for metrics in (one, first if mine else second):
            metrics.count("explored_total", tier, by=many)
            metrics.observe("request_seconds", tier, seconds=many)
    assert samples(first.text([json.loads(json.dumps(second.snapshot()))])) == samples(one.text())


def test_of_a_gauge_that_workers_agree_on_the_largest_counts() -> None:
    first, second = Metrics(), Metrics()
    first.set("budget_spent_share", "tenant:a:day", to=0.25)
    second.set("budget_spent_share", "tenant:a:day", to=0.5)
    first.set("in_flight", "small", to=2)
    second.set("in_flight", "small", to=3)
    text = first.text([second.snapshot()])
    assert value(text, "router_budget_spent_share", budget="tenant:a:day") == 0.5
    assert value(text, "router_in_flight", tier="small") == 5


@pytest.mark.parametrize(
    "snapshot",
    [None, {}, [["refused_total"]], [["refused_total", ["a", "b"], [1]]], [["refused_total", ["a"], [1, 2]]],
     [["unknown", [], [1]]], [["request_seconds", ["a"], [1]]], [["refused_total", ["a"], ["1"]]]],
)  # fmt: skip
def test_a_snapshot_that_is_none_changes_nothing(snapshot: Any) -> None:
    metrics = Metrics()
    metrics.count("refused_total", "a")
    assert metrics.text([snapshot]) == metrics.text()


def test_a_snapshot_that_cannot_be_read_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.text([[["refused_total", ["a"], ["1"]]], metrics.snapshot()])
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "`float`" in caplog.text


def test_a_number_without_end_does_not_break_the_page() -> None:
    metrics = Metrics()
    for tier, number in (("a", math.inf), ("b", -math.inf), ("c", math.nan)):
        metrics.set("in_flight", tier, to=number)
    text = metrics.text()
    assert value(text, "router_in_flight", tier="a") == math.inf
    assert value(text, "router_in_flight", tier="b") == -math.inf
    assert math.isnan(value(text, "router_in_flight", tier="c"))


def test_two_workers_see_each_other_through_a_folder_and_a_dead_one_stays(tmp_path: Path) -> None:
    first, second = Metrics(), Metrics()

    async def run() -> list[dict[str, Any]]:
        one = Siblings(tmp_path, "one", lambda: {"metrics": first.snapshot()})
        two = Siblings(tmp_path, "two", lambda: {"metrics": second.snapshot()})
        one.open()
        two.open()
        second.count("refused_total", "a", by=3)
        await two.close()
        (tmp_path / "torn.json").write_text('{"metrics": [')
        (tmp_path / "list.json").write_text("[]")
        others = one.others()
        await one.close()
        return others

    others = asyncio.run(run())
    first.count("refused_total", "a")
    text = first.text([other["metrics"] for other in others])
    assert value(text, "router_refused_total", reason="a") == 4


def test_a_worker_alone_writes_nothing() -> None:
    async def run() -> list[dict[str, Any]]:
        alone = Siblings(None, "one", dict)
        alone.open()
        await alone.close()
        return alone.others()

    assert asyncio.run(run()) == []
