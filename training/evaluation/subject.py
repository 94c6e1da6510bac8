"""What a report is about: one router with its artifact, or those of a cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass

from router_model.ladder import Ladder
from router_model.manifest import Manifest
from router_model.policy.curve import OperatingPoint


@dataclass(frozen=True)
class Subject:
    """All that a report says which the rows that it is measured on do not tell.

    Attributes:
        ladder: tiers and prices.
        default: the default dial's operating point, which the advice is about.
        guard: its verdict, in plain words.
        dropped: tiers that are not in the ladder, and why.
        facts: further ones by name, in plain words.
    """

    ladder: Ladder
    default: OperatingPoint
    guard: str
    dropped: Sequence[str]
    facts: dict[str, str]

    @classmethod
    def of_artifact(cls, manifest: Manifest, default: OperatingPoint) -> "Subject":
        """A trained router's own account of itself."""
        data = manifest.data
        return cls(
            ladder=manifest.ladder,
            default=default,
            guard=f"when the router was trained, {manifest.guard['message']}",
            dropped=[dropped_by(tier["tier"], tier["by"]) for tier in data.get("dropped_tiers", [])],
            facts={
                "trained on": f"{data['rows']} rows in {data['groups']} groups",
                "graph": manifest.precision,
                "base encoder": data["base"],
                "data fingerprint": data["fingerprint"],
            },
        )


def dropped_by(tier: str, by: str) -> str:
    """Why a dominated tier is not in the ladder."""
    return f"{tier}: dearer and worse than {by}"
