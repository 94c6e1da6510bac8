"""Groups: near-duplicates stay together, the rest apart, in any script and at any size."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.data.groups import group, near_duplicates, shingles
from router_model.data.records import Record, parse_record

WORDS = [
    first + last for first in "b c d f g h k l m n p r s t v w z".split() for last in "an el ir ot um".split()
]
HAN = "春眠不觉晓处处闻啼鸟夜来风雨声花落知多少床前明月光疑是地上霜举头望低思故乡"
KANA = "アイウエオカキクケコサシスセソタチツテト"
THAI = "กขคงจฉชซญดตถทนบปผฝพฟมยรลวสหอ"


def records(*prompts: str, groups: list[Any] | None = None) -> list[Record]:
    named = groups or [None] * len(prompts)
    return [
        parse_record({"prompt": prompt, "group": name}, f"log:{row}")
        for row, (prompt, name) in enumerate(zip(prompts, named, strict=True))
    ]


def group_of(*prompts: str, groups: list[Any] | None = None) -> list[int]:
    return group(records(*prompts, groups=groups)).tolist()


def sentence(seed: int, length: int = 60) -> list[str]:
    return random.Random(seed).choices(WORDS, k=length)


def changed(words: list[str], *places: int) -> str:
    """The text with the words at some places replaced."""
    return " ".join("changed" if place in places else word for place, word in enumerate(words))


def test_near_duplicates_share_a_group_and_others_do_not() -> None:
    one, other = sentence(1), sentence(2)
    prompts = [changed(one), changed(other), changed(one, 30), changed(other, 59), changed(sentence(3))]
    assert group_of(*prompts) == [0, 1, 0, 1, 2]


def test_case_punctuation_and_spacing_make_no_difference() -> None:
    text = "How do I undo the last commit, without losing my changes?"
    assert group_of(text, text.upper(), text.replace(" ", "\n  "), text.replace(",", " -")) == [0, 0, 0, 0]


def test_near_duplicates_join_transitively() -> None:
    words = sentence(4, 100)
    chain = [changed(words, *range(5, 5 + 8 * step, 2)) for step in range(9)]
    first, last = set(shingles(chain[0])), set(shingles(chain[-1]))
    assert len(first & last) / len(first | last) < 0.5, "the ends alone are no near-duplicates"
    assert group_of(chain[0], chain[-1]) == [0, 1]
    assert group_of(*chain) == [0] * 9
    assert group_of(*reversed(chain)) == [0] * 9


def test_rows_that_name_a_group_share_it_and_so_do_their_near_duplicates() -> None:
    words = sentence(5)
    prompts = [
        changed(words),
        "hello there my friend",
        changed(words, 20),
        "what time is it now",
        "one two three",
    ]
    assert group_of(*prompts, groups=["g", "g", None, "h", "h"]) == [0, 0, 0, 1, 1]


def test_sessions_keep_their_rows_together() -> None:
    rows = [{"prompt": f"question {k} of {k}", "session": f"s{k % 2}"} for k in range(4)]
    assert group([parse_record(row, "log:1") for row in rows]).tolist() == [0, 1, 0, 1]


def test_equal_prompts_share_a_group_however_short() -> None:
    assert group_of("", "a", "", "a", "hi there", "hi there", "?", "?") == [0, 1, 0, 1, 2, 2, 3, 3]


def test_short_prompts_that_differ_stay_apart() -> None:
    assert group_of("hello", "thanks", "2+2", "3+3", "good morning", "good night") == [0, 1, 2, 3, 4, 5]


def test_no_record_gives_no_group() -> None:
    groups = group([])
    assert groups.shape == (0,)
    assert groups.dtype == np.int64


@pytest.mark.parametrize("letters", [HAN, THAI, KANA], ids=["Han", "Thai", "kana"])
@pytest.mark.parametrize("mark", ["", "，", "。\n", " ", "GPT"])
def test_scripts_without_spaces_are_compared_by_character(letters: str, mark: str) -> None:
    chance = random.Random(6)
    clauses = ["".join(chance.choices(letters, k=20)) for _ in range(6)]
    others = ["".join(chance.choices(letters, k=20)) for _ in range(6)]
    near = [
        clause[:10] + "々ๆ"[letters is THAI] + clause[11:] if k % 3 == 0 else clause
        for k, clause in enumerate(clauses)
    ]
    assert group_of(mark.join(clauses), mark.join(near), mark.join(others)) == [0, 0, 1]


def test_a_template_filled_in_many_ways_is_one_group_and_costs_little() -> None:
    template = " ".join(sentence(7, 30))
    prompts = [f"{template} ticket number {k} please" for k in range(3000)]
    assert len(near_duplicates(prompts)) < 20 * len(prompts)
    assert group_of(*prompts) == [0] * 3000


def test_pairs_name_an_earlier_text_first() -> None:
    words = sentence(8)
    texts = [changed(sentence(9)), changed(words), changed(words, 5), changed(words)]
    pairs = near_duplicates(texts)
    assert all(one < other for one, other in pairs)
    assert {(1, 2), (1, 3)} <= set(pairs)
    assert not any(0 in pair for pair in pairs)


prompts = st.lists(
    st.builds(changed, st.integers(0, 5).map(sentence), st.integers(0, 59)) | st.text(max_size=20),
    max_size=12,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(texts=prompts, names=st.lists(st.sampled_from([None, "g", "h"]), min_size=12, max_size=12))
def test_groups_are_deterministic_numbered_in_order_and_keep_named_and_equal_rows_together(
    texts: list[str], names: list[str | None]
) -> None:
    rows = records(*texts, groups=names[: len(texts)])
    groups = group(rows).tolist()
    assert groups == group(rows).tolist()
    assert list(dict.fromkeys(groups)) == list(range(len(set(groups))))
    for key in (lambda row: row.prompt.text, lambda row: row.group):
        seen: dict[str, int] = {}
        for row, number in zip(rows, groups, strict=True):
            if key(row) is not None:
                assert seen.setdefault(key(row), number) == number


@settings(max_examples=30, deadline=None, derandomize=True)
@given(order=st.permutations(range(20)))
def test_the_order_of_rows_does_not_change_who_shares_a_group(order: list[int]) -> None:
    texts = [changed(sentence(seed), 12 * copy) for seed in range(5) for copy in range(4)]
    groups = group_of(*(texts[place] for place in order))
    members = {frozenset(order[row] for row in range(20) if groups[row] == number) for number in set(groups)}
    assert members == {frozenset(range(4 * seed, 4 * seed + 4)) for seed in range(5)}
