"""Which tiers a request is sent to, in order: constraints first, then the router's choice, then upwards."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from router_model.decision import Decision
from router_model.errors import DialError, PromptError, RequestError
from router_model.policy.curve import OperatingPoint
from router_model.policy.rule import Rule
from router_model.prompt import Request
from router_model.router import Router
from router_model.serving.gateway.call import Asked, Call
from router_model.serving.gateway.config.dial import Dial
from router_model.serving.gateway.guarantee import Guarantee
from router_model.serving.gateway.pricing import Pricing
from router_model.serving.gateway.sessions.sessions import Conversation

LEAST = 1e-6  # of budgets
STARVED = 1.0 - 1e-9  # a budget that is this far used up leaves the cheapest tier


class Plan(Struct, frozen=True, gc=False):
    """What is done with one request.

    Attributes:
        tiers: to ask in this order; the first is the choice.
        decision: the router's; none where the client named a tier or a model.
        provider: the provider or model that the client named.
        propensity: probability of the choice, in (0, 1].
        explored: whether it was drawn at random.
    """

    tiers: tuple[str, ...]
    decision: Decision | None = None
    provider: str | None = None
    propensity: float = 1.0
    explored: bool = False

    @property
    def tier(self) -> str:
        """The choice."""
        return self.tiers[0]


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans from a router and the tiers that a gateway has.

    Attributes:
        router: the router; its ladder holds every tier of the gateway, which may lack some.
        words: what a client may name: tiers, and models and providers where the file allows it.
        dial: of requests that name none.
        explore: share of ``auto`` requests whose tier is drawn at random.
        upwards: whether stronger tiers follow the choice.
        pricing: what decides requests that name no dial, where the dial is paced or time has a price.
        guarantee: that the artifact's certificate stands; None where it has none.
        draw: uniform in [0, 1).
    """

    router: Router
    words: frozenset[str]
    dial: Dial
    explore: float = 0.0
    upwards: bool = True
    pricing: Pricing | None = None
    guarantee: Guarantee | None = None
    draw: random.Random = random.Random()  # noqa: RUF009, S311  # of exploration, no secret

    def plan(
        self,
        call: Call,
        able: Sequence[str],
        lowered: float = 0.0,
        conversation: Conversation | None = None,
    ) -> Plan:
        """Choose.

        Args:
            able: the tiers that can take the call, cheapest first.
            lowered: how far the dial is turned down, 0 to 1, where the cheapest tier that is able is left.
            conversation: that the call goes on with; None where calls are routed one by one.

        Raises:
            RequestError: no tier can take it, or the tier asked for cannot.
        """
        asked = call.asked
        if call.endpoint == "embeddings" and asked.model is None:
            what = "name a model of embeddings: vectors of two models cannot be compared, so none is picked"
            raise RequestError(400, "invalid_request_error", what, param="model")
        if not able:
            raise self._unable(call, asked)
        if asked.tier is not None:
            if asked.tier not in able:
                raise self._unable(call, asked)
            return Plan(self._from(asked.tier, able))
        if asked.model is not None:
            return Plan(tuple(able), provider=asked.model)
        decision = self.decide(call, lowered, conversation)
        # A budget that is used up brings a conversation down, but for one that waits for its tools.
        held = conversation if lowered < STARVED or (conversation and conversation.tool_loop) else None
        allowed = self._allowed(able, held)
        if lowered >= STARVED:
            return Plan(self._from(allowed[0], able), decision)
        chances = self._chances(decision, held, allowed)
        chosen = self._able_for(self._choice(decision, held), allowed)
        explored = bool(self.explore) and self.draw.random() < self.explore
        if explored:
            chosen = allowed[int(self.draw.random() * len(allowed))]
        propensity = self.explore / len(allowed) + (1 - self.explore) * chances.get(chosen, 0.0)
        return Plan(self._from(chosen, able), decision, propensity=propensity, explored=explored)

    def decide(self, call: Call, lowered: float = 0.0, conversation: Conversation | None = None) -> Decision:
        """The router's decision by the call's dial, turned down by ``lowered``, and its conversation.

        Raises:
            RequestError: the router cannot read the prompt, or the dial is none.
        """
        quality, budget = call.asked.quality, call.asked.budget
        if call.asked.certified and self.guarantee is None:
            what = "this router has no certificate; make one with router-model certify"
            raise RequestError(400, "invalid_request_error", what, param="model")
        named = quality is not None or budget is not None or call.asked.certified
        if not named:
            quality, budget = self.dial.quality, self.dial.budget
        if lowered > 0:
            quality, budget = None, self._cheaper(self.router.policy.point(quality, budget), lowered)
        try:
            if rule := self._rule(self.router.policy.point(quality, budget), named, lowered, conversation):
                return self.router.route(_read(call), rule=rule, input_tokens=call.input_tokens)
            return self.router.route(
                _read(call), quality=quality, budget=budget, input_tokens=call.input_tokens
            )
        except (PromptError, DialError) as error:
            raise RequestError(400, "invalid_request_error", str(error)) from None

    def _rule(
        self, point: OperatingPoint, named: bool, lowered: float, conversation: Conversation | None
    ) -> Rule | None:
        """What decides in place of the operating point, where something does."""
        pricing = None if named else self.pricing
        if pricing and (rule := pricing.rule(point, lowered, conversation)):
            return rule
        if point.dial == "certified":
            # What is certified decides turn by turn: no conversation moves it, but up by its floor.
            return self.guarantee.rule if self.guarantee else None
        if conversation is not None and point.rule == "router":
            return conversation.by_penalty(point.penalty)
        return None

    def _cheaper(self, point: OperatingPoint, lowered: float) -> float:
        """The budget that lies ``lowered`` of the way from what a point costs to the least of the curve."""
        policy = self.router.policy
        instead = self.guarantee.rule if self.guarantee and point.dial == "certified" else None
        cost = policy.relative_cost[instead.position] if instead else point.cost
        least = policy.point(budget=LEAST).cost  # at today's prices, unlike ``relative_cost``
        return min(1.0, max(LEAST, cost + (least - cost) * lowered))

    def _choice(self, decision: Decision, conversation: Conversation | None) -> str:
        """The decided tier, or the one that a conversation keeps where fixed shares draw it."""
        point = decision.point
        if point is None or conversation is None or not self._keeps(point, conversation):
            return decision.tier
        return self.router.ladder.names[conversation.session.tier]

    def _keeps(self, point: OperatingPoint, conversation: Conversation) -> bool:
        """Whether a conversation keeps its tier whatever fixed shares draw: one that has a share.

        But not where the shares are certified: what is promised is of the draw.
        """
        if point.rule != "fixed" or point.dial == "certified" or not conversation.session.turns:
            return False
        return point.shares[conversation.session.tier] > 0

    def _chances(
        self, decision: Decision, conversation: Conversation | None, allowed: Sequence[str]
    ) -> dict[str, float]:
        """The probability of each allowed tier where nothing is explored.

        Fixed shares are drawn by the prompt, so that a prompt keeps its tier; over prompts that is a draw as
        good as any, and a log that called it certain would teach that other tiers were never to be had.
        """
        point = decision.point
        if point is None or point.rule != "fixed" or (conversation and self._keeps(point, conversation)):
            return {self._able_for(self._choice(decision, conversation), allowed): 1.0}
        chances: dict[str, float] = {}
        for name, share in zip(self.router.ladder.names, point.shares, strict=True):
            tier = self._able_for(name, allowed)
            chances[tier] = min(1.0, chances.get(tier, 0.0) + share)
        return chances

    def _allowed(self, able: Sequence[str], conversation: Conversation | None) -> Sequence[str]:
        """The able tiers that are not below the conversation's floor, or else the strongest that is able."""
        if conversation is None:
            return able
        above = self.router.ladder.names[conversation.least :]
        return [tier for tier in able if tier in above] or able[-1:]

    def _able_for(self, tier: str, able: Sequence[str]) -> str:
        """The tier, or else the next stronger one that is able, or else the strongest."""
        names = self.router.ladder.names
        return next((name for name in names[names.index(tier) :] if name in able), able[-1])

    def _from(self, tier: str, able: Sequence[str]) -> tuple[str, ...]:
        place = able.index(tier)
        return tuple(able[place:]) if self.upwards else (tier,)

    def _unable(self, call: Call, asked: Asked) -> RequestError:
        named = asked.model or asked.tier
        if named and named not in self.words:
            what = f"no model or tier {named!r} here; /v1/models lists them"
            return RequestError(404, "model_not_found", what, param="model")
        needs = ", ".join(sorted(call.needs)) or "text"
        what = "model here"
        if asked.tier or asked.model:
            what = f"tier {asked.tier!r}" if asked.tier else f"model {asked.model!r}"
        return RequestError(
            400,
            "invalid_request_error",
            f"no {what} takes /v1/{call.endpoint} with {needs} and some {call.input_tokens} input tokens; "
            "give less, or name another model",
            param="model",
        )


def _read(call: Call) -> Request:
    """What the router reads of a call, which is what the traffic log keeps of it (words.py)."""
    prompt: Any = call.body.get("prompt")
    if call.endpoint != "completions" or prompt is None:
        return call.body
    several = prompt.__class__ is list and prompt and all(part.__class__ is str for part in prompt)
    read: Request = "\n".join(prompt) if several else prompt
    return read
