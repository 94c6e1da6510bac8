"""What a provider asks: the file's word, or what genai-prices knows."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model import Router
from router_model.errors import GatewayConfigError
from router_model.serving.gateway.check import check
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.prices import Prices, prices_of
from router_model.serving.gateway.usage import Usage


def provider(**given: Any) -> Provider:
    return Provider(**{"name": "p", "base_url": "http://127.0.0.1:1/v1", "model": "own", **given})


def test_each_kind_of_token_has_its_price() -> None:
    prices = Prices(1.0, 10.0, 0.1, 1.25)
    usage = Usage(input=1_000_000, output=100_000, cached=400_000, written=200_000, reasoning=50_000)
    assert prices.cost_usd(usage) == pytest.approx(0.4 * 1.0 + 0.4 * 0.1 + 0.2 * 1.25 + 0.1 * 10.0)


def test_prices_of_the_file_fall_back_to_the_plain_input_price() -> None:
    asked = provider(input_usd_per_million=2.0, output_usd_per_million=8.0)
    assert prices_of(asked) == Prices(2.0, 8.0, 2.0, 2.0)
    asked = provider(
        input_usd_per_million=2.0,
        output_usd_per_million=8.0,
        cached_input_usd_per_million=0.2,
        written_input_usd_per_million=2.5,
    )
    assert prices_of(asked) == Prices(2.0, 8.0, 0.2, 2.5)
    assert prices_of(provider(input_usd_per_million=0, output_usd_per_million=0)).cost_usd(Usage(9, 9)) == 0


def test_a_price_of_zero_counts_as_given() -> None:
    asked = provider(input_usd_per_million=2, output_usd_per_million=8, cached_input_usd_per_million=0)
    assert prices_of(asked).cached == 0


@pytest.mark.parametrize(
    "asked",
    [
        provider(base_url="https://api.openai.com/v1", model="gpt-4o"),
        provider(prices="gpt-4o"),
        provider(prices="openai/gpt-4o"),
    ],
)
def test_prices_are_found_by_url_or_name(asked: Provider) -> None:
    usage = genai_prices.Usage(input_tokens=1_000_000, output_tokens=0)
    theirs = genai_prices.calc_price(usage, "gpt-4o", provider_id="openai")
    assert Decimal(str(prices_of(asked).input)) == theirs.total_price


@given(
    st.sampled_from(["claude-sonnet-4-5", "gpt-4o-mini", "gemini-2.5-pro", "claude-haiku-4-5"]),
    st.integers(0, 400_000),
    st.integers(0, 50_000),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_costs_equal_those_of_genai_prices(
    model: str, tokens: int, output: int, cached: float, written: float
) -> None:
    read = int(tokens * cached)
    wrote = int((tokens - read) * written) if model.startswith("claude") else 0
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=tokens, output_tokens=output, cache_read_tokens=read, cache_write_tokens=wrote
        ),
        model,
    )
    ours = prices_of(provider(prices=model)).cost_usd(Usage(tokens, output, read, wrote))
    assert ours == pytest.approx(float(theirs.total_price), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (provider(), "model 'own' at this base_url is not known to genai-prices"),
        (
            provider(model="gpt-4o"),
            "at this base_url is not known",
        ),  # a name tells nothing of one's own server
        (provider(prices="nobody/has-this"), "'prices: nobody/has-this' is not known"),
        (provider(prices="gpt-4o", input_usd_per_million=1), "not both"),
        (provider(output_usd_per_million=1), "give both"),
        (provider(cached_input_usd_per_million=1), "give both"),
    ],
)
def test_unknown_or_contradicting_prices_are_refused(asked: Provider, message: str) -> None:
    with pytest.raises(GatewayConfigError, match=message):
        prices_of(asked)


def test_a_file_whose_prices_are_not_the_routers_says_which_dials_go_by(tmp_path: Path) -> None:
    router = Router.default()

    def checked(times: dict[str, float]) -> list[str]:
        tiers = [
            {
                "name": tier.name,
                "providers": [
                    {"name": tier.name, "model": "m", "base_url": "http://localhost:1",
                     "input_usd_per_million": times.get(tier.name, 1.0) * tier.input_usd_per_million,
                     "output_usd_per_million": times.get(tier.name, 1.0) * tier.output_usd_per_million}
                ],
            }
            for tier in router.ladder.tiers
        ]  # fmt: skip
        path = tmp_path / "gateway.yaml"
        path.write_text(json.dumps({"tiers": tiers}))
        return [said for said in check(path).warnings if "remap" in said]

    assert checked({}) == []
    assert checked({"small": 2.0, "medium": 2.0, "large": 2.0}) == []
    (said,) = checked({"medium": 3.0})
    assert said.startswith("tier 'medium' costs 64% of 'large' by this file, and 21% by the router")
    assert len(checked({"large": 5.0})) == 2
    assert checked({"large": 0.0}) == []
