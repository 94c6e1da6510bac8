"""What is done about the promise of the artifact's certificate."""

from typing import Annotated

from msgspec import Meta

from router_model.serving.gateway.config.part import Name, Part


class GuaranteeConfig(Part, frozen=True):
    """When the certificate is revoked, and what decides then.

    Attributes:
        error: probability of revoking it although traffic is what was certified, however long it serves.
        tolerance: of drifts in the means of what is watched, in standard deviations.
        tier: asked in the place of the certified choice once it is revoked; the strongest unless given.
    """

    error: Annotated[float, Meta(gt=0.01, lt=1)] = 0.05
    tolerance: Annotated[float, Meta(ge=0, le=3)] = 0.05
    tier: Name | None = None
