"""Secrets in a record, each replaced by the name of its kind: ``<EMAIL>``, ``<CARD>``, ``<PASSWORD>``."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from router_model.data.privacy.assigned import find_assigned_keys, find_assigned_passwords
from router_model.data.privacy.credentials import find_keys, find_passwords_in_urls, find_private_keys
from router_model.data.privacy.mail import find_addresses
from router_model.data.privacy.payment import find_cards, find_ibans
from router_model.data.privacy.phones import find_phones
from router_model.data.privacy.rewriting import Rewritten, Row, RowsDone, rewrite
from router_model.errors import RecordError
from router_model.jsonl import Refuse, stop, unique_members

Found = Counter[str]
Find = Callable[[str], Iterator[tuple[int, int]]]

# In this order: what an earlier kind has taken, a later one does not see.
KINDS: tuple[tuple[str, Find], ...] = (
    ("PRIVATE_KEY", find_private_keys),
    ("PASSWORD", find_passwords_in_urls),
    ("KEY", find_keys),
    ("PASSWORD", find_assigned_passwords),
    ("KEY", find_assigned_keys),
    ("EMAIL", find_addresses),
    ("IBAN", find_ibans),
    ("CARD", find_cards),
    ("PHONE", find_phones),
)
# Labels and figures, which hold no text of a person. Fields that no record has are searched as the texts are.
FIGURES = frozenset(
    {
        "best_tier", "outcomes", "model", "outcome", "propensity", "model_a", "model_b", "winner", "cost_usd",
        "input_tokens", "output_tokens", "latency_ms", "timestamp",
    }
)  # fmt: skip
NAMES = frozenset({"id", "session", "group", "tenant"})
JSON_TEXT = frozenset({"messages", "feedback", "meta", "arguments"})  # may hold JSON as text
LONGEST_NAME = 64
NUMBERS = range(10**6, 10**20)  # others are neither telephones nor cards
DEEPEST = 64  # levels of a nested value


def redact(row: Mapping[str, Any], found: Found | None = None) -> dict[str, Any]:
    """A record's row without secrets; ``found`` counts what was replaced, by kind.

    Every text within the row is searched, but for labels and figures, which stay as they are, and the names
    that the row goes by (id, session, group, tenant) where they are plain numbers.

    Raises:
        RecordError: a value is nested deeper than 64 levels.
    """
    found = Counter() if found is None else found
    redacted = dict(row)
    for field in row.keys() - FIGURES:
        value = row[field]
        if field not in NAMES:
            redacted[field] = _value(value, found, DEEPEST, field)
        elif isinstance(value, str) and not value.isdecimal():
            redacted[field] = redact_text(value, found)
    return redacted


def redact_text(text: str, found: Found | None = None) -> str:
    """A text without secrets, in time that grows with its length and no faster."""
    for kind, find in KINDS:
        spans = _joined(find(text))
        if found is not None and spans:
            found[kind] += len(spans)
        if spans:
            ends = [0, *(stop for _, stop in spans)]
            kept = [text[end:start] for end, (start, _) in zip(ends, spans, strict=False)]
            text = f"<{kind}>".join([*kept, text[ends[-1] :]])
    return text


def redact_records(
    source: Path, target: Path, *, refuse: Refuse = stop, rows_done: RowsDone | None = None
) -> tuple[Rewritten, Found]:
    """Write ``source`` to ``target`` redacted, and count what was replaced; raises as ``rewrite``."""
    found: Found = Counter()

    def edit(row: Row) -> Row:
        return redact(row, found)

    return rewrite(source, target, edit, refuse=refuse, rows_done=rows_done), found


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same places in order, those that overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _value(value: Any, found: Found, depth: int, name: str = "") -> Any:
    """A nested value without secrets; a member's name tells of its value, as in ``{"password": "..."}``."""
    if isinstance(value, str):
        return _json_text(value, found, depth) if name in JSON_TEXT else _named(value, name, found)
    if isinstance(value, int) and not isinstance(value, bool) and value in NUMBERS:
        text = _named(str(value), name, found)
        return value if text == str(value) else text
    if not isinstance(value, Mapping | list | tuple):
        return value
    if depth == 0:
        raise RecordError(f"a value is nested deeper than {DEEPEST} levels; flatten it or leave it out")
    if isinstance(value, Mapping):
        return {
            redact_text(str(key), found): _value(member, found, depth - 1, str(key))
            for key, member in value.items()
        }
    return [_value(member, found, depth - 1, name) for member in value]


def _named(text: str, name: str, found: Found) -> str:
    prefix = f"{name[-LONGEST_NAME:]}: " if name else ""
    counted: Found = Counter()
    redacted = redact_text(prefix + text, counted)
    if not redacted.startswith(prefix):  # a secret began in the name
        counted.clear()
        prefix, redacted = "", redact_text(text, counted)
    found.update(counted)
    return redacted.removeprefix(prefix)


def _json_text(text: str, found: Found, depth: int) -> str:
    """JSON as text, such as a tool call's arguments: its texts are told apart and their escapes undone."""
    try:
        value = json.loads(text, object_pairs_hook=unique_members)
        redacted = _value(value, found, depth)
    except (ValueError, RecursionError):
        return redact_text(text, found)
    return text if redacted == value else json.dumps(redacted, ensure_ascii=False)
