"""What a call is expected to cost at each tier, by the request's tokens and the answer's."""

from dataclasses import dataclass

from router_model.errors import PromptError
from router_model.ladder import Tier
from router_model.manifest import Manifest

CHARACTERS_PER_TOKEN = 4.0  # what training counts where no log tells the tokens
MOST_TOKENS = 1e15  # of a request: so that sums and products stay finite


@dataclass(frozen=True, slots=True)
class Offer:
    """A tier as decisions need it.

    Attributes:
        tier: the tier.
        usd_per_input_token: of the request.
        usd_per_answer: of an answer of the tier's mean length; or of what is expected of any answer beside
            ``usd_per_token``.
        usd_per_token: of the output tokens that the graph gives; 0 where it gives none.
    """

    tier: Tier
    usd_per_input_token: float
    usd_per_answer: float
    usd_per_token: float = 0.0

    def usd(self, input_tokens: float, output_tokens: float = 0.0) -> float:
        """US dollars that a call is expected to cost, by the request's tokens and the typical answer's."""
        asked = input_tokens * self.usd_per_input_token
        return asked + self.usd_per_answer + output_tokens * self.usd_per_token


def told(input_tokens: float) -> float:
    """The tokens of a request, as its caller tells them; raises PromptError where it is no number of them."""
    if not 0 <= input_tokens <= MOST_TOKENS:
        raise PromptError(f"input_tokens={input_tokens!r:.40}: give 0 to {MOST_TOKENS:g}, or None")
    return input_tokens


def offers_of(manifest: Manifest) -> tuple[Offer, ...]:
    """The tiers with what a token of the request, an answer and a typical token of it cost at each."""
    tiers, lengths = manifest.ladder.tiers, manifest.lengths
    fixed = lengths.offset if lengths else manifest.output_tokens
    scale = lengths.scale if lengths else (0.0,) * len(tiers)
    return tuple(
        Offer(
            tier,
            tier.input_usd_per_million * 1e-6,
            tier.cost_usd(0, fixed[k]),
            tier.cost_usd(0, scale[k]),
        )
        for k, tier in enumerate(tiers)
    )
