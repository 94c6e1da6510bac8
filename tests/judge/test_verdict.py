"""Verdicts, read strictly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.data.judge.verdict import Verdict, parse_verdict


@pytest.mark.parametrize(("score", "outcome"), [(1, 0.0), (2, 0.25), (3, 0.5), (4, 0.75), (5, 1.0)])
def test_a_score_is_put_on_the_unit_interval(score: int, outcome: float) -> None:
    assert parse_verdict(f'{{"score": {score}, "reason": "a\\n b"}}', False) == Verdict(outcome, "a b")


@pytest.mark.parametrize("reply", ["```json\n{}\n```", "```\n{}\n```", "  \n{}\n", "```json{}```"])
def test_one_fence_around_it_is_passed_over(reply: str) -> None:
    said = '{"reason": "r", "winner": "second"}'
    assert parse_verdict(reply.replace("{}", said), True) == Verdict("second", "r")


@pytest.mark.parametrize("winner", ['"Second"', '"answer 2"', "2", "null", "[]", "{}"])
def test_a_winner_is_one_of_three_words(winner: str) -> None:
    assert parse_verdict(f'{{"reason": "", "winner": {winner}}}', True) is None


def test_a_score_is_no_winner_and_a_winner_no_score() -> None:
    assert parse_verdict('{"reason": "", "score": 3}', True) is None
    assert parse_verdict('{"reason": "", "winner": "tie"}', False) is None


def test_a_long_reason_is_cut_and_a_long_reply_is_nonsense() -> None:
    verdict = parse_verdict(f'{{"reason": "{"a" * 9000}", "score": 3}}', False)
    assert verdict is not None
    assert len(verdict.reason) == 500
    assert parse_verdict(f'{{"reason": "{"a" * 200_000}", "score": 3}}', False) is None


@settings(derandomize=True, deadline=None)
@given(st.text(alphabet='{}[]":,`0123456789.eE+-reasonscorewinner \n\\u', max_size=60), st.booleans())
def test_no_reply_raises(reply: str, pairwise: bool) -> None:
    verdict = parse_verdict(reply, pairwise)
    assert verdict is None or len(verdict.reason) <= 500
