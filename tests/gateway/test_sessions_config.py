"""What a gateway's file may say of sessions, and what a reload keeps of them."""

import asyncio
from typing import Any

import pytest

from router_model import Router
from router_model.errors import GatewayConfigError
from router_model.ladder import Ladder
from router_model.serving.gateway.call import read_call
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.limits import Limits
from router_model.serving.gateway.config.sessions import Sessions as Config
from router_model.serving.gateway.prices import prices_of
from router_model.serving.gateway.sessions.sessions import Sessions

PROVIDER = {"name": "p", "base_url": "http://127.0.0.1:1/v1", "model": "m", "abilities": ["tools"]}
PRICES = {
    "input_usd_per_million": 2.0,
    "output_usd_per_million": 8.0,
    "cached_input_usd_per_million": 0.5,
    "written_input_usd_per_million": 2.5,
}
BODY = b'{"model": "auto", "messages": [{"role": "user", "content": "hello"}]}'


def config(sessions: Any, **more: Any) -> GatewayConfig:
    tiers = [{"name": "large", "providers": [{**PROVIDER, **PRICES}]}]
    return GatewayConfig.from_dict({"tiers": tiers, "sessions": sessions, **more})


@pytest.mark.parametrize(
    ("sessions", "place"),
    [
        ({"turns_left": []}, "sessions.turns_left"),
        ({"turns_left": [-1]}, "sessions.turns_left"),
        ({"turns_left": [1] * 257}, "sessions.turns_left"),
        ({"kept_share": 1.5}, "sessions.kept_share"),
        ({"keep_seconds": 0}, "sessions.keep_seconds"),
        ({"entries": 0}, "sessions.entries"),
        ({"secret": "s3cret"}, "sessions"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(sessions: Any, place: str) -> None:
    with pytest.raises(GatewayConfigError, match=place):
        config(sessions)


def test_several_workers_need_something_in_common() -> None:
    workers = {"listen": {"workers": 2}}
    with pytest.raises(GatewayConfigError, match="secret_env"):
        config({}, **workers)
    config({"secret_env": "SECRET"}, **workers)
    config({}, redis_url_env="REDIS_URL", **workers)


def test_a_secret_that_is_not_set_is_named() -> None:
    with pytest.raises(GatewayConfigError, match="SECRET"):
        config({"secret_env": "SECRET"}).secrets({})
    assert config({"secret_env": "SECRET"}).session_secret({"SECRET": " s "}) == b"s"
    assert config({}).session_secret({}) == b""


@pytest.fixture(scope="module")
def shipped() -> Router:
    return Router.default()


def sessions(router: Router, since: Sessions | None = None, secret: bytes = b"", **more: Any) -> Sessions:
    whole = config(more)
    assert isinstance(whole.sessions, Config)
    prices = {provider.name: prices_of(provider) for _, provider in whole.providers()}
    return Sessions(whole.sessions, whole, router, prices, secret=secret, since=since)


def test_the_providers_ratios_are_applied_to_the_ladders_prices(shipped: Router) -> None:
    small, _, large = sessions(shipped)._terms["openai"].prices
    assert (large.plain, large.cached, large.written) == pytest.approx((3e-6, 0.75e-6, 3.75e-6))
    assert (small.plain, small.cached, small.written) == pytest.approx(
        (1e-7, 1e-7, 1e-7)
    )  # it has no provider
    uncached = sessions(shipped)._terms["anthropic"].prices[-1]
    assert uncached.cached == uncached.written == uncached.plain


@pytest.mark.parametrize(("more", "kept"), [({}, True), ({"turns_left": [9]}, True), ({"entries": 7}, False)])
def test_a_reload_keeps_what_is_known_and_what_clients_carry(shipped: Router, more: Any, kept: bool) -> None:
    async def main() -> None:
        before = sessions(shipped)
        call = read_call("chat", BODY, {}, Limits())
        begun = await before.find(call, "acme", {})
        assert begun is not None
        before.answered(begun, "req_1", "large", (0.5, 0.6, 0.7))
        before.keep(begun, "req_1", failed=False)
        token = before.token(begun, "acme")
        after = sessions(shipped, before, **more)
        assert bool(len(after.store)) is kept
        found = await after.find(call, "acme", {"x-router-session": token})
        assert found is not None
        assert (found.session.tier, found.name) == (2, begun.name)
        other = sessions(shipped, before, secret=b"another")
        assert (await other.find(call, "acme", {"x-router-session": token})).session.turns == 0  # type: ignore[union-attr]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("models", "prices", "known"), [("", 1.0, True), ("", 2.0, True), ("-2", 1.0, False)]
)
def test_a_router_of_other_models_finds_nothing_of_a_conversation(
    shipped: Router, models: str, prices: float, known: bool
) -> None:
    tiers = [
        {
            "name": tier.name,
            "model": tier.models[0] + models,
            "input_usd_per_million": prices * tier.input_usd_per_million,
            "output_usd_per_million": prices * tier.output_usd_per_million,
        }
        for tier in shipped.ladder.tiers
    ]
    router = shipped.with_ladder(Ladder.from_dict({"tiers": tiers}))

    async def main() -> None:
        before = sessions(shipped, secret=b"one for all")
        call = read_call("chat", BODY, {}, Limits())
        begun = await before.find(call, "acme", {})
        assert begun is not None
        before.answered(begun, "req_1", "large", (0.5, 0.6, 0.7))
        before.keep(begun, "req_1", failed=False)
        carried = {"x-router-session": before.token(begun, "acme")}
        after = sessions(router, before, secret=b"one for all")
        assert len(after.store)
        found = await after.find(call, "acme", carried)
        assert found is not None
        assert (found.session.turns == 1) is known

    asyncio.run(main())
