"""LiteLLM routes by the router, through its own plugin interface."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from router_model import Router
from router_model.errors import ConfigError
from router_model.serving.classifier import TierClassifier

HARD = "Prove that every continuous function on a compact metric space is uniformly continuous."


@dataclass
class Context:
    structured_messages: list[dict[str, Any]] = field(default_factory=list)


def classified(plugin: TierClassifier, *messages: dict[str, Any]) -> str | None:
    return asyncio.run(plugin.classify(Context(list(messages))))


def test_it_names_the_tier_that_the_router_picks() -> None:
    router = Router.default()
    plugin = TierClassifier(router, quality=0.8)
    message = {"role": "user", "content": HARD}
    assert classified(plugin, message) == router.route([message], quality=0.8).tier


def test_it_speaks_the_names_of_the_built_in_tiers() -> None:
    names = {"small": "SIMPLE", "medium": "MEDIUM", "large": "COMPLEX"}
    plugin = TierClassifier(quality=1.0, names=names)
    tier = Router.default().route(HARD, quality=1.0).tier
    assert classified(plugin, {"role": "user", "content": HARD}) == names[tier]


def test_it_declines_where_there_is_no_message() -> None:
    assert classified(TierClassifier()) is None


def test_a_tier_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="'medium' has none"):
        TierClassifier(names={"small": "SIMPLE"})


def test_the_real_litellm_sends_requests_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it asks the network for prices otherwise
    litellm = pytest.importorskip("litellm", reason="needs litellm: pip install 'router-model[litellm]'")
    plugin = TierClassifier(quality=0.9)
    tiers = list(plugin.names)
    models = [
        {
            "model_name": f"m-{tier}",
            "litellm_params": {"model": f"openai/m-{tier}", "mock_response": tier, "api_key": "x"},
        }
        for tier in tiers
    ]
    smart = {
        "model": "auto_router/complexity_router",
        "complexity_router_config": {
            "classifier_type": "custom",
            "classifier_plugin": plugin,
            "tier_definitions": [{"name": tier, "description": tier} for tier in tiers],
            "fallback_tier": tiers[-1],
            "tiers": {tier: f"m-{tier}" for tier in tiers},
        },
        "complexity_router_default_model": f"m-{tiers[-1]}",
    }
    router = litellm.Router(model_list=[*models, {"model_name": "auto", "litellm_params": smart}])
    for text in ("hello", HARD, "What is the capital of France?"):
        messages = [{"role": "user", "content": text}]
        answer = asyncio.run(router.acompletion(model="auto", messages=messages))
        assert answer.choices[0].message.content == plugin.router.route(messages, quality=0.9).tier
