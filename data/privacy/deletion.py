"""Deletion of a tenant's or a session's rows from a record set."""

from collections.abc import Collection
from pathlib import Path

from router_model.data.privacy.hashing import hashed_name
from router_model.data.privacy.rewriting import Rewritten, Row, RowsDone, rewrite
from router_model.errors import ConfigError


def forget(
    source: Path,
    target: Path,
    *,
    tenants: Collection[str] = (),
    sessions: Collection[str] = (),
    hash_key: bytes | None = None,
    rows_done: RowsDone | None = None,
) -> Rewritten:
    """Write ``source`` to ``target`` without the rows of these tenants and sessions; the two may be one file.

    With the key that a set was hashed with, the hashes of the names count as the names. A bad row stops the
    work, since nobody knows whose it is.

    Raises:
        ConfigError: neither a tenant nor a session is given.
        FileError, RecordError, MissingExtraError: as ``rewrite``.
    """
    if not tenants and not sessions:
        raise ConfigError("whose rows to forget? give --tenant or --session")
    named = {"tenant": set(tenants), "session": set(sessions)}
    if hash_key is not None:
        for field, names in named.items():
            names |= {hashed_name(hash_key, field, name) for name in names}

    def keep(row: Row) -> Row | None:
        gone = any(row.get(field) is not None and str(row[field]) in names for field, names in named.items())
        return None if gone else row

    return rewrite(source, target, keep, rows_done=rows_done)
