"""A record without its text: hashes where names and the prompt stood, and the numbers that are known of it.

Keyed (HMAC-SHA-256, RFC 2104), since prompts and names can be guessed: without the key a hash tells nothing
but which rows are equal. Token ids are not kept, because they turn back into words.
"""

import hmac
import os
import secrets
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from router_model.data.privacy.rewriting import REPORTED, RowsDone, encode, lines_to
from router_model.data.readers import Reading, read_records
from router_model.data.records import Record, to_row
from router_model.errors import ConfigError, FileError
from router_model.features import FEATURES_VERSION, featurize
from router_model.files import read_file, replacing

HASH_KEY = "ROUTER_MODEL_HASH_KEY"
KEY_BYTES, LEAST_KEY_BYTES, MOST_KEY_BYTES = 32, 16, 4096
NAMES = ("id", "session", "group", "tenant")
KEPT = (
    *("best_tier", "outcomes", "model", "propensity", "model_a", "model_b", "winner", "cost_usd"),
    *("input_tokens", "output_tokens", "latency_ms", "timestamp", "task"),
)
THUMBS = ("up", "down")


def read_hash_key(path: Path | None, make: bool = False) -> bytes:
    """The file's key, the file made at need where ``make`` says so; or else ``ROUTER_MODEL_HASH_KEY``.

    Raises:
        ConfigError: neither is given, or the key is shorter than 16 bytes.
        FileError: the file cannot be read or made.
    """
    if path is None:
        key = os.environ.get(HASH_KEY, "").strip().encode()
        if not key:
            raise ConfigError(f"no key to hash with: set {HASH_KEY}, or name a file with --key-file")
    else:
        if make and not path.exists():
            _make_key(path)
        key = read_file(path, MOST_KEY_BYTES).strip()
    if len(key) < LEAST_KEY_BYTES:
        place = HASH_KEY if path is None else path
        raise ConfigError(f"{place}: a key of {len(key)} bytes; give at least {LEAST_KEY_BYTES}, at random")
    return key


def hashed_name(key: bytes, field: str, name: str) -> str:
    """64 hexadecimal digits for a name in a field; the same name in another field has others."""
    return hmac.digest(key, f"{field}\0{name}".encode("utf-8", "surrogatepass"), "sha256").hex()


def hashed_prompt(key: bytes, text: str) -> str:
    """The same for prompts that differ only in case, white space or Unicode form (NFKC)."""
    normalised = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashed_name(key, "prompt", normalised)


def hash_record(record: Record, key: bytes) -> dict[str, Any]:
    """The row of a record without its text: see docs/privacy.md for its fields."""
    row, prompt = to_row(record), record.prompt
    hashed = {field: hashed_name(key, field, row[field]) for field in NAMES if field in row}
    known = {
        "prompt_hash": hashed_prompt(key, prompt.text),
        "features_version": FEATURES_VERSION,
        "features": list(featurize(prompt)),
        "characters": prompt.characters,
    }
    kept = {field: row[field] for field in KEPT if field in row}
    feedback = _without_text(record.feedback)
    return {**hashed, **known, **kept, **({"feedback": feedback} if feedback else {})}


def hash_records(
    source: Path, target: Path, key: bytes, reading: Reading | None = None, rows_done: RowsDone | None = None
) -> None:
    """Write the records of ``source`` to ``target`` without their text, as JSON Lines, gzip by its name.

    Raises:
        FileError, RecordError, MissingExtraError: as ``read_records``, or the target cannot be written.
    """
    with replacing(target) as temporary, lines_to(temporary, packed=target.suffix == ".gz") as out:
        for number, record in enumerate(read_records(source, reading), 1):
            out.write(encode(hash_record(record, key)))
            if rows_done and number % REPORTED == 0:
                rows_done(number)


def _without_text(feedback: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and truth values; a thumb; of an error's text, that there was one."""
    kept = {name: value for name, value in feedback.items() if isinstance(value, bool | int | float)}
    if feedback.get("thumb") in THUMBS:
        kept["thumb"] = feedback["thumb"]
    if feedback.get("error"):
        kept["error"] = True
    return kept


def _make_key(path: Path) -> None:
    """A new key that only its owner may read."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}; give a place that can be written") from None
