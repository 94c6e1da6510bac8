"""Feedback to outcomes: what matches, in which order, and what a rules file may hold."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.cli import main
from router_model.data.feedback import DEFAULT_RULES, Decided, Rules, outcomes
from router_model.data.readers import read_records
from router_model.data.records import Record, parse_record
from router_model.errors import RulesError

DOCS = Path(__file__).parent.parent / "docs" / "outcomes.md"


def record(feedback: dict[str, Any], **fields: Any) -> Record:
    return parse_record({"prompt": "p", "model": "s", "feedback": feedback} | fields, "log:1")


def decide(feedback: dict[str, Any], *rules: dict[str, Any]) -> float | None:
    """The outcome of one record by these rules, or by the default ones."""
    chosen = Rules.from_dict({"rules": list(rules)}) if rules else Rules.default()
    (done,) = outcomes([record(feedback)], chosen)
    return done.outcomes.get("s")


@pytest.mark.parametrize(
    ("feedback", "outcome"),
    [
        ({"thumb": "up"}, 1.0),
        ({"thumb": "Down"}, 0.0),
        ({"thumb": "up", "error": True}, 0.0),
        ({"error": "upstream timed out"}, 0.0),
        ({"error": "", "copied": True}, 1.0),
        ({"stars": 4}, 0.75),
        ({"stars": 1}, 0.0),
        ({"stars": 4.5}, 0.875),
        ({"stars": 9}, None),
        ({"stars": True}, None),
        ({"stars": "4"}, None),
        ({"regenerated": True}, 0.0),
        ({"regenerated": False}, None),
        ({"regenerated": "false"}, None),
        ({"tool_success": False}, 0.0),
        ({"tool_success": True}, 1.0),
        ({"copied": True}, 1.0),
        ({"copied": True, "next_user": "No, that’s WRONG!"}, 0.0),
        ({"finish_reason": "content_filter"}, 0.0),
        ({"finish_reason": "stop"}, None),
        ({"next_user": "thanks"}, None),
        ({"next_user": {"text": "that is wrong"}}, None),
        ({"thumb": None}, None),
        ({}, None),
    ],
)
def test_the_default_rules(feedback: dict[str, Any], outcome: float | None) -> None:
    assert decide(feedback) == outcome


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("No, that's wrong.", True),
        ("no  that's\nwrong", True),
        ("Hm. NO: 'THAT'S WRONG'", True),
        ("no that's wrongheaded", False),
        ("casino, that's wrong", False),
        ("no, that's not wrong", False),
        ("x" * 990 + " no, that's wrong", False),
        ("no, that's wrong" + " x" * 5000, True),
    ],
)
def test_a_phrase_is_whole_words_near_the_start_of_the_turn(text: str, found: bool) -> None:
    rule = {"when": {"next_user": "no, that's wrong"}, "outcome": 0}
    assert decide({"next_user": text}, rule) == (0.0 if found else None)


def test_phrases_are_literal() -> None:
    rule = {"when": {"next_user": ["wr.ng", "(a+)+b"]}, "outcome": 0}
    assert decide({"next_user": "wrong aaaab"}, rule) is None
    assert decide({"next_user": "so: wr ng"}, rule) == 0


def test_the_first_rule_that_matches_decides_and_null_says_nothing() -> None:
    rules = (
        {"when": {"finish_reason": ["length", "max_tokens"]}, "outcome": None},
        {"when": {"stars": [4, 5], "edited": False}, "outcome": 0.9},
        {"when": {"thumb": ["up", "down"]}, "outcome": 0.3},
    )
    assert decide({"finish_reason": "LENGTH", "thumb": "up"}, *rules) is None
    assert decide({"stars": 4, "edited": False, "thumb": "up"}, *rules) == 0.9
    assert decide({"stars": 3, "edited": False, "thumb": "up"}, *rules) == 0.3
    assert decide({"stars": 5, "thumb": "down"}, *rules) == 0.3  # whether it was edited is not known


def test_a_scale_may_have_conditions() -> None:
    rule = {"when": {"finish_reason": "stop"}, "scale": {"score": [-1, 1]}}
    assert decide({"score": 0.5, "finish_reason": "stop"}, rule) == 0.75
    assert decide({"score": 0.5}, rule) is None


def test_an_outcome_is_never_overwritten_and_all_is_counted() -> None:
    records = [
        record({"thumb": "up"}),
        record({"thumb": "up"}),
        record({"thumb": "down"}, outcome=0.7),
        record({"thumb": "down"}, outcomes={"l": 1.0}),
        record({"thumb": "up"}, model=None, outcomes={"a": 1, "b": 0}),
        record({}),
    ]
    decided = Decided()
    done = list(outcomes(records, Rules.default(), decided))
    assert [dict(r.outcomes) for r in done] == [
        {"s": 1.0}, {"s": 1.0}, {"s": 0.7}, {"l": 1.0, "s": 0.0}, {"a": 1.0, "b": 0.0}, {},
    ]  # fmt: skip
    assert decided == Decided(6, decided.by_rule, known=1, no_model=1, unknown=1)
    assert decided.by_rule == {"thumb: up": 2, "thumb: down": 1}


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("up"))


@settings(derandomize=True, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["thumb", "stars", "score", "error", "copied", "next_user"]), values),
    st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)),
)
def test_whatever_was_logged_an_outcome_is_in_range(
    feedback: dict[str, Any], span: tuple[float, float]
) -> None:
    scale = {"scale": {"score": [span[0], span[0] + span[1]]}}
    rules = Rules.from_dict({"rules": [scale, *DEFAULT_RULES["rules"]]})
    (done,) = outcomes([record(feedback)], rules)
    assert all(0 <= outcome <= 1 for outcome in done.outcomes.values())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"whem": {}, "outcome": 0}, "rule 1: unknown key 'whem'"),
        ({"when": {"thump": "up"}, "outcome": 0}, "rule 1, 'when': unknown key 'thump'"),
        ({"when": {}, "outcome": 0}, "at least one condition"),
        ({"outcome": 0}, "at least one condition"),
        ({"when": {"thumb": "up"}}, "'outcome' or 'scale'"),
        ({"when": {"thumb": "up"}, "outcome": 1, "scale": {"stars": [1, 5]}}, "one of them"),
        ({"when": {"thumb": "up"}, "outcome": 2}, "'outcome' is 2"),
        ({"when": {"thumb": "up"}, "outcome": True}, "'outcome' is True"),
        ({"when": {"thumb": "up"}, "outcome": float("nan")}, "'outcome' is nan"),
        ({"when": {"thumb": "sideways"}, "outcome": 0}, "up or down"),
        ({"when": {"copied": "yes"}, "outcome": 0}, "true or false"),
        ({"when": {"stars": [5, 1]}, "outcome": 0}, "lowest first"),
        ({"when": {"stars": [1, 2, 3]}, "outcome": 0}, "range of two numbers"),
        ({"when": {"next_user": []}, "outcome": 0}, "1 to 256 texts"),
        ({"when": {"next_user": ["..."]}, "outcome": 0}, "a text of words"),
        ({"when": {"next_user": "a" * 201}, "outcome": 0}, "at most 200 characters"),
        ({"scale": {"thumb": [0, 1]}}, "one of stars, score"),
        ({"scale": {"stars": [3, 3]}}, "the lowest and the highest"),
        ({"scale": {"stars": [1, 5], "score": [0, 1]}}, "one of stars, score"),
        ({"name": "a\nb", "when": {"thumb": "up"}, "outcome": 0}, "printable name"),
        ("thumb", "rule 1 is str"),
    ],
)
def test_what_is_no_rule_is_refused_by_number_and_key(rule: Any, message: str) -> None:
    with pytest.raises(RulesError, match=re.escape(message)):
        Rules.from_dict({"rules": [rule]})


@pytest.mark.parametrize("value", [None, [], {}, {"rules": {}}, {"rules": []}, {"rules": [{}] * 257}])
def test_a_file_without_rules_is_refused(value: Any) -> None:
    with pytest.raises(RulesError, match="1 to 256 rules"):
        Rules.from_dict(value)


def test_two_rules_of_one_name_are_refused() -> None:
    rule = {"when": {"thumb": "up"}, "outcome": 1}
    with pytest.raises(RulesError, match="'thumb: up' stands twice"):
        Rules.from_dict({"rules": [rule, rule]})


def test_the_documented_default_rules_are_the_default_rules() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    example, default = map(yaml.safe_load, blocks)
    assert default == DEFAULT_RULES
    assert len(Rules.from_dict(example).rules) == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rules.yaml", b"rules: [}"),
        ("rules.yaml", b"rules: &a [*a]"),
        ("rules.yaml", b'rules: !!python/object/apply:os.system ["touch owned"]'),
        ("rules.json", b"[" * 100_000),
        ("rules.json", b'{"rules": "\xff"}'),
    ],
)
def test_a_hostile_rules_file_is_named_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RulesError) as caught:
        Rules.read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_command_writes_records_and_counts(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "model": "s", "feedback": {"thumb": "up"}, "meta": {"kept": 1}, "answer": "\ud800"}
    ]
    rows += [{"prompt": "b", "model": "s", "feedback": {"score": 3}, "session": "t"}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "rules.yaml").write_text("rules: [{scale: {score: [0, 4]}}, {when: {thumb: up}, outcome: 1}]")
    out = tmp_path / "out.jsonl.gz"
    command = ["outcomes", str(tmp_path / "log.jsonl"), "--out", str(out)]
    done = CliRunner().invoke(main, [*command, "--rules", str(tmp_path / "rules.yaml"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "out": str(out), "bad_rows": 0, "rows": 2, "by_rule": {"thumb: up": 1, "scale: score 0 to 4": 1},
        "known": 0, "no_model": 0, "unknown": 0,
    }  # fmt: skip
    first, second = read_records(out)
    assert (first.outcomes, first.meta, first.answers) == ({"s": 1.0}, {"kept": 1}, {"s": "\ud800"})
    assert (second.outcomes, second.session) == ({"s": 0.75}, "t")


def test_the_command_refuses_bad_rules_before_it_reads(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text('{"rules": [{"when": {"thumb": "up"}, "outcom": 1}]}')
    command = ["outcomes", "absent.jsonl", "--out", str(tmp_path / "out.jsonl")]
    done = CliRunner().invoke(main, [*command, "--rules", str(tmp_path / "rules.json")])
    assert done.exit_code == 2
    assert "rule 1: unknown key 'outcom'; known: name, when, outcome, scale" in done.stderr
