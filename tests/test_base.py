"""The base encoder's file: written and read back, and refused where it is none."""

import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router_model.base import Base
from router_model.errors import ArtifactCorruptError, ArtifactError, FileError
from router_model.tokens import load

V, D = 300, 16


@pytest.fixture
def base() -> Base:
    chance = np.random.default_rng(0)
    return Base(
        table=chance.integers(-127, 128, (V, D)).astype(np.int8),
        scale=chance.random(D).astype(np.float32),
        log_weight=chance.standard_normal(V).astype(np.float32),
        tokenizer_json='{"words": "字"}',
        source="a model",
    )


def same(one: Base, other: Base) -> bool:
    arrays = ("table", "scale", "log_weight")
    return (one.tokenizer_json, one.source) == (other.tokenizer_json, other.source) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npy_of_header(header: str) -> bytes:
    """A member that holds no numbers, and a header that may say anything."""
    text = header.encode("latin-1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(path: Path, base: Base, **changes: bytes | None) -> Path:
    """A base with some members replaced, added, or left out (None)."""
    members = {
        "table": npy(base.table),
        "scale": npy(base.scale),
        "log_weight": npy(base.log_weight),
        "tokenizer": npy(np.frombuffer(base.tokenizer_json.encode(), np.uint8)),
        "source": npy(np.frombuffer(base.source.encode(), np.uint8)),
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, content in {**members, **changes}.items():
            if content is not None:
                file.writestr(f"{name}.npy", content)
    return path


def test_a_base_is_read_back_as_it_was_written(base: Base, tmp_path: Path) -> None:
    base.write(tmp_path / "base.npz")
    assert same(Base.read(tmp_path / "base.npz"), base)
    assert same(Base.read(archive(tmp_path / "plain.npz", base)), base)


def test_embeddings_are_the_table_times_the_step_of_each_column(base: Base) -> None:
    embeddings = base.embeddings()
    assert embeddings.dtype == np.float32
    assert embeddings[7, 3] == pytest.approx(int(base.table[7, 3]) * float(base.scale[3]))


def test_the_base_that_ships_fits_its_tokenizer() -> None:
    base = Base.default()
    assert base.table.shape[0] == base.log_weight.size == load(base.tokenizer_json).vocabulary
    assert base.table.any()
    assert base.source


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"absent\.npz"):
        Base.read(tmp_path / "absent.npz")


def test_bytes_flipped_anywhere_are_refused_or_change_nothing(base: Base, tmp_path: Path) -> None:
    path = tmp_path / "base.npz"
    base.write(path)
    content, chance, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(1500):
        altered = bytearray(content)
        altered[chance.randrange(len(content))] ^= chance.randrange(1, 256)
        path.write_bytes(altered)
        try:
            found = Base.read(path)
        except ArtifactError:
            refused += 1
        else:
            assert same(found, base)
    assert refused > 500


def test_a_cut_file_is_refused(base: Base, tmp_path: Path) -> None:
    path = tmp_path / "base.npz"
    base.write(path)
    content = path.read_bytes()
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(
            ArtifactCorruptError, match=r"base\.npz: not readable as a base encoder: .*; copy"
        ):
            Base.read(path)


@pytest.mark.parametrize("missing", ["table", "scale", "log_weight", "tokenizer", "source"])
def test_a_missing_member_is_refused(missing: str, base: Base, tmp_path: Path) -> None:
    path = archive(tmp_path / "base.npz", base, **{missing: None})
    with pytest.raises(ArtifactError, match="make one with router-model distill"):
        Base.read(path)


def test_another_archive_is_refused(base: Base, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not a base encoder"):
        Base.read(archive(tmp_path / "base.npz", base, surprise=npy(np.zeros(1))))


def test_a_member_that_would_be_unpickled_is_refused_and_not_run(base: Base, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    with pytest.raises(ArtifactCorruptError):
        Base.read(archive(tmp_path / "base.npz", base, table=npy(np.array([Bomb()], object))))
    assert not (tmp_path / "ran").exists()


WRONG = {
    "a table of floats": {"table": np.zeros((V, D), np.float32)},
    "a table of one dimension": {"table": np.zeros(V, np.int8)},
    "a table of no rows": {"table": np.zeros((0, D), np.int8), "log_weight": np.zeros(0, np.float32)},
    "a scale of doubles": {"scale": np.zeros(D)},
    "a scale too short": {"scale": np.zeros(D - 1, np.float32)},
    "weights too many": {"log_weight": np.zeros(V + 1, np.float32)},
    "a scale that is not finite": {"scale": np.full(D, np.nan, np.float32)},
    "a weight that is not finite": {"log_weight": np.full(V, np.inf, np.float32)},
    "a tokenizer that is not UTF-8": {"tokenizer": np.full(9, 0xFF, np.uint8)},
}


@pytest.mark.parametrize("name", list(WRONG))
def test_arrays_that_make_no_table_are_refused(name: str, base: Base, tmp_path: Path) -> None:
    path = archive(tmp_path / "base.npz", base, **{key: npy(array) for key, array in WRONG[name].items()})
    with pytest.raises(ArtifactCorruptError, match=r"base\.npz: "):
        Base.read(path)


HEADERS = [
    "",
    "garbage(",
    "'unclosed",
    "{'descr': '|i1', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '|i1', 'fortran_order': False, 'shape': (10000000000000,), }",
    "{'descr': '|i1', 'fortran_order': False, 'shape': (99999999999999999999999999,), }",
    "{'descr': '<U9999999', 'fortran_order': False, 'shape': (9999,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': " + "[" * 3000 + "]" * 3000 + ", }",
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("member", ["table", "tokenizer"])
def test_headers_that_lie_are_refused(member: str, header: str, base: Base, tmp_path: Path) -> None:
    path = archive(tmp_path / "base.npz", base, **{member: npy_of_header(header)})
    with pytest.raises(ArtifactCorruptError) as caught:
        Base.read(path)
    assert "\n" not in str(caught.value)


def test_an_archive_that_unpacks_to_more_than_the_bound_is_refused(base: Base, tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("table.npy", "w") as member:
        for _ in range(257):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ArtifactError, match="unpacks to more than"):
        Base.read(path)
