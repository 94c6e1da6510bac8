"""What an artifact promises of one operating point, on what evidence, and what its traffic was like.

The promise: of prompts like those that it was certified on, the point's mean outcome is below the strongest
tier's by more than ``max_loss`` with a probability of 1 - ``confidence`` at most, over the draw of the rows.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router_model.policy.curve import OperatingPoint

TESTS = ("hedged-bet", "hoeffding-bentkus", "clopper-pearson")
STATISTICS = ("outcome", "shortfall", "strongest", "length")
HEXADECIMAL = re.compile(r"[0-9a-f]{64}")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
NOTE = re.compile(r"[ -~]{1,1000}")
MAX_ROWS = 10**12


@dataclass(frozen=True, slots=True)
class Claim:
    """What was found of one statistic of the certified traffic (monitor.py says which there are).

    Attributes:
        statistic: its name.
        low, high: the interval that its mean lies in, in [0, 1].
        deviation: its standard deviation, in [0, 1].
    """

    statistic: str
    low: float
    high: float
    deviation: float

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise ValueError(f"a claim of {self.statistic!r:.40}, which is no statistic")
        if not 0 <= self.low <= self.high <= 1 or not 0 <= self.deviation <= 1:
            raise ValueError(f"a claim of {self.statistic} that is no interval within 0 and 1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certified operating point.

    Attributes:
        point: dial "certified", its value ``max_loss``; shares, quality and cost as on the certified rows.
        max_loss: how far the mean outcome may be below the strongest tier's; in (0, 1).
        relative: whether ``max_loss`` is a share of the strongest tier's mean outcome, as in
            ``quality=0.98``, and not a difference of mean outcomes.
        confidence: that it is not, in (0.5, 1).
        loss: the mean found, as ``max_loss`` counts it.
        test: that showed it (training/bounds.py).
        data: fingerprint of the rows, in hexadecimal.
        rows: that told how every tier did.
        groups: of near-duplicates among them, each of which counts once.
        leaks: whether training saw the rows, in words.
        date: of the certification, as YYYY-MM-DD.
        claims: what a monitor holds traffic against.
        claims_error: probability that any of their intervals misses.
        lengths: logarithms to base 2 of the characters that count as length 0 and 1 there.
    """

    point: OperatingPoint
    max_loss: float
    relative: bool
    confidence: float
    loss: float
    test: str
    data: str
    rows: int
    groups: int
    leaks: str
    date: str
    claims: tuple[Claim, ...]
    claims_error: float
    lengths: tuple[int, int]

    def __post_init__(self) -> None:
        numbers = {"max_loss": (0, 1), "confidence": (0.5, 1), "claims_error": (0, 0.5), "loss": (-1, 1)}
        for name, (low, high) in numbers.items():
            if not low < _number(getattr(self, name), name) < high:
                raise ValueError(f"{name} is {getattr(self, name)}, not between {low} and {high}")
        counts = self.rows.__class__ is self.groups.__class__ is int
        names = [claim.statistic for claim in self.claims]
        for sound, what in (
            (self.relative.__class__ is bool, "a loss that is neither relative nor absolute"),
            (self.test in TESTS, f"a certificate by {self.test!r:.40}"),
            (
                (self.point.dial, self.point.value) == ("certified", self.max_loss),
                "another point's certificate",
            ),
            (
                counts and 0 < self.groups <= self.rows <= MAX_ROWS,
                f"{self.groups!r:.40} groups of {self.rows!r:.40}",
            ),
            (_matches(HEXADECIMAL, self.data), "a fingerprint that is none"),
            (_matches(DATE, self.date), f"a date that is not YYYY-MM-DD: {self.date!r:.40}"),
            (_matches(NOTE, self.leaks), "a note that is too long, or does not print"),
            (_rising(self.lengths), "lengths that are no two rising numbers up to 64"),
            (len(set(names)) == len(names), "two claims of one statistic"),
        ):
            if not sound:
                raise ValueError(what)

    @property
    def message(self) -> str:
        """The promise in one line, for people."""
        most = f"{self.max_loss:g} of mean outcome"
        if self.relative:
            most = f"{self.max_loss:.3g} of the strongest tier's quality"
        return (
            f"loses more than {most} with a probability of at most "
            f"{1 - self.confidence:.3g}, by {self.groups} prompts; certified {self.date}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], point: OperatingPoint) -> "Certificate":
        """The inverse of ``to_dict``, its point read already.

        Raises:
            KeyError, TypeError, ValueError: not such data.
        """
        claims = tuple(
            Claim(
                str(claim["statistic"]),
                *(_number(claim[key], key) for key in ("low", "high", "deviation")),
            )
            for claim in value["claims"]
        )
        return cls(**{**value, "point": point, "claims": claims, "lengths": tuple(value["lengths"])})


def _number(value: Any, name: str) -> float:
    if value.__class__ not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{name} is no number")
    return float(value)


def _rising(lengths: tuple[Any, ...]) -> bool:
    whole = len(lengths) == 2 and all(length.__class__ is int for length in lengths)
    return whole and 0 <= lengths[0] < lengths[1] <= 64


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return value.__class__ is str and pattern.fullmatch(value) is not None
