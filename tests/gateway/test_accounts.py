"""Sums over entries: what was paid, what was saved, and what may not be claimed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router_model.serving.gateway.accounts import Accounts, Entry
from router_model.serving.gateway.keys import OPEN, Caller
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.waste import Waste

ADA = Caller("ada", "acme", frozenset())
ENTRY = Entry(
    request_id="r1",
    time=1_700_000_000.0,
    caller=ADA,
    endpoint="chat",
    tier="small",
    provider="near",
    model="small-8b",
    status=200,
    usage=Usage(input=100, cached=40, output=20, reasoning=5),
    cost_usd=0.01,
    strongest_usd=0.30,
)
LOST = Waste("large", "far", 0.04, estimated=False)


def page(*entries: Entry) -> dict[str, Any]:
    accounts = Accounts(1.0)
    for entry in entries:
        accounts.add(entry)
    return accounts.page()


def test_tokens_and_dollars_stand_in_each_table_under_its_name() -> None:
    found = page(ENTRY, replace(ENTRY, tier="large", provider="far", caller=OPEN, cost_usd=0.2))
    assert found["total"]["requests"] == 2
    assert found["total"]["input_tokens"] == 200
    assert found["total"]["cached_tokens"] == 80
    assert found["total"]["reasoning_tokens"] == 10
    assert found["by_tier"]["small"]["paid_usd"] == pytest.approx(0.01)
    assert found["by_tenant"]["default"]["paid_usd"] == pytest.approx(0.2)
    assert set(found["by_key"]) == {"ada", "open"}
    assert set(found["by_provider"]) == {"near", "far"}


@pytest.mark.parametrize(
    ("entry", "saved"),
    [
        (ENTRY, 0.29),
        (replace(ENTRY, cost_usd=0.5), -0.2),  # dearer than the strongest alone
        (replace(ENTRY, wasted=(LOST,)), 0.25),
        (replace(ENTRY, cost_usd=0.0, cached="exact", spared_usd=0.01), 0.0),  # so would it have been there
        (replace(ENTRY, strongest_usd=None), 0.0),  # the client named the model
        (replace(ENTRY, status=502, cost_usd=0.0), 0.0),
        (replace(ENTRY, status=502, cost_usd=0.0, wasted=(LOST,)), -0.04),
    ],
)
def test_what_is_saved_claims_only_what_the_router_did(entry: Entry, saved: float) -> None:
    assert page(entry)["total"]["saved_usd"] == pytest.approx(saved)


def test_an_answer_of_the_cache_spares_what_it_had_cost_and_no_tokens_are_paid() -> None:
    total = page(replace(ENTRY, cost_usd=0.0, cached="semantic", spared_usd=0.01))["total"]
    assert total["spared_by_cache_usd"] == pytest.approx(0.01)
    assert (total["paid_usd"], total["input_tokens"], total["cached"]) == (0.0, 0, 1)


def test_waste_is_paid_where_it_came_about() -> None:
    guessed = Waste("small", "near", 0.03, estimated=True)
    found = page(replace(ENTRY, wasted=(LOST, guessed)))
    assert found["total"]["requests"] == 1
    assert found["total"]["paid_usd"] == pytest.approx(0.08)
    assert found["total"]["wasted_usd"] == pytest.approx(0.07)
    assert found["total"]["wasted_estimated_usd"] == pytest.approx(0.03)
    assert found["by_provider"]["far"]["paid_usd"] == pytest.approx(0.04)
    assert found["by_provider"]["far"]["requests"] == 0
    assert found["by_tier"]["large"]["saved_usd"] == pytest.approx(-0.04)


TIERS, PROVIDERS = st.sampled_from(["small", "large", ""]), st.sampled_from(["near", "far"])
entries = st.builds(
    replace,
    st.just(ENTRY),
    tier=TIERS,
    caller=st.sampled_from([ADA, OPEN]),
    provider=PROVIDERS,
    status=st.sampled_from([200, 429, 500]),
    cost_usd=st.floats(0, 10),
    wasted=st.lists(st.builds(Waste, TIERS, PROVIDERS, st.floats(0, 1), st.booleans()), max_size=3).map(
        tuple
    ),
    strongest_usd=st.none() | st.floats(0, 10),
    cached=st.sampled_from([None, "exact", "semantic"]),
)


@given(st.lists(entries, max_size=30), st.integers(0, 30))
def test_two_workers_sum_to_what_one_would_have_and_each_table_to_the_total(
    made: list[Entry], cut: int
) -> None:
    one, first, second = Accounts(1.0), Accounts(1.0), Accounts(2.0)
    for place, entry in enumerate(made):
        one.add(entry)
        (first if place < cut else second).add(entry)
    whole, joined = one.page(), first.page([json.loads(json.dumps(second.snapshot()))])
    for name in whole["total"]:
        assert joined["total"][name] == pytest.approx(whole["total"][name])
        for table in ("by_tier", "by_tenant", "by_key", "by_provider"):
            summed = sum(row[name] for row in whole[table].values())
            assert summed == pytest.approx(whole["total"][name], abs=1e-9)


@pytest.mark.parametrize("snapshot", [{}, {"started": 1}, {"started": 1, "rows": [[["a"], {}]]}, [], None])
def test_a_snapshot_that_is_none_is_left_out(snapshot: Any) -> None:
    accounts = Accounts(1.0)
    accounts.add(ENTRY)
    assert accounts.page([snapshot])["total"]["requests"] == 1


def test_names_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_model.serving.gateway.accounts.MOST_ROWS", 10)
    found = page(*(replace(ENTRY, provider=f"p{number}") for number in range(50)))
    assert found["total"]["requests"] == 50
    assert len(found["by_provider"]) == 11
    assert found["by_provider"]["(others)"]["requests"] == 40
