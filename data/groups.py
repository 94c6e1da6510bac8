"""Groups: what must stay on one side of a split, near-duplicate prompts above all.

MinHash (Broder 1997) over words in threes, indexed by bands; two prompts of an estimated Jaccard
similarity of at least ``THRESHOLD`` share a group, as do rows that name the same group.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from router_model.data.records import Record
from router_model.errors import MissingExtraError

try:
    from rensa import RMinHash, RMinHashLSH
except ModuleNotFoundError:
    raise MissingExtraError(
        "grouping near-duplicates needs rensa: pip install 'router-model[train]'"
    ) from None

THRESHOLD = 0.7
PERMUTATIONS = 128
BANDS = 32  # four values a band: a pair at 0.7 is met with probability 0.9998
SEED = 1
ENOUGH = 16  # a text with as many near-duplicates is not indexed: the next of its kind meets those
# Thai, Lao, Myanmar, Khmer, kana and Han, whose every character counts as a word.
UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def group(records: Sequence[Record]) -> NDArray[np.int64]:
    """A group number per record, int64 [N], from 0 in order of first appearance."""
    parents = np.arange(len(records))
    named: dict[str, int] = {}
    for row, record in enumerate(records):
        if record.group is not None:
            _join(parents, named.setdefault(record.group, row), row)
    for one, other in near_duplicates([record.prompt.text for record in records]):
        _join(parents, one, other)
    roots = [_root(parents, row) for row in range(len(records))]
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root, len(numbers)) for root in roots], np.int64)


def near_duplicates(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of positions whose texts are near-duplicates, each with the first of its kind."""
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=BANDS)
    sketches, pairs = [], []
    seen: dict[str, int] = {}
    for row, text in enumerate(texts):
        first = seen.setdefault(text, row)
        sketches.append(_sketch(text))
        if first != row:
            pairs.append((first, row))
            continue
        met = [other for other, _ in _similar(index, sketches, sketches[row])]
        pairs += [(other, row) for other in met]
        if len(met) < ENOUGH:
            index.insert(row, sketches[row])
    return pairs


def nearest(texts: Sequence[str], among: Sequence[str]) -> list[tuple[int, float] | None]:
    """For each text a near-duplicate in ``among``: its position and the similarity, 1 where they are equal.

    It is the most similar of the first 16 that are met; None where there is none.
    """
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=BANDS)
    sketches = [_sketch(text) for text in among]
    first: dict[str, int] = {}
    for row, text in enumerate(among):
        if first.setdefault(text, row) == row:
            index.insert(row, sketches[row])
    found: list[tuple[int, float] | None] = []
    for text in texts:
        if text in first:
            found.append((first[text], 1.0))
            continue
        met = islice(_similar(index, sketches, _sketch(text)), ENOUGH)
        found.append(max(met, key=lambda pair: pair[1], default=None))
    return found


def shingles(text: str) -> list[str]:
    """Words in threes, lower case; single characters in threes where words are not spaced, or too few."""
    words = WORD.findall(text.lower())
    if len(words) < 3:
        words = list(text)
    if len(words) < 3:
        return [text]
    return sorted({" ".join(words[i : i + 3]) for i in range(len(words) - 2)})


def _sketch(text: str) -> RMinHash:
    sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    sketch.update(shingles(text))
    return sketch


def _similar(
    index: RMinHashLSH, sketches: Sequence[RMinHash], sketch: RMinHash
) -> Iterator[tuple[int, float]]:
    """Positions of the indexed near-duplicates of a text, rising, and how similar each is."""
    for position in sorted(index.query(sketch)):
        similarity = sketches[position].jaccard(sketch)
        if similarity >= THRESHOLD:
            yield position, similarity


def _join(parents: NDArray[np.int64], one: int, other: int) -> None:
    roots = sorted((_root(parents, one), _root(parents, other)))
    parents[roots[1]] = roots[0]


def _root(parents: NDArray[np.int64], row: int) -> int:
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = int(parents[row])
    return row
