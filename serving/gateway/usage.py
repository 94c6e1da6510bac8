"""Tokens that an upstream says it counted, read from its answers as they pass by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call.

    Attributes:
        input: all input tokens, cached and written ones among them.
        cached: of these, read from the provider's prompt cache.
        written: of these, written to it.
        output: all output tokens, reasoning among them.
        reasoning: of these, not shown.
        estimated: whether the upstream said nothing, and this is by length.
    """

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    estimated: bool = False
