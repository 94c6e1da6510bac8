"""Flips: how often edits that ask the same question change the tier, beside how far from constant it is."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from router_model.cli import main
from router_model.errors import DataError, DialError
from router_model.policy.curve import OperatingPoint
from router_model.router import Router
from router_model.training.evaluation.flips import EDITS, flips
from router_model.training.evaluation.table import render_flips


@pytest.fixture(scope="module")
def texts(fresh_log_path: Path) -> list[str]:
    """With a capital at the beginning, so that every edit changes each of them."""
    lines = fresh_log_path.read_text("utf-8").splitlines()[:200]
    return [json.loads(line)["prompt"].capitalize() for line in lines]


def with_rule(router: Router, shares: tuple[float, ...] | None) -> Router:
    """The router with one operating point: a fixed choice with these shares, or its own rule."""
    artifact = router.artifact
    own = dataclasses.replace(router.policy.default, rule="router", penalty=0.2)
    point = own if shares is None else OperatingPoint("quality", 0.95, "fixed", 0.0, shares, 1.0, 1.0)
    curve = (point, dataclasses.replace(point, dial="budget", value=0.5))
    manifest = dataclasses.replace(artifact.manifest, curve=curve)
    return Router(dataclasses.replace(artifact, manifest=manifest))


def edited(name: str, text: str) -> str:
    return EDITS[name](text, np.random.default_rng(0))


def test_edits_by_hand() -> None:
    text = "What is 2 + 2?"
    assert edited("case of the first letter", text) == "what is 2 + 2?"
    assert edited("lower case", text) == "what is 2 + 2?"
    assert edited("upper case", text) == "WHAT IS 2 + 2?"
    assert edited("doubled spaces", text) == "What  is  2  +  2?"
    assert edited("newline at the end", text) == "What is 2 + 2?\n"
    assert edited("polite prefix", text) == "Please answer: What is 2 + 2?"
    assert edited("typo", text) in {"hWat is 2 + 2?", "Waht is 2 + 2?", "Whta is 2 + 2?", "What si 2 + 2?"}


@pytest.mark.parametrize("text", ["", "7", "a 1 b", "aaa", "\u4f60"])
@pytest.mark.parametrize("name", list(EDITS))
def test_edits_take_any_text(name: str, text: str) -> None:
    assert len(edited(name, text)) >= len(text)


def test_a_typo_swaps_two_neighbours_and_leaves_a_text_without_any() -> None:
    text = "Summarise the minutes of the meeting."
    typo = edited("typo", text)
    differ = [at for at in range(len(text)) if text[at] != typo[at]]
    assert differ == [differ[0], differ[0] + 1]
    assert typo[differ[0]] + typo[differ[1]] == text[differ[1]] + text[differ[0]]
    assert edited("typo", "12 aa") == "12 aa"


def test_a_constant_policy_never_flips_and_is_at_no_distance_from_constant(
    router: Router, texts: list[str]
) -> None:
    found = flips(with_rule(router, (0.0, 1.0, 0.0)), texts)
    assert [flip.edit for flip in found.edits] == list(EDITS)
    for flip in found.edits:
        assert (flip.prompts, flip.rate, flip.distance_from_constant) == (200, 0.0, 0.0)
        assert np.isnan(flip.relative_rate)


def test_a_mix_drawn_by_the_text_flips_as_a_random_policy_does(router: Router, texts: list[str]) -> None:
    found = flips(with_rule(router, (0.5, 0.0, 0.5)), texts)
    assert found.rule == "fixed"
    relative = {flip.edit: flip.relative_rate for flip in found.edits}
    assert relative["typo"] == pytest.approx(1, abs=0.25)
    assert relative["polite prefix"] == pytest.approx(1, abs=0.25)


def test_rates_are_those_of_routing_one_by_one(router: Router, texts: list[str]) -> None:
    router = with_rule(router, None)
    found = {flip.edit: flip for flip in flips(router, texts).edits}
    before = [router.route(text).tier for text in texts]
    after = [router.route(f"Please answer: {text}").tier for text in texts]
    flip = found["polite prefix"]
    assert flip.rate == pytest.approx(sum(a != b for a, b in zip(before, after, strict=True)) / len(texts))
    squares = sum((count / len(texts)) ** 2 for count in Counter(before).values())
    assert flip.distance_from_constant == pytest.approx(1 - squares)
    assert flip.relative_rate == pytest.approx(flip.rate / (1 - squares))
    assert flip.distance_from_constant > 0.3


def test_only_texts_that_an_edit_changes_count(router: Router) -> None:
    found = {flip.edit: flip for flip in flips(router, ["hello", "Hello", "prove lemma"]).edits}
    assert found["lower case"].prompts == 1
    assert found["doubled spaces"].prompts == 1
    assert found["polite prefix"].prompts == 3
    none = {flip.edit: flip for flip in flips(router, ["hello"]).edits}["lower case"]
    assert none.prompts == 0
    assert np.isnan([none.rate, none.distance_from_constant, none.relative_rate]).all()


def test_conversations_are_left_out_and_counted(router: Router) -> None:
    chat = [{"role": "user", "content": "hello"}]
    found = flips(router, ["hello", chat, {"messages": chat}], quality=0.9)
    assert (found.prompts, found.skipped) == (1, 2)
    assert (found.dial, found.value) == ("quality", 0.9)
    with pytest.raises(DataError, match="no request is a plain string"):
        flips(router, [chat])


def test_a_wrong_dial_is_refused(router: Router) -> None:
    with pytest.raises(DialError, match="both"):
        flips(router, ["hello"], quality=0.9, budget=0.5)


def test_typos_follow_from_the_seed(router: Router, texts: list[str]) -> None:
    mix = with_rule(router, (0.5, 0.0, 0.5))
    one, same, other = (flips(mix, texts, seed=seed).edits for seed in (1, 1, 2))
    assert one == same
    assert [flip.edit for flip, changed in zip(one, other, strict=True) if flip != changed] == ["typo"]


def test_the_command_prints_flips_only_where_it_is_asked(artifact_path: Path, fresh_log_path: Path) -> None:
    def run(*more: str) -> str:
        found = CliRunner().invoke(
            main, ["evaluate", str(artifact_path), str(fresh_log_path), "--resamples", "200", *more]
        )
        assert found.exit_code == 0, found.output
        return found.stdout

    assert "flips" not in json.loads(run("--json"))
    told = json.loads(run("--json", "--flips"))["flips"]
    requests = [json.loads(line)["prompt"] for line in fresh_log_path.read_text("utf-8").splitlines()]
    assert told["prompts"] == len(requests)
    assert [flip["edit"] for flip in told["edits"]] == list(EDITS)
    assert all("distance_from_constant" in flip for flip in told["edits"])
    assert render_flips(flips(Router.load(artifact_path), requests)) in run("--flips")
