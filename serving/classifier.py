"""The router inside LiteLLM: a plugin for its complexity router, ``classifier_type: custom``.

https://docs.litellm.ai/docs/proxy/auto_routing. Needs the core only; LiteLLM calls it in its own process.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from router_model.errors import ConfigError, PromptError
from router_model.router import Router


class Context(Protocol):
    """What LiteLLM hands to a plugin, as far as it is read here.

    Attributes:
        structured_messages: in OpenAI's shape, whatever the client spoke.
    """

    structured_messages: Sequence[Mapping[str, Any]]


class TierClassifier:
    """Names the tier that a request needs.

    Args:
        router: loaded; the one that ships where none is given.
        quality, budget: the dial, one of both, or the artifact's own.
        names: LiteLLM's tier for each of the router's, such as {"small": "SIMPLE", "large": "COMPLEX"}; none
            where LiteLLM's ``tier_definitions`` bear the router's names.

    Raises:
        ConfigError: ``names`` lacks a tier of the router, or the dial is none.
    """

    def __init__(
        self,
        router: Router | None = None,
        *,
        quality: float | None = None,
        budget: float | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.router = router or Router.default()
        self.router.policy.point(quality, budget)
        tiers = self.router.ladder.names
        self.names = dict(names) if names else dict(zip(tiers, tiers, strict=True))
        if missing := [tier for tier in tiers if tier not in self.names]:
            raise ConfigError(
                f"names: the router's tier {missing[0]!r} has none; name all of {', '.join(tiers)}"
            )
        self._quality, self._budget = quality, budget

    def __deepcopy__(self, memo: dict[int, Any]) -> "TierClassifier":
        """Itself, which never changes: LiteLLM copies its settings, and a session cannot be copied."""
        return self

    async def classify(self, context: Context) -> str | None:
        """The tier's name, or None for messages of no known shape, so that LiteLLM's own fallback decides."""
        try:
            decision = self.router.route(
                list(context.structured_messages), quality=self._quality, budget=self._budget
            )
        except PromptError:
            return None
        return self.names[decision.tier]
