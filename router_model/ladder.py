"""Tiers, cheapest first, and the file they are read from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from router_model.errors import LadderError, one_line
from router_model.files import read_file
from router_model.settings import parse_settings

MAX_LADDER_BYTES = 1 << 20
MAX_TIERS = 16
MAX_USD_PER_MILLION = 1e9
TIER_KEYS = {"name", "model", "models", "input_usd_per_million", "output_usd_per_million"}


@dataclass(frozen=True, slots=True)
class Tier:
    """One rung: a price and the models that are sold at it.

    Attributes:
        name: what users call the tier; unique in its ladder.
        models: at least one; a record counts the first of them that it has an outcome for.
        input_usd_per_million: US dollars per million input tokens, at least 0.
        output_usd_per_million: US dollars per million output tokens, at least 0.
    """

    name: str
    models: tuple[str, ...]
    input_usd_per_million: float
    output_usd_per_million: float

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable() or len(self.name) > 64:
            raise LadderError(f"tier name {self.name!r:.80}: give a printable name of 1 to 64 characters")
        if not self.models or not all(isinstance(m, str) and m and m.isprintable() for m in self.models):
            raise LadderError(f"tier {self.name!r}: give 'model', or 'models' as a list of at least one name")
        for field in ("input_usd_per_million", "output_usd_per_million"):
            price = getattr(self, field)
            number = isinstance(price, int | float) and not isinstance(price, bool)
            if not number or not 0 <= price <= MAX_USD_PER_MILLION:
                raise LadderError(f"tier {self.name!r}: {field} is {price!r:.40}; give US dollars, 0 to 1e9")

    def cost_usd(self, input_tokens: float, output_tokens: float) -> float:
        """US dollars for one call of so many tokens."""
        return (
            input_tokens * self.input_usd_per_million + output_tokens * self.output_usd_per_million
        ) * 1e-6


@dataclass(frozen=True, slots=True)
class Ladder:
    """2 to 16 tiers, cheapest first.

    Raises:
        LadderError: too few or many tiers, a name or model that stands twice, or prices that fall.
    """

    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.tiers) <= MAX_TIERS:
            raise LadderError(f"a ladder has {len(self.tiers)} tiers; give 2 to {MAX_TIERS}")
        _refuse_repeats("tier", self.names)
        _refuse_repeats("model", [model for tier in self.tiers for model in tier.models])
        for cheap, dear in pairwise(self.tiers):
            if dear.cost_usd(1, 1) < cheap.cost_usd(1, 1):
                raise LadderError(
                    f"tier {dear.name!r} is cheaper than {cheap.name!r} before it; list the cheapest first"
                )
        if self.tiers[-1].cost_usd(1, 1) == 0:
            raise LadderError(f"tier {self.tiers[-1].name!r}: the strongest tier needs a price above 0")

    def __len__(self) -> int:
        return len(self.tiers)

    @property
    def names(self) -> tuple[str, ...]:
        """The tiers' names, cheapest first."""
        return tuple(tier.name for tier in self.tiers)

    def index(self, name: str) -> int:
        """Position of the tier called ``name``; raises LadderError where there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            raise LadderError(f"no tier {name!r}; the ladder has {', '.join(self.names)}") from None

    def index_of_model(self, model: str) -> int | None:
        """Position of the tier that holds ``model``, or None."""
        return next((k for k, tier in enumerate(self.tiers) if model in tier.models), None)

    @classmethod
    def from_dict(cls, value: Any) -> "Ladder":
        """Build from ``{"tiers": [{"name", "model" or "models", "input_usd_per_million", ...}]}``."""
        tiers = value.get("tiers") if isinstance(value, Mapping) else None
        if not isinstance(tiers, Sequence) or isinstance(tiers, str):
            raise LadderError("a ladder is an object with a list 'tiers'")
        return cls(tuple(_tier(entry) for entry in tiers))

    def to_dict(self) -> dict[str, Any]:
        """The inverse of ``from_dict``."""
        return {
            "tiers": [
                {
                    "name": tier.name,
                    "models": list(tier.models),
                    "input_usd_per_million": tier.input_usd_per_million,
                    "output_usd_per_million": tier.output_usd_per_million,
                }
                for tier in self.tiers
            ]
        }

    @classmethod
    def read(cls, path: str | Path) -> "Ladder":
        """Read a YAML or JSON file of at most 1 MiB.

        Raises:
            FileError: the file is missing or too large.
            LadderError: it is malformed, or holds no ladder.
            MissingExtraError: the file is YAML and PyYAML is not installed.
        """
        path = Path(path)
        raw = read_file(path, MAX_LADDER_BYTES)
        try:
            return cls.from_dict(parse_settings(raw.decode("utf-8-sig"), path.suffix.lower(), "ladder"))
        except (ValueError, RecursionError) as error:
            raise LadderError(f"{path}: not readable as a ladder: {one_line(error)}; mend the file") from None
        except LadderError as error:
            raise LadderError(f"{path}: {error}") from None


def _tier(entry: Any) -> Tier:
    if not isinstance(entry, Mapping):
        raise LadderError(f"tier {entry!r:.80}: give an object with a name, models and prices")
    unknown = sorted(str(key) for key in set(entry) - TIER_KEYS)
    if unknown:
        raise LadderError(
            f"tier {entry.get('name')!r}: unknown key {unknown[0]!r}; known: {', '.join(sorted(TIER_KEYS))}"
        )
    missing = sorted({"name", "input_usd_per_million", "output_usd_per_million"} - set(entry))
    if missing:
        raise LadderError(f"tier {entry.get('name')!r}: {missing[0]} is missing")
    models = entry.get("models", entry.get("model"))
    models = [models] if isinstance(models, str) else models
    if not isinstance(models, list):
        raise LadderError(f"tier {entry['name']!r}: give 'model', or 'models' as a list")
    return Tier(
        name=str(entry["name"]),
        models=tuple(models),
        input_usd_per_million=entry["input_usd_per_million"],
        output_usd_per_million=entry["output_usd_per_million"],
    )


def _refuse_repeats(kind: str, names: Sequence[str]) -> None:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise LadderError(f"{kind} {repeated[0]!r} stands twice in the ladder; name each once")
