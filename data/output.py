"""Record sets as files, written under a temporary name and put in place when whole."""

import fcntl
import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from router_model.data.convert import json_lines_of
from router_model.errors import ConfigError, FileError

GROUP_BYTES = 32 << 20  # of a Parquet row group, before it is packed
# Columns of few values. To look for repeated ones among prompts would take as long as to pack them.
FEW = (
    "best_tier", "model", "model_a", "model_b", "winner", "tenant", "task", "outcomes.key_value.key",
    "cost_usd.key_value.key", "output_tokens.key_value.key", "latency_ms.key_value.key",
    "answer.key_value.key",
)  # fmt: skip
ENDINGS = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst")


def encoder(path: str | Path) -> Callable[..., Any]:
    """What turns records to the form of ``path``, which its name tells.

    Raises:
        ConfigError: the name has none of the endings.
        MissingExtraError: the form needs pyarrow and it is not installed.
    """
    name = str(path)
    if not name.endswith(ENDINGS):
        raise ConfigError(f"--out {name}: give a name that ends in {', '.join(ENDINGS)}")
    if not name.endswith(".parquet"):
        return json_lines_of
    from router_model.data.columns import columns

    return columns


@contextmanager
def writer(path: str | Path) -> Iterator[Callable[[Any], None]]:
    """What takes encoded records for ``path``, which appears when the block ends well.

    Raises:
        FileError: the place cannot be written, or another process is writing it.
    """
    with (
        _partial(Path(path)) as temporary,
        _parquet(temporary) if str(path).endswith(".parquet") else _packed(temporary, str(path)) as write,
    ):
        yield write


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A file that takes the place of ``path``; always of one name: a killed run's is written over."""
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: a folder or a device, which no file can replace; give a file's path")
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FileError(f"{path}: another process is writing it; wait or give another name") from None
            try:
                lock.truncate(0)
                yield temporary
                os.fsync(lock.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}; give a place that can be written") from None


@contextmanager
def _packed(temporary: Path, name: str) -> Iterator[Callable[[bytes], Any]]:
    with temporary.open("wb") as file:
        if name.endswith(".gz"):
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:
                yield stream.write
        elif name.endswith(".zst"):
            import pyarrow

            with pyarrow.CompressedOutputStream(file, "zstd") as stream:
                yield stream.write
        else:
            yield file.write


@contextmanager
def _parquet(temporary: Path) -> Iterator[Callable[[Any], None]]:
    import pyarrow
    import pyarrow.parquet as parquet

    from router_model.data.columns import SCHEMA

    batches: list[Any] = []

    def flush() -> None:
        if batches:
            file.write_table(pyarrow.Table.from_batches(batches))
            batches.clear()

    def write(batch: Any) -> None:
        batches.append(batch)
        if sum(held.nbytes for held in batches) >= GROUP_BYTES:
            flush()

    with parquet.ParquetWriter(
        temporary, SCHEMA, compression="zstd", compression_level=1, use_dictionary=list(FEW)
    ) as file:
        yield write
        flush()
