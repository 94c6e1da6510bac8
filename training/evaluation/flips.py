"""How often an edit that leaves the question as it was changes the tier.

A policy that is nearly constant flips seldom whatever it reads, so the rate stands only beside the policy's
distance from constant: the Gini-Simpson index of its tier shares, which is also how often two independent
draws of a random policy of the same shares differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.errors import DataError
from router_model.prompt import Request
from router_model.router import Router


@dataclass(frozen=True)
class Flip:
    """What one edit did.

    Attributes:
        edit: its name, a key of ``EDITS``.
        prompts: how many it changed; all else is over these.
        rate: share of them whose tier changed.
        distance_from_constant: 1 less the sum of the squared shares of their tiers before the edit, the
            flip rate of a random policy of these shares; 0 for a constant.
        relative_rate: ``rate`` over ``distance_from_constant``, 1 for a random policy; NaN for a constant.
    """

    edit: str
    prompts: int
    rate: float
    distance_from_constant: float
    relative_rate: float


@dataclass(frozen=True)
class Flips:
    """Flip rates of a router at one operating point.

    Attributes:
        dial: "quality" or "budget".
        value: the dial's value.
        rule: "router", or "fixed" where the guard decides: its mix draws by the text, so every edit redraws.
        prompts: strings among the requests, which were edited.
        skipped: conversations among them, which were not.
        edits: in the order of ``EDITS``.
    """

    dial: str
    value: float
    rule: str
    prompts: int
    skipped: int
    edits: list[Flip]


def _first_letter(text: str, chance: np.random.Generator) -> str:
    return text[:1].swapcase() + text[1:]


def _typo(text: str, chance: np.random.Generator) -> str:
    """Two neighbouring letters that differ, drawn at random, swapped."""
    pairs = [
        at
        for at in range(len(text) - 1)
        if text[at].isalpha() and text[at + 1].isalpha() and text[at] != text[at + 1]
    ]
    if not pairs:
        return text
    at = pairs[int(chance.integers(len(pairs)))]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


EDITS: dict[str, Callable[[str, np.random.Generator], str]] = {
    "case of the first letter": _first_letter,
    "lower case": lambda text, chance: text.lower(),
    "upper case": lambda text, chance: text.upper(),
    "doubled spaces": lambda text, chance: text.replace(" ", "  "),
    "newline at the end": lambda text, chance: f"{text}\n",
    "polite prefix": lambda text, chance: f"Please answer: {text}",
    "typo": _typo,
}


def flips(
    router: Router,
    requests: Sequence[Request],
    *,
    quality: float | None = None,
    budget: float | None = None,
    seed: int = 0,
) -> Flips:
    """Edit every request that is a string, in each way by itself, and count the tiers that change.

    Args:
        quality: the dial, as of ``Router.route``; with neither, the artifact's own.
        budget: the same.
        seed: of the typos.

    Raises:
        DataError: no request is a string.
        DialError: both dials, or one outside (0, 1].
    """
    texts = [request for request in requests if isinstance(request, str)]
    if not texts:
        raise DataError("no request is a plain string, and conversations are not edited; give some prompts")
    before = router.route_batch(texts, quality=quality, budget=budget)
    point, tiers = router.policy.point(quality, budget), len(router.ladder)
    edits = []
    for name, edit in EDITS.items():
        chance = np.random.default_rng(seed)
        edited = [edit(text, chance) for text in texts]
        rows = np.flatnonzero([new != old for new, old in zip(edited, texts, strict=True)])
        after = router.route_batch([edited[row] for row in rows], quality=quality, budget=budget)
        edits.append(_flip(name, before.tier[rows], after.tier, tiers))
    return Flips(point.dial, point.value, point.rule, len(texts), len(requests) - len(texts), edits)


def _flip(edit: str, before: NDArray[np.int64], after: NDArray[np.int64], tiers: int) -> Flip:
    if not before.size:
        return Flip(edit, 0, float("nan"), float("nan"), float("nan"))
    shares = np.bincount(before, minlength=tiers) / before.size  # [K]
    rate, distance = float(np.mean(before != after)), float(1 - np.sum(shares**2))
    return Flip(edit, before.size, rate, distance, rate / distance if distance > 0 else float("nan"))
