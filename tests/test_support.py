import numpy as np
import pytest

from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.training.evaluation.support import TierSupport, measure_support, refuse_unsupported

ROWS = 900


def found(decided: list[int], chosen: list[int], chance: list[float], ladder: Ladder) -> list[TierSupport]:
    arrays = np.array(decided), np.array(chosen), np.array(chance)
    return list(measure_support(*arrays, np.arange(len(decided)), ladder, 0.95))


def test_uniform_choices_support_any_decision(ladder: Ladder) -> None:
    chosen = np.random.default_rng(0).integers(3, size=ROWS)
    support = found([0, 1, 2] * 300, chosen.tolist(), [1 / 3] * ROWS, ladder)
    assert all(tier.supported == pytest.approx(1, abs=0.25) for tier in support)
    refuse_unsupported(support, np.full(ROWS, 1 / 3), 300)


def test_certain_choices_are_refused_by_tier_share_and_what_could_be_seen(ladder: Ladder) -> None:
    chosen = [0] * 300 + [1] * 300 + [2] * 300
    support = found([2] * 600 + [0] * 300, chosen, [1.0] * ROWS, ladder)
    with pytest.raises(DataError) as refused:
        refuse_unsupported(support, np.ones(ROWS), 100)
    message = str(refused.value)
    assert "deterministic" in message
    assert "33.3% of the requests would go to 'small', where the log sent such requests never" in message
    assert "66.7% of the requests would go to 'large', where the log sent such requests never" in message
    assert "'medium'" not in message


def test_what_could_be_seen_at_most_is_an_upper_bound_of_the_share(ladder: Ladder) -> None:
    support = found([2] * ROWS, [0] * 600 + [2] * 300, [1.0] * ROWS, ladder)
    assert support[2].supported == pytest.approx(1 / 3)
    assert support[2].at_most == pytest.approx(1 / 3 + 1.96 * np.sqrt(2 / 9 / ROWS), abs=1e-3)
    with pytest.raises(DataError, match="where it could have sent at most 36% of them"):
        refuse_unsupported(support, np.ones(ROWS), 300)


def test_decisions_that_are_the_logs_own_need_no_exploration(ladder: Ladder) -> None:
    support = found([1] * ROWS, [1] * ROWS, [1.0] * ROWS, ladder)
    assert [tier.missing for tier in support] == [0, 0, 0]
    refuse_unsupported(support, np.ones(ROWS), ROWS)


def test_a_few_unsupported_decisions_pass(ladder: Ladder) -> None:
    support = found([1] * 870 + [2] * 30, [1] * ROWS, [1.0] * ROWS, ladder)
    assert sum(tier.missing for tier in support) == pytest.approx(30 / ROWS)
    refuse_unsupported(support, np.ones(ROWS), 870)


def test_a_tier_that_was_hardly_ever_logged_is_named(ladder: Ladder) -> None:
    chosen = [0] * 898 + [2] * 2
    support = found([0] * 800 + [2] * 100, chosen, [0.98] * 898 + [0.02] * 2, ladder)
    assert support[2].missing == 0  # two rows of weight 50 each make up for all
    with pytest.raises(DataError, match=r"11\.1% of the requests would go to 'large', .* 2 times"):
        refuse_unsupported(support, np.full(ROWS, 0.5), 500)


def test_too_few_effective_requests_are_refused(ladder: Ladder) -> None:
    support = found([1] * ROWS, [1] * ROWS, [1.0] * ROWS, ladder)
    with pytest.raises(DataError, match=r"12\.3 effective requests"):
        refuse_unsupported(support, np.ones(ROWS), 12.3)
