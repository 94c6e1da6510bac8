"""Log files to what training and evaluation work on: labelled, grouped and encoded rows."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.data.groups import group
from router_model.data.labels import Labels, label
from router_model.data.readers import Reading, read_records
from router_model.data.records import Record
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.training.config import TrainConfig
from router_model.training.dataset import Encoded
from router_model.training.encoders.encoder import Encoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """Records as training wants them.

    Attributes:
        records: those that carry a label, or tell who answered.
        labels: what they say of the ladder, N rows.
        groups: int64 [N].
        encoded: what the network reads of them.
        lessons: float64 [N, K] in [0, 1], what the network learns where that is not ``labels.sufficient``.
    """

    records: Sequence[Record]
    labels: Labels
    groups: NDArray[np.int64]
    encoded: Encoded
    lessons: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[np.int64]) -> "Prepared":
        """Some of the rows."""
        return Prepared(
            [self.records[row] for row in rows.tolist()],
            self.labels.take(rows),
            self.groups[rows],
            self.encoded.take(rows),
            None if self.lessons is None else self.lessons[rows],
        )


def read_all(paths: Iterable[str | Path], reading: Reading) -> list[Record]:
    """The records of several files."""
    return [record for path in paths for record in read_records(path, reading)]


def prepare(records: Sequence[Record], ladder: Ladder, config: TrainConfig, encoder: Encoder) -> Prepared:
    """Label, group and encode; records that tell this ladder nothing are left out.

    An answer of one of its models that nobody marked stays: it tells how the log chose.

    Raises:
        DataError: no usable record, or a tier that no record tells anything of.
    """
    labels = label(records, ladder, config.bar, config.margin)
    answered = [
        record.model is not None and ladder.index_of_model(record.model) is not None for record in records
    ]
    known = np.flatnonzero(labels.observed.any(axis=1) | np.array(answered))
    if len(known) < len(records):
        logger.warning("%d of %d rows tell nothing of this ladder", len(records) - len(known), len(records))
        records, labels = [records[row] for row in known.tolist()], labels.take(known)
    for k, name in enumerate(ladder.names):
        if not labels.observed[:, k].any():
            models = ", ".join(ladder.tiers[k].models)
            raise DataError(
                f"tier {name!r}: no row has an outcome for its models ({models}); mend their names"
            )
    encoded = encoder.encode([record.prompt for record in records])
    return Prepared(records, labels, group(records), encoded)


def data_fingerprint(records: Sequence[Record]) -> str:
    """SHA-256 of what the records say, in their order."""
    digest = hashlib.sha256()
    for record in records:
        said = (
            record.prompt,
            record.best_tier,
            sorted(record.outcomes.items()),
            record.preference,
            record.group,
        )
        digest.update(repr(said).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()
