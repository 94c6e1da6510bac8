"""Rules that make an outcome of how an answer was taken: a thumb, a retry, an error, a following "no"."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from router_model.complaint import PHRASES
from router_model.data.conditions import CONDITIONS, NUMBERS, Test, condition, is_number, number_range, within
from router_model.data.records import Record
from router_model.errors import RulesError, one_line
from router_model.files import read_file
from router_model.settings import parse_settings

MAX_RULES_BYTES = 1 << 20
MAX_RULES = 256
MAX_NAME_CHARACTERS = 200

RULE_KEYS = ("name", "when", "outcome", "scale")

DEFAULT_RULES: Mapping[str, Any] = {
    "rules": [
        {"when": {"error": True}, "outcome": 0},
        {"when": {"thumb": "down"}, "outcome": 0},
        {"when": {"thumb": "up"}, "outcome": 1},
        {"scale": {"stars": [1, 5]}},
        {"when": {"tool_success": False}, "outcome": 0},
        {"when": {"finish_reason": "content_filter"}, "outcome": 0},
        {
            "name": "the user says no",
            "when": {"next_user": list(PHRASES)},
            "outcome": 0,
        },
        {"when": {"regenerated": True}, "outcome": 0},
        {"when": {"tool_success": True}, "outcome": 1},
        {"when": {"copied": True}, "outcome": 1},
    ]
}


@dataclass(frozen=True)
class Rule:
    """One rule: an outcome where every condition holds, or a logged number put on [0, 1].

    Attributes:
        name: what counts call it.
        when: a test of the logged value by feedback name; all must hold.
        outcome: in [0, 1]; None ends the search and leaves the outcome unknown.
        scale: (feedback name, low, high): outcome (value - low) / (high - low) instead of ``outcome``.
    """

    name: str
    when: Mapping[str, Test]
    outcome: float | None = None
    scale: tuple[str, float, float] | None = None

    def matches(self, feedback: Mapping[str, Any]) -> bool:
        """Whether the rule decides on this feedback; a value that was not logged matches nothing."""
        if self.scale and not within(*self.scale[1:])(feedback.get(self.scale[0])):
            return False
        return all(
            feedback.get(name) is not None and holds(feedback[name]) for name, holds in self.when.items()
        )

    def decide(self, feedback: Mapping[str, Any]) -> float | None:
        """The outcome of feedback that the rule matches."""
        if self.scale is None:
            return self.outcome
        name, low, high = self.scale
        return float((feedback[name] - low) / (high - low))


@dataclass(frozen=True)
class Rules:
    """Rules in order: the first that matches decides."""

    rules: tuple[Rule, ...]

    def first(self, feedback: Mapping[str, Any]) -> Rule | None:
        """The rule that decides, or None."""
        return next((rule for rule in self.rules if rule.matches(feedback)), None)

    @classmethod
    def default(cls) -> "Rules":
        """``DEFAULT_RULES``."""
        return cls.from_dict(DEFAULT_RULES)

    @classmethod
    def from_dict(cls, value: Any) -> "Rules":
        """Build from ``{"rules": [{"when": {...}, "outcome": 0}, {"scale": {"stars": [1, 5]}}]}``.

        Raises:
            RulesError: a key, condition or value is not one of those that ``docs/outcomes.md`` lists.
        """
        entries = value.get("rules") if isinstance(value, Mapping) else None
        if not isinstance(entries, list) or not 0 < len(entries) <= MAX_RULES:
            raise RulesError(f"give an object with a list 'rules' of 1 to {MAX_RULES} rules")
        _refuse_unknown(value, ("rules",), "beside 'rules'")
        rules = tuple(_rule(entry, f"rule {number}") for number, entry in enumerate(entries, 1))
        repeated = [name for name, count in Counter(rule.name for rule in rules).items() if count > 1]
        if repeated:
            raise RulesError(f"rule {repeated[0]!r} stands twice; name each once")
        return cls(rules)

    @classmethod
    def read(cls, path: str | Path) -> "Rules":
        """Read a YAML or JSON file of at most 1 MiB.

        Raises:
            FileError: the file is missing or too large.
            RulesError: it is malformed, or holds what is no rule; the message names rule and key.
            MissingExtraError: the file is YAML and PyYAML is not installed.
        """
        path = Path(path)
        raw = read_file(path, MAX_RULES_BYTES)
        try:
            return cls.from_dict(parse_settings(raw.decode("utf-8-sig"), path.suffix.lower(), "rules"))
        except (ValueError, RecursionError) as error:
            raise RulesError(f"{path}: not readable as rules: {one_line(error)}; mend the file") from None
        except RulesError as error:
            raise RulesError(f"{path}: {error}") from None


@dataclass
class Decided:
    """What ``outcomes`` did, counted as it goes.

    Attributes:
        rows: records so far.
        by_rule: outcomes that each rule gave, by its name.
        known: records that had an outcome of their model already; it was left as it is.
        no_model: records that do not say which one model answered.
        unknown: records whose outcome no rule gave.
    """

    rows: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)
    known: int = 0
    no_model: int = 0
    unknown: int = 0


def outcomes(records: Iterable[Record], rules: Rules, decided: Decided | None = None) -> Iterator[Record]:
    """The records, each with the outcome that the first matching rule gives its one logged model.

    An outcome that is there is never overwritten; a record that no rule decides on passes unchanged.
    """
    decided = decided or Decided()
    for record in records:
        decided.rows += 1
        if record.model is None:
            decided.no_model += 1
        elif record.model in record.outcomes:
            decided.known += 1
        else:
            rule = rules.first(record.feedback)
            outcome = rule.decide(record.feedback) if rule else None
            if rule is None or outcome is None:
                decided.unknown += 1
            else:
                decided.by_rule[rule.name] = decided.by_rule.get(rule.name, 0) + 1
                record = replace(record, outcomes={**record.outcomes, record.model: outcome})
        yield record


def _rule(entry: Any, where: str) -> Rule:
    if not isinstance(entry, Mapping):
        raise RulesError(f"{where} is {type(entry).__name__}; give an object with 'when' and 'outcome'")
    _refuse_unknown(entry, RULE_KEYS, where)
    if ("outcome" in entry) == ("scale" in entry):
        raise RulesError(f"{where}: give 'outcome' or 'scale', one of them")
    when, outcome = entry.get("when", {}), entry.get("outcome")
    if not isinstance(when, Mapping) or not (when or "scale" in entry):
        raise RulesError(f"{where}: 'when' is {when!r:.80}; give an object of at least one condition")
    _refuse_unknown(when, CONDITIONS, f"{where}, 'when'")
    if outcome is not None and not (is_number(outcome) and 0 <= outcome <= 1):
        raise RulesError(
            f"{where}: 'outcome' is {outcome!r:.80}; give a number in [0, 1], or null for unknown"
        )
    tests = {name: condition(name, wanted, f"{where}, {name!r}") for name, wanted in when.items()}
    scale = _scale(entry["scale"], where) if "scale" in entry else None
    name = entry.get("name", _describe(entry))
    if not isinstance(name, str) or not name or not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
        raise RulesError(f"{where}: 'name' is {name!r:.80}; give a printable name of 1 to 200 characters")
    return Rule(name, tests, None if outcome is None else float(outcome), scale)


def _scale(value: Any, where: str) -> tuple[str, float, float]:
    if not isinstance(value, Mapping) or len(value) != 1 or not {*value} <= {*NUMBERS}:
        raise RulesError(
            f"{where}: 'scale' is {value!r:.80}; give one of {', '.join(NUMBERS)} with its range"
        )
    ((name, limits),) = value.items()
    low, high = number_range(limits, f"{where}, 'scale'")
    if low == high:
        raise RulesError(f"{where}, 'scale': the range has one value; give the lowest and the highest")
    return name, low, high


def _describe(entry: Mapping[str, Any]) -> str:
    """A rule's name where it has none: its conditions, such as "copied: true, edited: false"."""
    parts = {**entry.get("when", {}), **({"scale": entry["scale"]} if "scale" in entry else {})}
    shown = ", ".join(f"{name}: {_shown(value)}" for name, value in parts.items())
    return shown if len(shown) <= MAX_NAME_CHARACTERS else shown[: MAX_NAME_CHARACTERS - 3] + "..."


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    if isinstance(value, list):
        return f"{_shown(value[0])} ..." if len(value) > 2 else " to ".join(map(_shown, value))
    return str(value).lower()


def _refuse_unknown(value: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(str(key) for key in value if key not in known)
    if unknown:
        raise RulesError(f"{where}: unknown key {unknown[0]!r:.80}; known: {', '.join(known)}")
