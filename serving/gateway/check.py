"""What ``serve --check`` says: whether a gateway could start from its file, and with what."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router_model.policy.term import lot_of
from router_model.router import Router
from router_model.serving.gateway.build import load_router
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.tier import TierConfig
from router_model.serving.gateway.prices import prices_of
from router_model.serving.gateway.usage import Usage
from router_model.table import columns

APART = 0.05  # of the strongest tier's cost, from which on prices are another ladder's
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Checked:
    """A file that a gateway can start from.

    Attributes:
        path: of the file.
        router: what the decisions are made by.
        dial: what requests get that name no dial.
        providers: a row each, in the file's order.
        warnings: what can be done and is seldom meant.
    """

    path: str
    router: str
    dial: str
    providers: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "path": self.path,
            "router": self.router,
            "dial": self.dial,
            "providers": list(self.providers),
            "warnings": list(self.warnings),
        }

    def table(self) -> str:
        """For people: a line for each provider, then the warnings."""
        rows = [list(self.providers[0]), *([str(cell) for cell in row.values()] for row in self.providers)]
        told = [f"{self.path}: ready, with {self.router}", f"requests that name no dial: {self.dial}"]
        return "\n".join([*told, "", columns(rows), "", *self.warnings])


def check(path: Path) -> Checked:
    """Read the file, the router and the environment, and call nobody.

    Raises:
        RouterModelError: as starting would; the message says what is wrong, where, and the cure.
    """
    config = GatewayConfig.read(path)
    config.secrets(os.environ)
    router = load_router(config)
    rows = []
    for tier, provider in config.providers():
        prices = prices_of(provider)
        rows.append(
            {
                "tier": tier,
                "provider": provider.name,
                "model": provider.model,
                "input_usd_per_million": prices.input,
                "output_usd_per_million": prices.output,
                "context_tokens": provider.context_tokens,
                "abilities": ", ".join(provider.abilities) or "text",
            }
        )
    found = (*warnings(config), *apart(config, router))
    return Checked(str(path), router.artifact.name, dial(config, router), tuple(rows), found)


def dial(config: GatewayConfig, router: Router) -> str:
    """What the file's dial means, in a line."""
    wish, second = config.dial, config.latency.usd_per_second
    if wish.usd is None:
        point = router.policy.point(wish.quality, wish.budget)
        told = f"{point.dial}={point.value:g}"
        if second and point.rule == "fixed":
            return f"{told}; time has no price there, since the guard fixed the choice of tiers"
        if second and not point.penalty:
            return f"{told}; time has no price there, since quality has none"
    else:
        each = wish.per if lot_of(wish.per) else f"{wish.per} ({wish.zone})"
        strongest = router.artifact.manifest.strongest_usd
        told = (
            f"{wish.usd:g} US dollars per {each}, paced by a price on cost; some {wish.usd / strongest:,.0f} "
            f"calls of {router.ladder.names[-1]!r} alone at {strongest:.2g} dollars each"
        )
    return told + (f"; a second of waiting counts as {second:g} dollars" if second else "")


def apart(config: GatewayConfig, router: Router) -> list[str]:
    """Tiers whose share of the strongest one's cost is another by the file's prices than by the router's."""
    manifest, ladder = router.artifact.manifest, router.ladder
    asked = manifest.mean_input_tokens

    def costs(tier: TierConfig) -> tuple[float, float]:
        """Of a mean call, by the file and by the router."""
        place = ladder.index(tier.name)
        answered = manifest.output_tokens[place]
        usage = Usage(round(asked), round(answered))
        paid = min(prices_of(provider).cost_usd(usage) for provider in tier.providers)
        return paid, ladder.tiers[place].cost_usd(asked, answered)

    *cheaper, strongest = config.tiers
    here, there = costs(strongest)
    if not here or not there:
        return []
    found = []
    for tier in cheaper:
        paid, told = costs(tier)
        if abs(paid / here - told / there) > APART:
            found.append(
                f"tier {tier.name!r} costs {paid / here:.0%} of {strongest.name!r} by this file, and "
                f"{told / there:.0%} by the router, whose prices the dials go by; give it these with "
                "router-model remap"
            )
    return found


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warnings(config: GatewayConfig) -> list[str]:
    """What a file says that is seldom meant."""
    found = []
    if not config.keys and config.listen.host not in LOOPBACK:
        found.append("no keys, and not on loopback: whoever reaches the port spends your money; give keys")
    for _, provider in config.providers():
        if provider.base_url.startswith("http://") and provider.api_key_env:
            found.append(f"provider {provider.name!r}: its key goes over http:// in the clear; use https://")
    if config.listen.busy_polling_ms and config.listen.workers >= cores():
        found.append(
            f"listen.busy_polling_ms with a worker for each of {cores()} cores: nothing is left for all else "
            "that runs here; give fewer workers, or leave it at 0"
        )
    if config.traffic is None:
        found.append("no traffic log: nothing is kept to learn from; give 'traffic'")
    return found
