"""Results as aligned lines for people."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model import table
from router_model.artifact import Artifact
from router_model.router import Router


def test_the_first_column_is_to_the_left_and_the_others_to_the_right() -> None:
    lines = table.columns([["name", "n"], ["a", "10"], ["longer", "7"]])
    assert lines.split("\n") == ["name     n", "a       10", "longer   7"]


cells = st.text(alphabet="abc123.", min_size=1, max_size=8)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1)))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_every_row_is_a_line_with_its_cells_in_order_and_of_one_width(rows: list[list[str]]) -> None:
    lines = table.columns(rows).split("\n")
    assert [line.split() for line in lines] == rows
    if len(rows[0]) > 1:
        assert len({len(line) for line in lines}) == 1


def test_each_prompt_has_a_line_with_its_tier_and_probabilities(router: Router) -> None:
    texts = ["hello thanks joke", "prove theorem lemma\nmanifold " * 20]
    made = [router.route(text, quality=0.9) for text in texts]
    head, *lines = table.decisions(texts, made).split("\n")
    assert head.split() == ["prompt", "tier", "P(small)", "P(medium)", "P(large)", "USD"]
    assert len(lines) == 2
    for line, decision in zip(lines, made, strict=True):
        cells = line.split()
        assert cells[-5] == decision.tier
        assert cells[-4:-1] == [f"{value:.3f}" for value in decision.sufficiency.values()]
        assert float(cells[-1]) == pytest.approx(decision.expected_cost_usd, abs=1e-6)
    assert lines[0].startswith("hello thanks joke ")
    assert "..." in lines[1]


@given(st.text(alphabet=st.characters(), max_size=500))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_shortened_text_is_one_short_printable_line(text: str) -> None:
    line = table.shortened(text)
    assert len(line) <= table.PROMPT_COLUMNS
    assert line.isprintable()


def test_a_short_text_is_kept_and_a_long_one_ends_in_dots() -> None:
    assert table.shortened(" two\twords\n") == "two words"
    assert table.shortened("x" * 57) == "x" * 53 + "..."


def test_what_an_artifact_holds_is_shown(router: Router) -> None:
    artifact = router.artifact
    shown = table.artifact(artifact)
    assert artifact.fingerprint in shown
    assert artifact.name in shown
    for name in ("small", "model-s", "medium", "model-m", "large", "model-l", "quality=0.95", "budget=0.5"):
        assert name in shown
    assert artifact.manifest.guard["message"] in shown


def test_a_strangers_artifact_does_not_steer_the_terminal(router: Router) -> None:
    found, escape = router.artifact, "\x1b[2J\x1b]0;owned\x07"
    manifest = dataclasses.replace(
        found.manifest,
        guard={"message": escape},
        versions={"torch": escape},
        data={"rows": escape, "fingerprint": escape},
        encoder=escape,
    )
    shown = table.artifact(Artifact(found.name, found.content, manifest, found.fingerprint))
    assert all(line.isprintable() for line in shown.split("\n"))
