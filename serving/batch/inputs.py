"""The files that a command line names: paths, globs, folders, and URIs that ``pyarrow.fs`` opens."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pyarrow
from pyarrow import fs

from router_model.errors import ConfigError, FileError, one_line

STANDARD = "-"
WILD = "*?["
ENDINGS = (".gz", ".zst", ".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")


@dataclass(frozen=True)
class Source:
    """One file to label.

    Attributes:
        path: a local path or a URI; "-" for standard input.
        name: what its labels are called in a folder: the path below the named folder, without its ending.
        size: bytes.
        modified: when it was last written, as its store tells it.
    """

    path: str
    name: str
    size: int = 0
    modified: str = ""

    @property
    def keys(self) -> dict[str, str]:
        """What folders of the form ``key=value`` say of all its rows."""
        return dict(folder.split("=", 1) for folder in PurePosixPath(self.name).parts[:-1] if "=" in folder)


def sources(inputs: Sequence[str | Path]) -> list[Source]:
    """The files that ``inputs`` name, each once, those of a folder or a glob in the order of their names.

    In folders, what begins with a dot or an underscore is passed over, as Spark and Arrow do.

    Raises:
        FileError: an input is missing, or names no file.
        ConfigError: two files would have labels of one name.
    """
    found: dict[str, Source] = {}
    names: dict[str, str] = {}
    for given in map(str, inputs):
        some = False
        for source in _sources(given):
            some = True
            bare = _bare(source.name)
            name = bare if names.get(bare, source.path) == source.path else source.name
            if names.setdefault(name, source.path) != source.path:
                raise ConfigError(
                    f"{names[name]} and {source.path}: their labels would have one name; "
                    "give a folder that holds both"
                )
            found.setdefault(source.path, replace(source, name=name))
        if not some:
            raise FileError(f"{given}: no file there to label; give a file, a folder or a pattern")
    return list(found.values())


def _sources(given: str) -> Iterator[Source]:
    if given == STANDARD:
        yield Source(STANDARD, "standard input")
    elif "://" in given:
        yield from _remote(given)
    elif os.path.isdir(given):
        yield from _below(given, _walked(given))
    elif not os.path.exists(given) and any(sign in given for sign in WILD):
        base = _base(given)
        matched = sorted(glob.glob(given, recursive=True))
        yield from _below(base, (path for path in matched if os.path.isfile(path)))
    else:
        yield _local(given, os.path.basename(given))


def _walked(folder: str) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield from (os.path.join(here, name) for name in sorted(files) if not _hidden(name))


def _below(base: str, paths: Iterator[str]) -> Iterator[Source]:
    for path in paths:
        yield _local(path, os.path.relpath(path, base or "."))


def _local(path: str, name: str) -> Source:
    try:
        seen = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError of a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path}: {reason}; give a file that can be read") from None
    return Source(path, name, seen.st_size, str(seen.st_mtime_ns))


def _remote(uri: str) -> Iterator[Source]:
    base = _base(uri)
    try:
        system, path = fs.FileSystem.from_uri(base or uri)
        info = system.get_file_info(path)
        if info.type == fs.FileType.Directory:
            infos = system.get_file_info(fs.FileSelector(path, recursive=True))
        else:
            infos = [info]
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise FileError(f"{uri}: {one_line(error)}; give a URI that pyarrow.fs opens") from None
    before, _, after = (base or uri).partition(path)
    pattern = f"{path.rstrip('/')}/{uri[len(base) :]}" if base else ""
    for info in sorted(infos, key=lambda info: info.path):
        below = (
            PurePosixPath(info.path).relative_to(path) if info.path != path else PurePosixPath(info.base_name)
        )
        if info.type != fs.FileType.File or any(map(_hidden, below.parts)):
            continue
        if not pattern or _matches(info.path, pattern):
            yield Source(before + info.path + after, _bare(str(below)), info.size, str(info.mtime_ns))


def _base(pattern: str) -> str:
    """The folder that all files of a pattern are below; empty where it has no wild card."""
    if not any(sign in pattern for sign in WILD):
        return ""
    fixed = pattern[: min(pattern.index(sign) for sign in WILD if sign in pattern)]
    return fixed[: fixed.rfind("/") + 1]


def _matches(path: str, pattern: str) -> bool:
    """Folder by folder: a wild card does not reach over a slash."""
    ours, theirs = path.split("/"), pattern.split("/")
    return len(ours) == len(theirs) and all(map(fnmatch, ours, theirs))


def _hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _bare(name: str) -> str:
    """Without endings that tell of the form."""
    bare = name
    while ending := next((ending for ending in ENDINGS if bare.endswith(ending)), ""):
        bare = bare[: -len(ending)]
    return bare if PurePosixPath(bare).name not in ("", ".") else name
