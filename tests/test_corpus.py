"""The starter corpus: enough rows, of every tier and kind, no two alike, and split without overlap."""

import re
from collections import Counter
from pathlib import Path

import pytest

from router_model.data.corpus import starter_ladder, starter_paths, starter_records, write_starter
from router_model.data.groups import near_duplicates
from router_model.data.labels import label
from router_model.data.readers import Reading, read_records
from router_model.data.records import Record
from router_model.errors import FileError
from router_model.ladder import Ladder

TASKS = {
    "chat", "code", "extraction", "mathematics", "multilingual", "planning", "reasoning", "tool_use",
    "translation",
}  # fmt: skip
ONE_DOCUMENT = "long_context"  # several questions about each document, so near-duplicates on purpose
LANGUAGES = {  # a script, or words that tell a language from its neighbours
    "Arabic": r"[\u0621-\u064a]{3}",
    "Chinese": r"[\u4e00-\u9fff]{4}",
    "Dutch": r"\b(het|een|niet|voor)\b",
    "French": r"\b(les|une|pour|avec)\b",
    "German": r"\b(und|nicht|eine|mit)\b",
    "Greek": r"[\u0370-\u03ff]{3}",
    "Hebrew": r"[\u05d0-\u05ea]{3}",
    "Hindi": r"[\u0900-\u097f]{3}",
    "Indonesian": r"\b(yang|untuk|dengan|dari)\b",
    "Italian": r"\b(che|per|gli|sono)\b",
    "Japanese": r"[\u3040-\u30ff]{3}",
    "Korean": r"[\uac00-\ud7af]{2}",
    "Polish": r"\b(się|nie|jest|dla)\b",
    "Portuguese": r"\b(não|uma|você|para)\b",
    "Russian": r"[\u0430-\u044f]{3}",
    "Spanish": r"\b(los|una|para|está)\b",
    "Swahili": r"\b(kwa|yangu|habari|ya)\b",
    "Thai": r"[\u0e01-\u0e2e]{3}",
    "Turkish": r"\b(için|bir|nasıl|ve)\b",
    "Vietnamese": r"\b(của|không|một|cho)\b",
}


@pytest.fixture(scope="module")
def starter() -> list[Record]:
    return list(starter_records())


def languages(text: str) -> set[str]:
    found = {}
    for language, pattern in LANGUAGES.items():
        found[language] = len(set(re.findall(pattern, text.lower())))
    if found["Japanese"]:
        found["Chinese"] = 0
    return {language for language, count in found.items() if count >= 2}


def test_it_has_at_least_600_rows_with_ids_of_their_own(starter: list[Record]) -> None:
    assert len(starter) >= 600
    assert len({record.id for record in starter}) == len(starter)


def test_every_row_has_one_label_that_its_ladder_knows(starter: list[Record]) -> None:
    ladder = starter_ladder()
    assert ladder.names == ("small", "medium", "large")
    assert {record.best_tier for record in starter} == set(ladder.names)
    assert label(starter, ladder).complete.all()


def test_each_file_holds_one_task_under_ids_of_its_name_with_rows_of_every_tier() -> None:
    paths = starter_paths()
    assert {path.stem for path in paths} >= TASKS
    for path in paths:
        reading = Reading()
        rows = list(read_records(path, reading))
        assert reading.bad == 0
        assert {record.task for record in rows} == {path.stem}
        assert all(re.fullmatch(rf"{path.stem}-\d+", record.id) for record in rows)
        assert {record.best_tier for record in rows} == {"small", "medium", "large"}, path.stem


def test_no_tier_is_rare_and_none_is_most_of_it(starter: list[Record]) -> None:
    shares = {tier: count / len(starter) for tier, count in Counter(r.best_tier for r in starter).items()}
    assert all(0.1 <= share <= 0.6 for share in shares.values()), shares


def test_it_speaks_at_least_a_dozen_languages_besides_english(starter: list[Record]) -> None:
    spoken = Counter(
        language
        for record in starter
        if record.task == "multilingual"
        for language in languages(record.prompt.text)
    )
    assert len([language for language, count in spoken.items() if count >= 2]) >= 12, spoken


def test_chats_and_plain_prompts_are_both_there_and_none_is_empty(starter: list[Record]) -> None:
    assert {type(record.request) for record in starter} == {str, list}
    assert all(record.prompt.text.strip() for record in starter)
    assert not any("\ufffd" in record.prompt.text for record in starter)


def test_no_two_prompts_are_near_duplicates(starter: list[Record]) -> None:
    assert len({record.prompt.text for record in starter}) == len(starter)
    pairs = [
        (starter[one].id, starter[other].id)
        for one, other in near_duplicates([record.prompt.text for record in starter])
        if not starter[one].task == starter[other].task == ONE_DOCUMENT
    ]
    assert pairs == []


def test_length_alone_does_not_give_the_tier_away(starter: list[Record]) -> None:
    lengths = {
        tier: sorted(r.prompt.characters for r in starter if r.best_tier == tier)
        for tier in ("small", "large")
    }
    longest_small, median_large = lengths["small"][-1], lengths["large"][len(lengths["large"]) // 2]
    assert longest_small > median_large
    assert lengths["large"][0] < 3 * lengths["small"][len(lengths["small"]) // 2]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_written_split_is_disjoint_whole_and_trainable(
    tmp_path: Path, starter: list[Record], seed: int
) -> None:
    counts = write_starter(tmp_path / "new" / "folder", 0.2, seed)
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["ladder.json", "test.jsonl", "train.jsonl"]
    assert Ladder.read(folder / "ladder.json") == starter_ladder()
    parts = {name: list(read_records(folder / f"{name}.jsonl")) for name in ("train", "test")}
    assert {name: len(part) for name, part in parts.items()} == counts
    assert abs(counts["test"] - 0.2 * len(starter)) < 10
    ids = [record.id for part in parts.values() for record in part]
    assert sorted(ids) == sorted(record.id for record in starter)
    texts = [record.prompt.text for part in parts.values() for record in part]
    cut = counts["train"]
    assert [pair for pair in near_duplicates(texts) if pair[0] < cut <= pair[1]] == []
    originals = {record.id: record for record in starter}
    for record in (*parts["train"], *parts["test"]):
        original = originals[record.id]
        assert (record.request, record.best_tier, record.task) == (
            original.request,
            original.best_tier,
            original.task,
        )


def test_the_split_repeats_by_seed_and_changes_with_it(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        write_starter(tmp_path / name, 0.2, seed)
    one, again, other = ((tmp_path / name / "test.jsonl").read_bytes() for name in ("one", "again", "other"))
    assert one == again != other


def test_a_place_that_cannot_be_written_is_a_file_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="file: File exists; give a folder that can be written"):
        write_starter(tmp_path / "file", 0.2, 0)
    with pytest.raises(FileError, match="give a folder that can be written"):
        write_starter(tmp_path / "file" / "below", 0.2, 0)
