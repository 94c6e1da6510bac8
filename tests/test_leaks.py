"""Leaks: prompts that training saw are found, refused, dropped or kept, and said so."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router_model.cli import main
from router_model.data.records import Record, parse_record
from router_model.errors import DataError
from router_model.training.evaluation.leaks import leaks, without_leaks

WORDS = [first + last for first in "b c d f g h k l m n p".split() for last in "an el ir ot um ak es".split()]


def sentence(number: int, length: int = 40) -> list[str]:
    """Words that share no three in a row with another number's."""
    return [f"{WORDS[(number * 31 + place * 7) % len(WORDS)]}{number}" for place in range(length)]


def records(prompts: list[str], name: str) -> list[Record]:
    return [parse_record({"id": f"{name}-{n}", "prompt": prompt}, name) for n, prompt in enumerate(prompts)]


TRAINING = records([" ".join(sentence(number)) for number in range(30)], "train")
NEAR = " ".join([*sentence(7)[:-1], "changed"]).upper()
TESTING = records([" ".join(sentence(100)), NEAR, " ".join(sentence(101)), " ".join(sentence(3))], "test")


def test_a_prompt_repeated_word_for_word_or_nearly_is_found_with_its_twin() -> None:
    found = leaks(TRAINING, TESTING)
    assert (found.count, found.share, found.rows) == (2, 0.5, (1, 3))
    assert [(pair.test_id, pair.train_id) for pair in found.pairs] == [
        ("test-1", "train-7"),
        ("test-3", "train-3"),
    ]
    assert 0.7 <= found.pairs[0].similarity < 1 == found.pairs[1].similarity
    assert found.pairs[0].text == NEAR[:80]


def test_prompts_that_only_repeat_one_another_do_not_leak() -> None:
    assert leaks(TRAINING, records(["the very same question"] * 3, "test")).count == 0


def test_of_several_twins_the_nearest_is_named() -> None:
    words = sentence(1, 100)
    training = records([" ".join([*words[: 100 - n], *["x"] * n]) for n in (12, 1, 6)], "train")
    (pair,) = leaks(training, records([" ".join(words)], "test")).pairs
    assert pair.train_id == "train-1"


def test_every_leak_of_a_much_repeated_template_is_found_and_fifty_are_listed() -> None:
    template = (
        "Answer the question with one word, think step by step, and give your reasons in a short list: "
    )
    training = records([f"{template * 2} item {n}" for n in range(400)], "train")
    found = leaks(training, records([f"{template * 2} thing {n}" for n in range(60)], "test"))
    assert (found.count, len(found.pairs)) == (60, 50)


def test_leaks_are_refused_with_their_names_and_the_cure() -> None:
    with pytest.raises(
        DataError, match=r"2 of 4 test prompts \(50\.0%\).*'test-1' of 'train-7'.*--leaks drop"
    ):
        without_leaks(TRAINING, TESTING, "refuse")


def test_leaks_are_dropped_or_kept_and_the_verdict_says_so() -> None:
    rest, dropped = without_leaks(TRAINING, TESTING, "drop")
    whole, kept = without_leaks(TRAINING, TESTING, "keep")
    assert [record.id for record in rest] == ["test-0", "test-2"]
    assert whole == TESTING
    assert dropped.message.endswith("were left out")
    assert "were kept: the figures flatter the router" in kept.message
    assert dropped.found == kept.found == leaks(TRAINING, TESTING)


def test_dropping_all_rows_is_refused() -> None:
    with pytest.raises(DataError, match="leaves none; give data that training has not seen"):
        without_leaks(TRAINING, TRAINING, "drop")


@pytest.fixture(scope="module")
def planted(fresh_log_path: Path, log_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten rows of the training log, put among 200 that training did not see."""
    fresh = fresh_log_path.read_text("utf-8").splitlines()[:200]
    leaking = log_path.read_text("utf-8").splitlines()[:10]
    path = tmp_path_factory.mktemp("planted") / "test.jsonl"
    path.write_text("\n".join([*fresh, *leaking]) + "\n", "utf-8")
    return path


def evaluated(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(main, ["evaluate", *map(str, arguments), "--resamples", "200", "--json"])
    return json.loads(done.stdout) if done.exit_code == 0 else (done.exit_code, done.stderr)


def test_the_command_refuses_drops_and_keeps(
    artifact_path: Path, planted: Path, log_path: Path, tmp_path: Path
) -> None:
    code, says = evaluated(artifact_path, planted, "--trained-on", log_path, "--report", tmp_path / "refused")
    assert code == 1
    assert "10 of 210 test prompts" in says
    assert list((tmp_path / "refused").iterdir()) == []
    for action, rows in (("drop", 200), ("keep", 210)):
        page = tmp_path / action
        found = evaluated(
            artifact_path, planted, "--trained-on", log_path, "--leaks", action, "--report", page
        )
        assert found["rows"] == rows
        assert found["leaks"]["found"]["count"] == 10
        assert found["leaks"]["message"] in (page / "index.html").read_text("utf-8")


def test_without_the_training_data_the_verdict_is_not_checked(artifact_path: Path, planted: Path) -> None:
    found = evaluated(artifact_path, planted)
    assert found["leaks"] == {
        "message": "not checked: name the training data with --trained-on",
        "found": None,
    }
    code, says = evaluated(artifact_path, planted, "--leaks", "drop")
    assert code == 2
    assert "--trained-on" in says
