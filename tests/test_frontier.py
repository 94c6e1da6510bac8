"""The oracles: bounds that no choice of a tier per unit can beat."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.training.evaluation.frontier import frontier, unit_means, units

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)
cells = st.tuples(st.integers(0, 4), st.integers(1, 9))
rows = st.lists(st.tuples(st.tuples(cells, cells, cells), st.integers(0, 2)), min_size=1, max_size=5)


def test_a_query_oracle_pays_only_where_it_gains() -> None:
    outcomes, cost = np.array([[0, 1], [1, 1], [0, 0.0]]), np.tile([1.0, 10.0], (3, 1))
    found = frontier(outcomes, cost, np.arange(3))
    assert found.cost.tolist() == [1.0, 4.0]
    assert found.quality == pytest.approx([1 / 3, 2 / 3])
    assert found.at_cost(2.5) == pytest.approx(0.5)
    assert (found.at_cost(0.5), found.at_cost(99.0)) == pytest.approx((1 / 3, 2 / 3))


def test_the_unit_with_the_most_gain_per_cost_goes_first() -> None:
    outcomes = np.array([[0.0, 0.2], [0.0, 0.2], [0.0, 0.9], [0.0, 0.7]])
    found = frontier(outcomes, np.tile([0.0, 1.0], (4, 1)), np.array([0, 0, 1, 1]))
    assert found.cost == pytest.approx([0.0, 0.5, 1.0])
    assert found.quality == pytest.approx([0.0, 0.4, 0.5])


@given(given_rows=rows)
@EXAMPLES
def test_no_choice_of_a_tier_per_unit_is_above_the_frontier(
    given_rows: list[tuple[tuple[tuple[int, int], ...], int]],
) -> None:
    table = np.array([cells for cells, _ in given_rows], np.float64)  # [N, 3, 2]
    unit_of = units([str(unit) for _, unit in given_rows])
    outcomes, cost = table[:, :, 0] / 4, table[:, :, 1]
    found = frontier(outcomes, cost, unit_of)
    best = 0.0
    for tiers in product(range(3), repeat=int(unit_of.max()) + 1):
        chosen = (np.arange(len(table)), np.array(tiers)[unit_of])
        paid, quality = cost[chosen].mean(), outcomes[chosen].mean()
        assert found.at_cost(paid) >= quality - 1e-9
        best = max(best, quality)
    assert found.quality[-1] == pytest.approx(best)


def test_rows_without_a_name_are_one_unit() -> None:
    assert units(["b", None, "a", "b", None]).tolist() == [2, 0, 1, 2, 0]


def test_means_are_of_the_unit() -> None:
    means = unit_means(np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 0.0]]), np.array([0, 0, 1]))
    assert means.tolist() == [[0.5, 1.0], [0.5, 1.0], [0.5, 0.0]]
