"""What was spent, in a file that one worker without Redis keeps through a restart."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from router_model.errors import FileError, GatewayConfigError, one_line
from router_model.files import read_file
from router_model.serving.gateway.ledger import Ledger, Place

logger = logging.getLogger(__name__)

MOST_BYTES = 16 << 20


class _Spent(msgspec.Struct, forbid_unknown_fields=True):
    budget: str
    start: float  # of the period, seconds since 1970
    usd: Annotated[float, msgspec.Meta(ge=0, le=1e12)]


def read_spent(path: Path) -> dict[Place, Ledger]:
    """The ledgers of a file of ``write_spent``, their bounds still to be set.

    Raises:
        GatewayConfigError: it cannot be read, or is no such file.
    """
    try:
        rows = msgspec.json.decode(read_file(path, MOST_BYTES), type=list[_Spent])
    except (FileError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayConfigError(
            f"{path}: what was spent cannot be read ({one_line(error)}); remove it to start at nothing"
        ) from None
    return {(row.budget, row.start): Ledger(0.0, elsewhere=row.usd) for row in rows}


def write_spent(path: Path, ledgers: Mapping[Place, Ledger]) -> None:
    """Put there what was spent; a place that cannot be written is logged, and requests go on."""
    rows = [_Spent(name, start, ledger.all_spent) for (name, start), ledger in ledgers.items()]
    temporary = path.with_name(f".{path.name}.partial")
    try:  # without fsync, which would hold up requests: it outlives the process, not the machine
        temporary.write_bytes(msgspec.json.encode(rows))
        temporary.replace(path)
    except OSError as error:
        logger.error("%s: what was spent is not kept: %s", path, error.strerror or error)
