"""What a dollar and a second are worth to the requests that leave the choice to the gateway."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router_model.policy.curve import OperatingPoint
from router_model.policy.rule import Priced, Rule
from router_model.router import Router

if TYPE_CHECKING:
    from router_model.serving.gateway.pace import Pacer

NEARLY = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Pricing:
    """Makes the rule of the next request.

    Attributes:
        strongest_usd: US dollars that a mean call of the strongest tier costs.
        usd_per_second: what a second of waiting costs; 0 where time has no price.
        seconds: that each tier of the router takes now [K].
        pacer: of the dial's budget; None where the dial is a share.
    """

    strongest_usd: float
    usd_per_second: float
    seconds: Callable[[], tuple[float, ...]]
    pacer: "Pacer | None" = None

    def priced(self, point: OperatingPoint, lowered: float) -> Priced | None:
        """The rule, or None where the operating point decides.

        Args:
            point: of the dial, turned down already.
            lowered: how far it is turned down, 0 to 1.
        """
        if self.pacer is None and (not self.usd_per_second or point.rule == "fixed"):
            return None
        seconds = self.seconds() if self.usd_per_second else ()
        if self.pacer is None:
            return Priced(point.penalty / self.strongest_usd, self.usd_per_second, seconds)
        dearer = min(lowered, NEARLY)
        return self.pacer.priced(dearer / (1 - dearer) / self.strongest_usd, self.usd_per_second, seconds)

    def watched(self, rule: Rule) -> Rule:
        """The same rule, which now and then tells the pacer what it decided about."""
        return self.pacer.watched(rule) if self.pacer else rule


def first_price(router: Router) -> float:
    """The price that the router's own dial stands for, in quality per US dollar."""
    return router.policy.default.penalty / router.artifact.manifest.strongest_usd
