"""Records and a ladder to labels: sufficiency of the four kinds of label, costs, and what stays unknown."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.data.labels import DEFAULT_OUTPUT_TOKENS, Labels, label
from router_model.data.records import Record, parse_record
from router_model.errors import DataError
from router_model.ladder import Ladder

UNKNOWN = float("nan")
S, M, L = "model-s", "model-m", "model-l"


def record(**fields: Any) -> Record:
    return parse_record({"prompt": "x" * 400} | fields, "log.jsonl:1")


def outcomes(small: float | None, medium: float | None, large: float | None) -> Record:
    return record(outcomes={S: small, M: medium, L: large})


def sufficient(labels: Labels) -> list[Any]:
    """Rows of 1, 0 and None for unknown."""
    return [[None if np.isnan(x) else int(x) for x in row] for row in labels.sufficient]


def preference(first: str, second: str, winner: str) -> Record:
    return record(model_a=first, model_b=second, winner=winner)


def test_a_judged_best_tier_makes_it_and_all_above_sufficient(ladder: Ladder) -> None:
    labels = label([record(best_tier=name) for name in ladder.names], ladder)
    assert sufficient(labels) == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    assert labels.best_tier.tolist() == [0, 1, 2]
    assert labels.complete.all()
    np.testing.assert_array_equal(labels.outcomes, labels.sufficient)


def test_outcomes_are_sufficient_from_the_bar_on(ladder: Ladder) -> None:
    records = [outcomes(0.49, 0.5, 1.0), outcomes(0.8, 0.2, 0.1)]
    assert sufficient(label(records, ladder)) == [[0, 1, 1], [1, 0, 0]]
    assert sufficient(label(records, ladder, bar=0.8)) == [[0, 0, 1], [1, 0, 0]]


def test_outcomes_within_a_margin_of_the_strongest_are_sufficient(ladder: Ladder) -> None:
    records = [outcomes(0.1, 0.3, 0.35), outcomes(0.6, 0.7, 0.8), outcomes(1.0, 0.0, 0.5)]
    assert sufficient(label(records, ladder, margin=0.1)) == [[0, 1, 1], [0, 1, 1], [1, 0, 1]]


@pytest.mark.parametrize("tenth", range(1, 11))
def test_an_outcome_that_is_just_the_margin_below_counts_in_spite_of_rounding(
    ladder: Ladder, tenth: int
) -> None:
    best, below = tenth / 10, (tenth - 1) / 10
    assert sufficient(label([outcomes(below, below, best)], ladder, margin=0.1)) == [[1, 1, 1]]
    assert sufficient(label([outcomes(below, below, best)], ladder, margin=0.0999)) == [[0, 0, 1]]


def test_a_margin_tells_nothing_where_the_strongest_is_unknown(ladder: Ladder) -> None:
    labels = label([outcomes(1.0, 1.0, None), outcomes(1.0, None, 1.0)], ladder, margin=0.1)
    assert sufficient(labels) == [[None, None, None], [1, None, 1]]


def test_a_logged_choice_tells_of_its_tier_alone(ladder: Ladder) -> None:
    labels = label([record(model=M, outcome=1.0), record(model=S, outcome=0.2)], ladder)
    assert sufficient(labels) == [[None, 1, None], [0, None, None]]
    assert labels.observed.tolist() == [[False, True, False], [True, False, False]]
    assert not labels.complete.any()


@pytest.mark.parametrize(
    ("first", "second", "winner", "wanted"),
    [
        (S, L, "model_a", [1, None, None]),
        (S, L, "model_b", [0, None, 1]),
        (S, L, "tie", [1, None, 1]),
        (L, S, "model_a", [0, None, 1]),
        (L, S, "model_b", [1, None, None]),
        (M, S, M, [0, 1, None]),
        (L, M, M, [None, 1, None]),
    ],
)
def test_a_preference_tells_of_the_cheaper_tier_and_of_a_dearer_one_that_did_not_lose(
    ladder: Ladder, first: str, second: str, winner: str, wanted: list[int | None]
) -> None:
    labels = label([preference(first, second, winner)], ladder)
    assert sufficient(labels) == [wanted]
    assert np.isnan(labels.outcomes).all(), "who won says nothing of how good either was"


def test_a_preference_within_a_tier_or_of_a_model_outside_the_ladder_tells_nothing() -> None:
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
    tiers = [{"name": "low", "models": ["a", "b"], **prices}, {"name": "high", "models": ["c"], **prices}]
    records = [preference("a", "b", "a"), preference("a", "elsewhere", "a"), preference("a", "c", "c")]
    assert sufficient(label(records, Ladder.from_dict({"tiers": tiers}))) == [
        [None, None],
        [None, None],
        [0, 1],
    ]


def test_the_first_model_of_a_tier_that_was_observed_counts() -> None:
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
    tiers = [
        {"name": "low", "models": ["a", "b"], **prices},
        {"name": "high", "models": ["c", "d"], **prices},
    ]
    rows = [{"a": 1.0, "b": 0.0, "d": 0.0}, {"b": 0.0, "d": 1.0, "c": 0.25}, {"b": 1.0}]
    costs = [{"a": 3.0, "b": 9.0}, {"b": 9.0, "d": 5.0}, {"c": 4.0, "d": 5.0}]
    records = [record(outcomes=o, cost_usd=c, output_tokens=c) for o, c in zip(rows, costs, strict=True)]
    labels = label(records, Ladder.from_dict({"tiers": tiers}))
    np.testing.assert_array_equal(labels.outcomes, [[1.0, 0.0], [0.0, 0.25], [1.0, UNKNOWN]])
    assert labels.cost_usd[0, 0] == 3.0
    assert labels.cost_usd[1].tolist() == [9.0, 5.0]
    assert labels.cost_usd[2, 1] == 4.0
    np.testing.assert_array_equal(labels.output_tokens, [6.0, 4.5])


def test_where_no_tier_is_sufficient_the_cheapest_is_best(ladder: Ladder) -> None:
    labels = label([outcomes(0.0, 0.0, 0.0), outcomes(0.0, None, 0.0), outcomes(0.0, 0.0, 1.0)], ladder)
    assert labels.best_tier.tolist() == [0, 0, 2]


def test_logged_costs_win_over_prices(ladder: Ladder) -> None:
    row = record(
        outcomes={S: 1.0}, cost_usd={S: 0.5, L: 0.0, "other": 9.0}, input_tokens=100, output_tokens={M: 10}
    )
    costs = label([row], ladder).cost_usd[0]
    assert costs[0] == 0.5
    assert costs[2] == 0.0


@pytest.mark.parametrize("share", [0.5, 1.0, 3.0])
def test_what_is_estimated_is_as_much_cheaper_as_what_was_paid(ladder: Ladder, share: float) -> None:
    """Tiers are compared at the same prices, however seldom one was asked."""
    rows = []
    for number in range(600):
        k = 0 if number % 10 else 1 + number // 10 % 2
        tier = ladder.tiers[k]
        model, paid = tier.models[0], share * tier.cost_usd(1000, 100)
        rows.append(
            record(
                outcomes={model: 1.0},
                cost_usd={model: paid},
                output_tokens={model: 100},
                input_tokens=1000,
            )
        )
    costs = label(rows, ladder).cost_usd.mean(axis=0)
    wanted = [share * tier.cost_usd(1000, 100) for tier in ladder.tiers]
    np.testing.assert_allclose(costs, wanted)


def test_one_dear_answer_does_not_make_a_tier_dear(ladder: Ladder) -> None:
    def row(k: int, share: float) -> Record:
        tier = ladder.tiers[k]
        usd = share * tier.cost_usd(1000, 100)
        logged = {tier.models[0]: usd}
        return record(
            outcomes={tier.models[0]: 1.0},
            cost_usd=logged,
            output_tokens={tier.models[0]: 100},
            input_tokens=1000,
        )

    rows = [row(0, 1.0) for _ in range(500)] + [row(2, 10.0)]
    costs = label(rows, ladder).cost_usd
    assert costs[0, 2] < 3 * ladder.tiers[2].cost_usd(1000, 100)


def test_costs_follow_from_logged_tokens_and_an_unknown_length_is_the_tiers_mean(ladder: Ladder) -> None:
    records = [
        record(outcomes={S: 1.0}, input_tokens=10, output_tokens={S: 100, M: 20}),
        record(outcomes={S: 1.0}, input_tokens=30, output_tokens={S: 300}),
        record(outcomes={S: 1.0}, input_tokens=50),
    ]
    labels = label(records, ladder)
    assert labels.input_tokens.tolist() == [10, 30, 50]
    lengths = [[100, 20, 140], [300, 20, 140], [200, 20, 140]]  # 140: the mean of all, as large has none
    for row in range(3):
        wanted = [
            tier.cost_usd(labels.input_tokens[row], lengths[row][k]) for k, tier in enumerate(ladder.tiers)
        ]
        np.testing.assert_allclose(labels.cost_usd[row], wanted)
    assert labels.output_tokens.tolist() == [200, 20, 140]


def test_without_tokens_the_text_and_a_default_price_a_call(ladder: Ladder) -> None:
    labels = label([record(best_tier="small"), record(best_tier="small", prompt="")], ladder)
    assert labels.input_tokens.tolist() == [100.0, 0.0]
    wanted = [tier.cost_usd(100.0, DEFAULT_OUTPUT_TOKENS) for tier in ladder.tiers]
    np.testing.assert_allclose(labels.cost_usd[0], wanted)
    assert labels.output_tokens.tolist() == [DEFAULT_OUTPUT_TOKENS] * 3


def test_a_prompt_longer_than_its_window_costs_its_whole_length(ladder: Ladder) -> None:
    labels = label([record(best_tier="small", prompt="x" * 40_000)], ladder)
    assert labels.input_tokens.tolist() == [10_000.0]


def test_rows_can_be_taken_by_mask_and_by_position(ladder: Ladder) -> None:
    labels = label([record(best_tier=name, input_tokens=k) for k, name in enumerate(ladder.names)], ladder)
    for rows in (np.array([False, True, True]), np.array([1, 2])):
        taken = labels.take(rows)
        assert taken.best_tier.tolist() == [1, 2]
        assert taken.input_tokens.tolist() == [1, 2]
        assert taken.cost_usd.shape == taken.outcomes.shape == (2, 3)


def test_no_record_is_a_data_error(ladder: Ladder) -> None:
    with pytest.raises(DataError, match="the data holds no record; give at least one row"):
        label([], ladder)


def test_an_unknown_best_tier_is_named_with_its_record_and_the_ladders_tiers(ladder: Ladder) -> None:
    with pytest.raises(DataError) as caught:
        label([record(best_tier="small"), record(id="row\n9", best_tier="huge")], ladder)
    assert str(caught.value) == (
        "record 'row\\n9': best_tier 'huge' is not in the ladder; give one of small, medium, large"
    )


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"outcomes": {"other-a": 1.0, "other\nb": 0.0}}, r"'other\\nb', 'other-a'"),
        ({"model": "other-a", "outcome": 1.0}, "'other-a'"),
        ({"model_a": "other-a", "model_b": "model-s", "winner": "tie"}, "'model-s', 'other-a'"),
        ({}, "none"),
    ],
)
def test_a_ladder_that_names_no_model_of_the_data_is_told_with_both_sides(
    ladder: Ladder, row: dict[str, Any], named: str
) -> None:
    message = rf"no row has a label for the ladder's models \(model-s, .*\); the data names {named}; mend"
    with pytest.raises(DataError, match=message):
        label([record(**row)], ladder)


scores = st.none() | st.floats(0, 1)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.tuples(scores, scores, st.floats(0, 1)), min_size=1, max_size=8),
    bar=st.floats(0, 1),
    margin=st.none() | st.floats(0, 1),
)
def test_what_was_not_observed_stays_unknown_and_what_was_is_never_lost(
    ladder: Ladder, rows: list[tuple[float | None, float | None, float]], bar: float, margin: float | None
) -> None:
    labels = label([outcomes(*row) for row in rows], ladder, bar, margin)
    known = np.array([[score is not None for score in row] for row in rows])
    np.testing.assert_array_equal(labels.observed, known)
    np.testing.assert_array_equal(labels.complete, known.all(axis=1))
    np.testing.assert_array_equal(np.isnan(labels.outcomes), ~known)
    assert np.isin(labels.sufficient[known], (0.0, 1.0)).all()
    if margin is not None:
        assert (labels.sufficient[:, -1] == 1).all(), "the strongest is always within a margin of itself"
    for row, best in enumerate(labels.best_tier):
        assert labels.sufficient[row, best] == 1 or best == 0
        assert not (labels.sufficient[row, :best] == 1).any()


def test_input_tokens_of_0_are_those_that_nobody_counted(ladder: Ladder) -> None:
    uncounted, unknown = (
        label([record(outcomes={S: 1.0}, **told)], ladder) for told in ({"input_tokens": 0}, {})
    )
    assert uncounted.input_tokens.tolist() == unknown.input_tokens.tolist() != [0.0]
    assert uncounted.cost_usd.tolist() == unknown.cost_usd.tolist()


def test_a_tier_of_unknown_lengths_is_said_to_answer_as_long_as_its_costs_count(ladder: Ladder) -> None:
    found = label([record(outcomes={S: 1.0}, output_tokens={S: 900})], ladder)
    assert found.output_tokens.tolist() == [900.0] * len(ladder)
    asked = found.input_tokens[0]
    costs = [tier.cost_usd(asked, 900.0) for tier in ladder.tiers]
    assert found.cost_usd[0] == pytest.approx(costs)
