"""What a dollar and a second are worth to the requests that leave the choice to the gateway."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router_model.policy.curve import OperatingPoint
from router_model.policy.rule import Priced, Rule
from router_model.router import Router

if TYPE_CHECKING:
    from router_model.serving.gateway.pace import Pacer
    from router_model.serving.gateway.sessions.sessions import Conversation

NEARLY = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Waiting:
    """A rule: a dial of shares, beside which waiting costs quality too.

    Mean calls are weighed, as the dial weighs them: were it this call's own dollars, each prompt longer than
    those of training would go to a cheaper tier as soon as time had any price.

    Attributes:
        lost: quality that each tier's dollars and seconds cost [K].
        usd_per_second: what a second of waiting costs.
    """

    lost: tuple[float, ...]
    usd_per_second: float

    def __call__(self, sufficiency: Sequence[float], usd: Sequence[float]) -> int:
        """Position of the tier; of equal ones the cheaper one."""
        values = [probability - lost for probability, lost in zip(sufficiency, self.lost, strict=True)]
        return max(range(len(values)), key=values.__getitem__)

    def __str__(self) -> str:
        return f"the dial's, a second {self.usd_per_second:g} dollars"


@dataclass(frozen=True, slots=True)
class Pricing:
    """Makes the rule of the next request.

    Attributes:
        strongest_usd: US dollars that a mean call of the strongest tier costs.
        relative_cost: mean cost of each tier over the strongest's [K].
        usd_per_second: what a second of waiting costs; 0 where time has no price.
        seconds: that each tier of the router takes now [K].
        pacer: of the dial's budget; None where the dial is a share.
    """

    strongest_usd: float
    relative_cost: tuple[float, ...]
    usd_per_second: float
    seconds: Callable[[], tuple[float, ...]]
    pacer: "Pacer | None" = None

    def rule(self, point: OperatingPoint, lowered: float, conversation: "Conversation | None") -> Rule | None:
        """The rule, or None where neither dollars nor time have a price of their own.

        Args:
            point: of the dial, turned down already.
            lowered: how far it is turned down, 0 to 1.
            conversation: that the request goes on with; None where requests are routed one by one.
        """
        if self.pacer is not None:
            paced = self._paced(self.pacer, lowered)
            return self.pacer.watched(paced if conversation is None else conversation.rule(paced))
        if not self.usd_per_second or point.rule == "fixed":
            return None
        if conversation is not None:  # a second is worth as much as of a mean call
            second = self.usd_per_second * conversation.strongest_usd / self.strongest_usd
            price = point.penalty / conversation.strongest_usd
            return conversation.rule(Priced(price, second, self.seconds()))
        second = self.usd_per_second / self.strongest_usd
        costs = zip(self.relative_cost, self.seconds(), strict=True)
        lost = tuple(point.penalty * (cost + second * seconds) for cost, seconds in costs)
        return Waiting(lost, self.usd_per_second)

    def _paced(self, pacer: "Pacer", lowered: float) -> Priced:
        dearer = min(lowered, NEARLY)
        seconds = self.seconds() if self.usd_per_second else ()
        return pacer.priced(dearer / (1 - dearer) / self.strongest_usd, self.usd_per_second, seconds)


def first_price(router: Router) -> float:
    """The price that the router's own dial stands for, in quality per US dollar."""
    return router.policy.default.penalty / router.artifact.manifest.strongest_usd
